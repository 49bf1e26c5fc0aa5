"""What refusals become: every row that is known of the wire, and every recorded one."""

from __future__ import annotations

import json

import llamaserver_reader as reader
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multitap.errors import (
    AuthenticationError,
    BackendError,
    BadRequest,
    ContextOverflow,
    EngineError,
    ModelNotFound,
    NotSupported,
    Overloaded,
    ProtocolError,
    ProviderDown,
)
from multitap.events import Failed, Text
from multitap.hookspecs import Backend
from multitap.plan import chat_request
from multitap.testing import assert_chunking_invariant
from multitap.work import Head, HttpReply
from multitap_llamaserver.chat import multitap_chat
from multitap_llamaserver.errors import explain_llamaserver

OVER = "request (2008 tokens) exceeds the available context size (512 tokens), try increasing it"
TOO_LARGE = (
    "input ({} tokens) is too large to process. increase the physical batch size"
    " (current batch size: 512)"
)
NO_IMAGES = (
    "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
)
PARSE = "[json.exception.parse_error.101] parse error at line 1, column 29: syntax error"
BAD_ARGUMENTS = f"Failed to parse tool call arguments as JSON: {PARSE}"
PREFILL = "Assistant response prefill is incompatible with enable_thinking."
RANGE = "vector::_M_range_check: __n (which is 999999) >= this->size() (which is 768)"
ROWS = {
    # status, type, message: the error, its kind, and a word of what to do next
    (401, "authentication_error", "Invalid API Key"): (
        AuthenticationError,
        "authentication_error",
        "api_key",
    ),
    (403, "permission_error", "Not yours"): (AuthenticationError, None, "api_key"),
    (404, "not_found_error", "File Not Found"): (ProtocolError, None, "endpoint"),
    (503, "unavailable_error", "Loading model"): (Overloaded, "model_loading", "Wait"),
    (400, "exceed_context_size_error", OVER): (ContextOverflow, None, "--ctx-size"),
    (500, "server_error", TOO_LARGE.format(2002)): (ContextOverflow, None, "--ubatch-size"),
    (501, "not_supported_error", "This server does not support reranking."): (
        NotSupported,
        None,
        "capabilities",
    ),
    (500, "server_error", NO_IMAGES): (NotSupported, "media_not_supported", "--mmproj"),
    (500, "server_error", "audio input is not supported - hint: x"): (
        NotSupported,
        "media_not_supported",
        "--mmproj",
    ),
    (500, "server_error", BAD_ARGUMENTS): (BadRequest, "tool_arguments_invalid", "JSON object"),
    (500, "server_error", PARSE): (BadRequest, None, "Correct"),
    (500, "server_error", RANGE): (BadRequest, "token_unknown", "ids"),
    (400, "invalid_request_error", PREFILL): (BadRequest, "prefill_refused", "think"),
    (500, "server_error", "tools param requires --jinja flag"): (
        NotSupported,
        "tools_not_supported",
        "--jinja",
    ),
    (500, "server_error", "the current context does not support logits computation. skipping"): (
        NotSupported,
        "chat_not_supported",
        "another",
    ),
    (500, "server_error", "Unable to save slot"): (EngineError, "slot_not_saved", "room"),
    (400, "invalid_request_error", "Unable to restore slot: No available space in KV cache"): (
        BadRequest,
        "slot_not_restored",
        "very model",
    ),
    (400, "invalid_request_error", "Invalid filename"): (
        BadRequest,
        "slot_name_refused",
        "plain name",
    ),
    # a router's
    (400, "invalid_request_error", "model name is missing from the request"): (
        BadRequest,
        "model_missing",
        "multitap models box",
    ),
    (400, "invalid_request_error", "model 'nobody' not found"): (
        ModelNotFound,
        None,
        "multitap models box",
    ),
    (404, "not_found_error", "model is not found"): (ModelNotFound, None, "multitap models box"),
    (400, "invalid_request_error", "model is not loaded"): (
        BadRequest,
        "model_unloaded",
        "multitap load box",
    ),
    (400, "invalid_request_error", "model validation failed, unable to download"): (
        ModelNotFound,
        None,
        "Hugging Face",
    ),
}


def explained(status, body, **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return explain_llamaserver(HttpReply(status, headers, data), backend="box")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2][:40])
def test_a_refusal_is_what_it_says(row):
    status, kind_of_error, message = row
    cls, kind, hint = ROWS[row]
    error = explained(
        status, {"error": {"code": status, "message": message, "type": kind_of_error}}
    )
    assert (type(error), error.status, error.message) == (cls, status, message)
    assert error.kind == (kind or error.kind)
    assert hint in error.hint
    assert error.retryable is (cls in (EngineError, Overloaded, ProviderDown))


RECORDED = {
    "error_bad_json": (BadRequest, {}),
    "error_bad_schema": (BadRequest, {}),
    "error_context_overflow": (ContextOverflow, {"limit": 512, "needed": 2008}),
    "error_context_overflow_stream": (ContextOverflow, {"limit": 512, "needed": 2008}),
    "error_embeddings_unsupported": (NotSupported, {}),
    "error_image_to_text_model": (NotSupported, {"kind": "media_not_supported"}),
    "error_missing_messages": (BadRequest, {}),
    "error_negative_max_tokens": (BadRequest, {}),
    "error_no_key": (AuthenticationError, {}),
    "error_unknown_path": (ProtocolError, {}),
    "error_wrong_key": (AuthenticationError, {}),
    "error_wrong_method": (ProtocolError, {}),
    "error_wrong_type": (BadRequest, {}),
    "api_tags": (ProtocolError, {}),
    "embeddings_error_chat_unsupported": (NotSupported, {"kind": "chat_not_supported"}),
    "embeddings_error_missing_input": (BadRequest, {}),
    "embeddings_error_overflow": (ContextOverflow, {"limit": 512, "needed": 2002}),
    "infill": (NotSupported, {}),
    "models_no_key": (AuthenticationError, {}),
    "rerank_error_missing_query": (BadRequest, {}),
    "rerank_error_no_documents": (BadRequest, {}),
    "rerank_error_overflow": (ContextOverflow, {"limit": 512, "needed": 2003}),
    "slots_erase": (NotSupported, {"kind": "slots_not_supported"}),
}
OF_PYTHON = {
    "completion_batch": (ProviderDown, {}),
    "completion_echo_token_ids": (BadRequest, {}),
    "error_bad_json": (ProviderDown, {}),
    "error_bad_role": (BadRequest, {}),
    "error_bad_schema": (BadRequest, {}),
    "error_context_overflow": (ContextOverflow, {"limit": 1024}),
    "error_embeddings_unsupported": (NotSupported, {"kind": "embedding_not_supported"}),
    "error_unknown_path": (ProtocolError, {}),
    "error_wrong_method": (ProtocolError, {}),
    "error_wrong_type": (BadRequest, {}),
    "json_schema": (BadRequest, {}),
    "json_schema_stream": (BadRequest, {}),
    "tool_result": (BadRequest, {}),
}
WANTED = {
    **{f"llama-server-0.7.0-b11669/{name}": wanted for name, wanted in RECORDED.items()},
    **{f"llama-cpp-python-0.3.36/{name}": wanted for name, wanted in OF_PYTHON.items()},
    **{
        f"llama.cpp-b11549/{name}": wanted
        for name, wanted in RECORDED.items()
        if name.startswith(("embeddings_", "rerank_"))
    },
    "llama.cpp-b11549/slots_erase": RECORDED["slots_erase"],
}


def test_every_recorded_refusal_is_known_here():
    assert sorted(WANTED) == reader.names("test_errors")


@pytest.mark.parametrize("name", WANTED)
def test_a_recorded_refusal(name):
    recorded, (cls, facts) = reader.recorded(name), WANTED[name]
    error = explained(recorded.status, recorded.body)
    assert (type(error), error.status) == (cls, recorded.status)
    assert {fact: getattr(error, fact) for fact in facts} == facts
    assert error.hint


def test_what_the_headers_tell_is_kept_whatever_the_sentence_means():
    body = json.dumps({"error": {"code": 500, "message": RANGE, "type": "server_error"}}).encode()
    error = explained(500, body, **{"retry-after": "3", "x-request-id": "r1"})
    assert (type(error), error.retry_after, error.request_id) == (BadRequest, 3.0, "r1")


def test_an_answer_without_json_is_a_server_that_is_down():
    error = explained(500, b"Internal Server Error", **{"content-type": "text/plain"})
    assert (type(error), error.message) == (ProviderDown, "Internal Server Error")


# ---- within a stream -----------------------------------------------------------------------------

WORD = 'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"It"}}]}\n\n'
FAILURE = {"code": 500, "message": "compute error", "type": "server_error"}
OVERFLOW = {"code": 400, "message": OVER, "type": "exceed_context_size_error", "n_ctx": 512}
STREAMS = {
    "an event, then the end": (f"data: {json.dumps({'error': FAILURE})}\n\n", EngineError),
    "the field of old builds": (f"error: {json.dumps(FAILURE)}\n\ndata: [DONE]\n\n", EngineError),
    "an old build's overflow": (
        f"error: {json.dumps(OVERFLOW)}\n\ndata: [DONE]\n\n",
        ContextOverflow,
    ),
}


def read(text):
    stage = multitap_chat(Backend(id="box", provider="llamaserver"))
    work = stage.chat(chat_request("tiny", "hi"))
    head = Head(200, {"content-type": "text/event-stream"})
    return assert_chunking_invariant(lambda: work.decoder(head), text.encode())


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("begun", [True, False])
def test_an_error_in_a_stream_is_its_end(name, begun):
    said, cls = STREAMS[name]
    *before, last = read((WORD if begun else "") + said)
    assert before == ([Text("It")] if begun else [])
    assert isinstance(last, Failed)
    assert type(last.error) is cls


def test_an_overflow_in_a_stream_has_its_numbers():
    error = read(STREAMS["an old build's overflow"][0])[-1].error
    assert (error.limit, error.needed) == (512, 2008)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "message"]), inner),
)


@settings(deadline=None)
@given(st.integers(400, 599), JSON | st.binary())
def test_whatever_comes_is_some_backend_error(status, body):
    error = explained(status, body)
    assert isinstance(error, BackendError)
    assert (error.status, bool(error.message), bool(error.hint)) == (status, True, True)
