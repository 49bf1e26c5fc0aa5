"""What is sent to chat, exactly; and what is told of a prompt that is read."""

from __future__ import annotations

import json

import pytest

from multitap.capabilities.chat import CacheHint, ChatRequest
from multitap.errors import NotSupported
from multitap.events import Loading, Notice, Stop, Text, Usage, UsageReport
from multitap.hookspecs import Backend
from multitap.messages import (
    Audio,
    Document,
    Image,
    Message,
    TextPart,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from multitap.testing import assert_chunking_invariant, assert_stream_grammar
from multitap.work import Head
from multitap_llamaserver.chat import SILENCE, multitap_chat

WEATHER = Tool("weather", "How it is.", {"type": "object", "properties": {"city": {}}})
NOW = Tool("now")
NOW_SENT = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
BARE = {
    "return_progress": True,
    "model": "m",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}
CHAT = multitap_chat(Backend(id="box", provider="llamaserver"))


def work(*messages, **asked):
    turns = messages or (Message("user", "hi"),)
    return CHAT.chat(ChatRequest(model="m", messages=turns, **asked))


def notices(**asked):
    head = Head(200, {"content-type": "text/event-stream"})
    outputs = work(**asked).decoder(head).feed(b'data: {"choices":[]}\n\n')
    return [(event.code, event.option) for event in outputs if isinstance(event, Notice)]


def encoded(*messages):
    return work(*messages).call.body.value["messages"]


def thinking(**kwargs):
    return {"chat_template_kwargs": kwargs}


ASKED = {
    "nothing": ({}, {}),
    "a whole answer": ({"stream": False}, {}),
    "max_tokens": ({"max_tokens": 5}, {"max_tokens": 5}),
    "temperature 0": ({"temperature": 0.0}, {"temperature": 0.0}),
    "top_p": ({"top_p": 0.5}, {"top_p": 0.5}),
    "seed 0": ({"seed": 0}, {"seed": 0}),
    "stop": ({"stop": ("a", "b")}, {"stop": ["a", "b"]}),
    "n": ({"n": 2}, {"n": 2}),
    "logprobs": ({"logprobs": 0}, {"logprobs": True}),
    "top logprobs": ({"logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
    "a schema": (
        {"response_schema": SCHEMA},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": SCHEMA},
            }
        },
    ),
    "any JSON": ({"response_schema": {}}, {"response_format": {"type": "json_object"}}),
    "think auto": ({"think": "auto"}, {}),
    "think off": ({"think": "off"}, thinking(enable_thinking=False)),
    "think low": ({"think": "low"}, thinking(enable_thinking=True, reasoning_effort="low")),
    "think medium": (
        {"think": "medium"},
        thinking(enable_thinking=True, reasoning_effort="medium"),
    ),
    "think high": ({"think": "high"}, thinking(enable_thinking=True, reasoning_effort="high")),
    "think, and the template's own": (
        {"think": "off", "extra": thinking(style="short")},
        thinking(enable_thinking=False, style="short"),
    ),
    "a tool": ({"tools": (NOW,)}, {"tools": [NOW_SENT]}),
    "a choice": (
        {"tools": (NOW,), "tool_choice": "required"},
        {"tools": [NOW_SENT], "tool_choice": "required"},
    ),
    "no call": (
        {"tools": (NOW,), "tool_choice": "none"},
        {"tools": [NOW_SENT], "tool_choice": "none"},
    ),
    "this tool": (
        {"tools": (WEATHER, NOW), "tool_choice": NOW},
        {"tools": [NOW_SENT], "tool_choice": "required"},
    ),
    "an option of llama-server": (
        {"extra": {"top_k": 3, "cache_prompt": False}},
        {"top_k": 3, "cache_prompt": False},
    ),
    "extra has the last word": (
        {"temperature": 0.5, "extra": {"temperature": 0.7, "return_progress": False}},
        {"temperature": 0.7, "return_progress": False},
    ),
}


@pytest.mark.parametrize("name", ASKED)
def test_the_body(name):
    asked, added = ASKED[name]
    assert work(**asked).call.body.value == {**BARE, **added}
    assert notices(**asked) == []


def test_where_it_goes_and_how_long_it_may_be_silent():
    call = work().call
    assert (call.method, call.path, call.first_byte) == ("POST", "/v1/chat/completions", SILENCE)


NOT_AS_ASKED = {
    "think minimal": (
        {"think": "minimal"},
        thinking(enable_thinking=True, reasoning_effort="low"),
        [("adjusted_option", "think")],
    ),
    "think xhigh": (
        {"think": "xhigh"},
        thinking(enable_thinking=True, reasoning_effort="high"),
        [("adjusted_option", "think")],
    ),
    "logprobs beside tools": (
        {"tools": (NOW,), "logprobs": 2},
        {"tools": [NOW_SENT]},
        [("unsupported_option", "logprobs")],
    ),
}


@pytest.mark.parametrize("name", NOT_AS_ASKED)
def test_what_is_not_as_it_was_asked_for_is_told(name):
    asked, added, told = NOT_AS_ASKED[name]
    assert work(**asked).call.body.value == {**BARE, **added}
    assert notices(**asked) == told


def test_a_conversation_is_sent_without_its_thoughts():
    call = ToolCall("c1", "weather", '{"city": "Oslo"}')
    assert encoded(
        Message("system", "Be brief."),
        Message("user", [TextPart("What"), Image(data=b"\x89PNG", mime_type="image/png")]),
        Message("assistant", [Thought("hm"), call]),
        Message("tool", [ToolResult("c1", "sunny", name="weather")]),
    ) == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny", "name": "weather"},
    ]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("", "{}"),
        ('{"a": 1}', '{"a": 1}'),
        ("{bad", {"invalid": "{bad"}),
        ("[1]", {"invalid": "[1]"}),
    ],
)
def test_arguments_that_are_no_object_are_wrapped_as_the_server_reads_them(text, sent):
    (message,) = encoded(Message("assistant", [ToolCall("c1", "now", text)]))
    arguments = message["tool_calls"][0]["function"]["arguments"]
    assert (arguments if isinstance(sent, str) else json.loads(arguments)) == sent


@pytest.mark.parametrize("part", [Document(b"%PDF", "application/pdf"), Audio(b"x", "audio/flac")])
def test_what_it_does_not_take_is_refused_before_it_is_sent(part):
    with pytest.raises(NotSupported):
        work(Message("user", [part]))


# ---- the prompt ----------------------------------------------------------------------------------


def event(progress=None, finish=None, **delta):
    found = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    if progress:
        found["prompt_progress"] = {"total": 900, "cache": 100, "processed": progress}
    return f"data: {json.dumps(found)}\n\n"


def test_a_prompt_that_is_read_in_steps_tells_how_far_it_is():
    role = {"role": "assistant", "content": None}
    steps = [event(progress, **role) for progress in (0, 512, 900)]
    said = [*steps, ":\n\n", event(**role), event(content="Hi"), event(finish="stop")]
    usage = {"prompt_tokens": 900, "completion_tokens": 1}
    said.append(f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n")
    body = "".join([*said, "data: [DONE]\n\n"]).encode()
    head = Head(200, {"content-type": "text/event-stream"})
    events = assert_chunking_invariant(lambda: work().decoder(head), body)
    assert events == [
        Loading("reading the prompt", 512, 900),
        Text("Hi"),
        UsageReport(Usage.reported(900, 1)),
        Stop("complete"),
    ]
    assert_stream_grammar(events)


@pytest.mark.parametrize("keep", [True, False])
def test_the_cache_is_used_or_not(keep):
    body = work(cache=CacheHint(keep=keep)).call.body.value
    assert body == {**BARE, "cache_prompt": keep}
