"""Every refusal that vLLM is known for, and what becomes of it."""

from __future__ import annotations

import json

import pytest
import vllm_reader

from multitap.dialects.openai.chat import ChatChunk
from multitap.errors import (
    AuthenticationError,
    BadRequest,
    ContextOverflow,
    EngineError,
    ModelNotFound,
    NotSupported,
    Overloaded,
    ProviderDown,
    TruncatedStream,
)
from multitap.events import Failed, Stop, Text
from multitap.framing import SseDecoder
from multitap.testing import outputs_of
from multitap.work import HttpReply
from multitap_vllm.errors import explain_vllm
from multitap_vllm.records import VllmRecords

RECORDED = {
    "embeddings_dimensions": (NotSupported, "dimensions_unsupported"),
    "embeddings_error_chat_unsupported": (NotSupported, "route_missing"),
    "embeddings_error_missing_input": (BadRequest, "bad_request"),
    "embeddings_error_overflow": (ContextOverflow, "context_overflow"),
    "embeddings_unknown_model": (ModelNotFound, "model_not_found"),
    "error_bad_json": (BadRequest, "bad_request"),
    "error_bad_schema": (BadRequest, "bad_request"),
    "error_bad_temperature": (BadRequest, "bad_request"),
    "error_context_overflow": (ContextOverflow, "context_overflow"),
    "error_context_overflow_stream": (ContextOverflow, "context_overflow"),
    "error_embeddings_unsupported": (NotSupported, "route_missing"),
    "error_empty_messages": (BadRequest, "bad_request"),
    "error_image_to_text_model": (NotSupported, "media_unsupported"),
    "error_missing_messages": (BadRequest, "bad_request"),
    "error_negative_max_tokens": (BadRequest, "bad_request"),
    "error_no_key": (AuthenticationError, "authentication_error"),
    "error_unknown_model": (ModelNotFound, "model_not_found"),
    "error_unknown_model_stream": (ModelNotFound, "model_not_found"),
    "error_unknown_path": (NotSupported, "route_missing"),
    "error_wrong_key": (AuthenticationError, "authentication_error"),
    "error_wrong_method": (NotSupported, "route_missing"),
    "error_wrong_type": (BadRequest, "bad_request"),
    "max_tokens_over_context": (BadRequest, "max_tokens_over_context"),
    "models_no_key": (AuthenticationError, "authentication_error"),
    "rerank_error_missing_query": (BadRequest, "bad_request"),
    "rerank_error_no_documents": (BadRequest, "bad_request"),
    "rerank_error_overflow": (ContextOverflow, "context_overflow"),
    "rerank_unknown_model": (ModelNotFound, "model_not_found"),
}


def explained(name):
    recorded = vllm_reader.recorded(name)
    return explain_vllm(HttpReply(recorded.status, recorded.headers, recorded.body))


def test_every_recorded_refusal_has_its_row():
    assert sorted(RECORDED) == vllm_reader.names("test_errors")


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_refusal_is_told_apart(name):
    cls, kind = RECORDED[name]
    error = explained(name)
    assert (type(error), error.kind) == (cls, kind)
    assert error.status == vllm_reader.recorded(name).status
    assert error.hint


@pytest.mark.parametrize(
    ("name", "limit"),
    [("error_context_overflow", 1024), ("rerank_error_overflow", 512)],
)
def test_a_prompt_that_is_too_long_is_told_with_the_limit(name, limit):
    # "at least 1025 input tokens": vLLM stops counting there, so the length stays unknown
    assert (explained(name).limit, explained(name).needed) == (limit, None)


def test_characters_are_not_taken_for_tokens():
    error = explained("embeddings_error_overflow")
    assert (error.limit, error.needed) == (512, None)


# ---- what no recording has; the words are those of the server's sources --------------------------

OVERFLOW = "This model's maximum context length is 512 tokens. However, your prompt contains"
DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."
SAID = [
    (400, "BadRequestError", f"{OVERFLOW} 700 input tokens.", ContextOverflow, "context_overflow"),
    (
        400,
        "BadRequestError",
        "max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)",
        ContextOverflow,
        "context_overflow",
    ),
    (
        400,
        "BadRequestError",
        '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
        NotSupported,
        "tools_disabled",
    ),
    (
        400,
        "BadRequestError",
        'tool_choice="required" requires --tool-call-parser to be set',
        NotSupported,
        "tools_disabled",
    ),
    (
        400,
        "BadRequestError",
        (
            "Chat template is passed with request, but --trust-request-chat-template is not set."
            " Refused request with untrusted chat template."
        ),
        NotSupported,
        "not_trusted",
    ),
    (
        400,
        "BadRequestError",
        (
            "Per-request mm_processor_kwargs are disabled by default. Start the server with"
            " --trust-request-mm-kwargs only when clients are trusted."
        ),
        NotSupported,
        "not_trusted",
    ),
    (
        400,
        "BadRequestError",
        "At most 0 image(s) may be provided in one prompt.",
        NotSupported,
        "media_unsupported",
    ),
    (
        400,
        "BadRequestError",
        "At most 2 image(s) may be provided in one prompt.",
        BadRequest,
        "too_many_media",
    ),
    (
        400,
        "BadRequestError",
        "Model 'm' only supports Matryoshka dimensions [64, 128], got 65.",
        NotSupported,
        "dimensions_unsupported",
    ),
    (404, "NotFoundError", "LoRA adapter x does not exist", ModelNotFound, "model_not_found"),
    (404, "Not Found", "Not Found", NotSupported, "route_missing"),
    (422, "UnprocessableEntityError", "The image is broken", BadRequest, "bad_request"),
    (500, "InternalServerError", "Internal server error", ProviderDown, "provider_down"),
    (
        500,
        "InternalServerError",
        DEAD,
        EngineError,
        "engine_dead",
    ),
    (
        501,
        "NotImplementedError",
        "The model does not support Chat Completions API",
        NotSupported,
        "not_supported",
    ),
    (
        503,
        "Service Unavailable",
        (
            "The engine is currently busy and cannot accept new requests."
            " Please try again later or on a different instance."
        ),
        Overloaded,
        "queue_full",
    ),
    (
        503,
        "Service Unavailable",
        (
            "The engine has reached its prefill token backlog limit."
            " Please try again later or on a different instance."
        ),
        Overloaded,
        "queue_full",
    ),
    (503, "ServiceUnavailableError", "KV cache load failed", Overloaded, "overloaded"),
    (503, "unavailable_error", "Loading model", Overloaded, "model_loading"),
]


def error_object(status, type_, message):
    return {"message": message, "type": type_, "param": None, "code": status}


@pytest.mark.parametrize("wrapped", [True, False], ids=["wrapped", "as it was once"])
@pytest.mark.parametrize(("status", "type_", "message", "cls", "kind"), SAID)
def test_a_message_is_told_apart(status, type_, message, cls, kind, wrapped):
    facts = error_object(status, type_, message)
    body = {"error": facts} if wrapped else {"object": "error", **facts}
    error = explain_vllm(HttpReply(status, {"retry-after": "3"}, json.dumps(body).encode()))
    assert (type(error), error.kind, error.status) == (cls, kind, status)
    assert error.retry_after == 3.0


def test_a_length_that_was_counted_is_told():
    message = f"{OVERFLOW} 700 input tokens, which exceeds this limit."
    body = json.dumps({"error": error_object(400, "BadRequestError", message)}).encode()
    error = explain_vllm(HttpReply(400, {}, body))
    assert (error.limit, error.needed) == (512, 700)


@pytest.mark.parametrize(("status", "cls"), [(503, Overloaded), (500, ProviderDown)])
def test_an_empty_body_has_an_error_too(status, cls):
    assert type(explain_vllm(HttpReply(status, {}, b""))) is cls


# ---- within a stream -----------------------------------------------------------------------------


def streamed(*values):
    data = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)
    records = VllmRecords()
    decoder = SseDecoder(ChatChunk, records.record, finish=records.finish)
    return outputs_of(decoder, [data, b"data: [DONE]\n\n"])


def piece(finish=None, **delta):
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("status", "type_", "message", "cls", "kind"),
    [
        (500, "InternalServerError", "Internal server error", EngineError, "engine_error"),
        (
            500,
            "InternalServerError",
            DEAD,
            EngineError,
            "engine_dead",
        ),
        (
            503,
            "Service Unavailable",
            "The engine is currently busy and cannot accept new requests.",
            Overloaded,
            "queue_full",
        ),
        (400, "BadRequestError", "Grammar error: too deep", BadRequest, "bad_request"),
    ],
)
@pytest.mark.parametrize("before", [[], [piece(content="It is")]], ids=["first", "later"])
def test_an_error_in_a_stream_is_told_apart_and_what_follows_is_no_end(
    before, status, type_, message, cls, kind
):
    events = streamed(*before, {"error": error_object(status, type_, message)})
    assert [type(event) for event in events] == [*([Text] if before else []), Failed]
    error = events[-1].error
    assert (type(error), error.kind, error.phase) == (cls, kind, "stream")


@pytest.mark.parametrize("word", ["abort", "repetition"])
def test_vllms_own_ends_are_failures_with_a_next_step(word):
    events = streamed(piece(content="It is"), piece(word))
    error = events[-1].error
    assert type(error) is EngineError
    assert error.kind == {"abort": "aborted", "repetition": "repetition"}[word]


def test_a_stream_without_a_finish_reason_is_truncated_although_it_says_done():
    assert type(streamed(piece(content="It is"))[-1].error) is TruncatedStream


def test_tool_calls_without_a_call_is_a_complete_answer():
    events = streamed(piece(content="No."), piece("tool_calls"))
    assert events[-1] == Stop("complete", 0, {"finish_reason": "tool_calls"})


def test_arguments_of_null_a_call_in_one_piece_and_one_that_is_cut():
    call = {"index": 0, "id": "c1", "function": {"name": "now", "arguments": None}}
    whole = {"index": 1, "id": "c2", "function": {"name": "add", "arguments": '{"a": 1}'}}
    cut = {"index": 2, "id": "c3", "function": {"name": "add", "arguments": '{"a": '}}
    events = streamed(piece(tool_calls=[call]), piece(tool_calls=[whole, cut]), piece("length"))
    ends = [event.to_dict() for event in events if event.type == "tool_call_end"]
    assert [end["tool_call_arguments_complete"] for end in ends] == ["", '{"a": 1}', '{"a": ']
    assert [end.get("incomplete") for end in ends] == [None, None, True]
    assert events[-1] == Stop("max_tokens")


def test_both_names_of_reasoning_and_a_comment_between():
    events = streamed(piece(reasoning="a"), piece(reasoning_content="b"), piece("stop"))
    assert [event.to_dict().get("reasoning_content") for event in events] == ["a", "b", None]
