"""Chat: the exact bodies, and every shape of answer that is known of LM Studio."""

from __future__ import annotations

import json

import pytest
from lmstudio_vectors import CRASH, INSIDE, KEEP, N_KEEP, chunk, documented, sse, usage

from multitap.answer import fold
from multitap.capabilities.chat import ChatRequest, ThinkTags
from multitap.errors import (
    BadRequest,
    ContextOverflow,
    EngineError,
    ModelNotFound,
    NotSupported,
    ProtocolError,
    TruncatedStream,
)
from multitap.events import Failed, Notice, Reasoning, Stop, Text, Usage
from multitap.hookspecs import Backend
from multitap.messages import Audio, Document, Image, Message, TextPart, Tool
from multitap.testing import (
    assert_chunking_invariant,
    assert_stream_grammar,
    assert_truncation_is_seen,
)
from multitap.work import Head, HttpReply
from multitap_lmstudio.chat import SILENCE, multitap_chat

NOW = Tool("now")
NOW_SENT = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
USER = [{"role": "user", "content": "hi"}]
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
CHAT = multitap_chat(Backend(id="box", provider="lmstudio"))


def work(*messages, **asked):
    turns = messages or (Message("user", "hi"),)
    return CHAT.chat(ChatRequest(**{"model": "acme/m", "messages": turns, **asked}))


def form(schema):
    named = {"name": "answer", "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


ASKED = {
    "nothing": ({}, STREAMED),
    "a whole answer": ({"stream": False}, {}),
    "max_tokens": ({"max_tokens": 5}, {**STREAMED, "max_tokens": 5}),
    "temperature 0": ({"temperature": 0.0}, {**STREAMED, "temperature": 0.0}),
    "top_p": ({"top_p": 0.5}, {**STREAMED, "top_p": 0.5}),
    "seed 0": ({"seed": 0}, {**STREAMED, "seed": 0}),
    "stop": ({"stop": ("a",)}, {**STREAMED, "stop": ["a"]}),
    "a schema": ({"response_schema": SCHEMA}, {**STREAMED, **form(SCHEMA)}),
    "any JSON object": ({"response_schema": {}}, {**STREAMED, **form({"type": "object"})}),
    "a tool": ({"tools": (NOW,)}, {**STREAMED, "tools": [NOW_SENT]}),
    "a tool that must be": (
        {"tools": (NOW,), "tool_choice": "required"},
        {**STREAMED, "tools": [NOW_SENT], "tool_choice": "required"},
    ),
    "this tool": (
        {"tools": (Tool("other"), NOW), "tool_choice": NOW},
        {**STREAMED, "tools": [NOW_SENT], "tool_choice": "required"},
    ),
    "an option of its own": ({"extra": {"ttl": 60}}, {**STREAMED, "ttl": 60}),
}


@pytest.mark.parametrize("name", ASKED)
def test_the_body(name):
    asked, added = ASKED[name]
    call = work(**asked).call
    assert call.body.value == {"model": "acme/m", "messages": USER, **added}
    assert (call.method, call.path) == ("POST", "/v1/chat/completions")
    assert call.first_byte == (None if asked.get("stream") is False else SILENCE)


def test_what_is_not_documented_is_not_sent_and_not_declared():
    undocumented = {"n", "logprobs", "think", "truncate", "shift"}
    assert not undocumented & set(CHAT.options)
    body = work(n=2, logprobs=1, think="low").call.body.value
    assert set(body) == {"model", "messages", "stream", "stream_options"}


def test_a_picture_goes_as_bytes():
    picture = Image(data=b"\x89PNG", mime_type="image/png")
    (message,) = work(Message("user", [TextPart("?"), picture])).call.body.value["messages"]
    assert message["content"][1]["image_url"]["url"] == "data:image/png;base64,iVBORw=="


@pytest.mark.parametrize(
    "part",
    [
        Image(url="https://x.test/a.png"),
        Audio(b"x", "audio/wav"),
        Document(b"%PDF", "application/pdf"),
    ],
)
def test_what_it_is_not_known_to_take_is_refused(part):
    with pytest.raises(NotSupported):
        work(Message("user", [part]))


def test_thoughts_may_stand_in_the_text():
    assert CHAT.think_tags == ThinkTags()


# ---- streams -------------------------------------------------------------------------------------


def read(body, **asked):
    exchange = work(**asked)
    head = Head(200, {"content-type": "text/event-stream"})
    return assert_chunking_invariant(lambda: exchange.decoder(head), body)


@pytest.mark.parametrize("thought", ["reasoning_content", "reasoning"])
def test_the_documented_stream(thought):
    events = read(documented(thought))
    assert_stream_grammar(events)
    answer = fold(events, backend="b", provider="lmstudio", model="acme/m")
    assert (answer.reasoning, answer.text, answer.stop_reason) == ("Hm", "", "tool_use")
    (call,) = answer.tool_calls
    assert (call.id, call.name, call.arguments) == ("123", "weather", {"city": "Oslo"})


def test_no_beginning_of_it_looks_whole():
    exchange = work()
    head = Head(200, {"content-type": "text/event-stream"})
    assert_truncation_is_seen(lambda: exchange.decoder(head), documented())


def test_a_role_in_every_chunk_and_usage_at_the_end():
    said = [chunk(role="assistant", content=word) for word in ("Hi", " you")]
    events = read(sse(*said, chunk("stop", role="assistant"), usage(4, 2)))
    answer = fold(events, backend="b", provider="lmstudio", model="acme/m")
    assert (answer.text, answer.usage) == ("Hi you", Usage.reported(4, 2))


def test_how_fast_it_was_is_told_with_the_usage():
    stats = {"tokens_per_second": 40.1, "time_to_first_token": 0.2}
    events = read(sse(chunk(content="Hi"), chunk("stop"), {**usage(4, 2), "stats": stats}))
    (report,) = [event for event in events if event.type == "usage"]
    assert (report.usage, report.provider_options) == (Usage.reported(4, 2), {"stats": stats})
    answer = fold(events, backend="b", provider="lmstudio", model="acme/m")
    assert answer.provider_meta == {"lmstudio": {"stats": stats}}
    (report,) = read(sse(chunk(content="Hi"), chunk("stop"), {**usage(4, 2), "stats": {}}))[1:-1]
    assert report.provider_options is None


def test_an_empty_name_behind_the_first_piece_changes_nothing():
    function = {"name": "now", "arguments": "{"}
    head = {"index": 0, "id": "1", "type": "function", "function": function}
    tail = {"index": 0, "function": {"name": "", "arguments": "}"}}
    events = read(sse(chunk(tool_calls=[head]), chunk(tool_calls=[tail]), chunk("tool_calls")))
    (call,) = fold(events, backend="b", provider="p", model="m").tool_calls
    assert (call.name, call.arguments_text) == ("now", "{}")


# ---- errors inside -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("begun", [True, False])
def test_an_error_in_a_stream_is_its_end(name, begun):
    said, cls = INSIDE[name]
    *before, last = read(sse(*([chunk(content="It")] if begun else []), said, done=False))
    assert before == ([Text("It")] if begun else [])
    assert (type(last), type(last.error)) == (Failed, cls)


@pytest.mark.parametrize(
    "events",
    [
        [chunk("stop", role="assistant")],
        [chunk(role="assistant", content=""), chunk("stop"), usage(0, 0)],
    ],
)
def test_an_answer_without_a_word_is_none(events):
    *_, last = read(sse(*events))
    assert (type(last.error), last.error.kind) == (ProtocolError, "empty_response")
    assert "context" in last.error.hint


def test_a_model_that_ends_at_once_may():
    events = read(sse(chunk("stop", role="assistant"), usage(4, 1)))
    assert events[-1] == Stop("complete")


@pytest.mark.parametrize("body", [b"", b"data: [DONE]\n\n"])
def test_an_empty_stream_is_truncated(body):
    assert isinstance(read(body)[-1].error, TruncatedStream)


# ---- another model -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "answered", "other"),
    [
        ("acme/m", "acme/m", False),
        ("m", "acme/m", False),
        ("Acme/M", "acme/m", False),
        ("acme/m", "acme/m:2", False),
        ("acme/m", "acme/m@q4_k_m", False),
        ("acme/m", "acme/m2", True),
        ("m", "other/model", True),
    ],
)
def test_a_model_that_was_not_asked_is_told(asked, answered, other):
    body = sse(chunk(content="Hi", model=answered), chunk("stop", model=answered), usage(1, 1))
    events = read(body, model=asked)
    told = [e for e in events if isinstance(e, Notice)]
    assert [notice.code for notice in told] == (["other_model"] if other else [])
    assert events[len(told)] == Text("Hi")
    assert_stream_grammar(events)


def test_another_model_is_told_once_and_also_before_an_answer_without_a_word():
    silence = [chunk(role="assistant", model="x"), chunk("stop", model="x")]
    said = read(sse(silence[0], chunk(content="Hi", model="x"), silence[1]), model="m")
    assert [event.type for event in said] == ["warning", "text", "usage", "stop"]
    notice, failed = read(sse(*silence), model="m")
    assert (notice.code, failed.error.kind) == ("other_model", "empty_response")


def test_a_model_that_is_named_after_the_first_words_is_not_told():
    body = sse({"choices": chunk(content="Hi")["choices"]}, chunk("stop", model="x"), usage(1, 1))
    events = read(body, model="m")
    assert [event.type for event in events] == ["text", "usage", "stop"]
    assert_stream_grammar(events)


# ---- whole answers, and refusals -----------------------------------------------------------------


def whole(body, **asked):
    exchange = work(stream=False, **asked)
    head = Head(200, {"content-type": "application/json"})
    return assert_chunking_invariant(lambda: exchange.decoder(head), json.dumps(body).encode())


def test_a_whole_answer():
    message = {"role": "assistant", "reasoning_content": "Hm", "content": "Hi", "tool_calls": []}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    counts = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    events = whole({"model": "acme/m", "choices": [choice], "usage": counts})
    assert [type(event) for event in events[:2]] == [Reasoning, Text]
    assert events[-1] == Stop("complete")


@pytest.mark.parametrize(
    ("error", "cls"),
    [
        ("Unexpected endpoint or method. (POST /v1/chat/completion)", ProtocolError),
        (CRASH, EngineError),
        (KEEP, ContextOverflow),
    ],
)
def test_an_error_with_status_200_is_one(error, cls):
    (last,) = whole({"error": error})
    assert (type(last), type(last.error)) == (Failed, cls)


MISSING = {
    "message": 'Model "x" not found. Please specify a valid model.',
    "type": "invalid_request_error",
    "param": "model",
    "code": "model_not_found",
}
WRONG_FORM = "'response_format.type' must be 'json_schema' or 'text'"


@pytest.mark.parametrize(
    ("status", "error", "cls", "facts"),
    [
        (404, MISSING, ModelNotFound, {}),
        (400, KEEP, ContextOverflow, {"limit": 4096, "needed": 5000}),
        (400, N_KEEP, ContextOverflow, {"limit": 4096, "needed": 5000}),
        (400, WRONG_FORM, BadRequest, {}),
        (400, {"type": "invalid_request", "message": "bad", "param": "model"}, BadRequest, {}),
        (400, {"type": "model_not_found", "message": "No model"}, ModelNotFound, {}),
    ],
)
def test_a_refusal(status, error, cls, facts):
    reply = HttpReply(status, {}, json.dumps({"error": error}).encode())
    found = work().explain(reply)
    assert (type(found), found.status) == (cls, status)
    assert {name: getattr(found, name) for name in facts} == facts
