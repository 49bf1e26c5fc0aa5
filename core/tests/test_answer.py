"""An answer as the next turn of its conversation."""

from __future__ import annotations

import json

import pytest

from multitap.answer import fold
from multitap.events import (
    Reasoning,
    Stop,
    Text,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
    Usage,
    UsageReport,
)
from multitap.messages import Message, Thought, ToolCall

META = {"thought_signature": "abc"}
EVENTS = [
    Reasoning("Hm."),
    Text("Let me "),
    Text("look."),
    ToolCallStart("c1", "weather", provider_options=META),
    ToolCallChunk("c1", '{"city": '),
    ToolCallEnd("c1", '{"city": "Oslo"}'),
    Stop("tool_use"),
]


def test_an_answer_becomes_a_turn_with_its_calls_and_their_providers_data():
    message = fold(EVENTS, backend="g", provider="gemini", model="m").message
    call = ToolCall("c1", "weather", '{"city": "Oslo"}', {"gemini": META})
    expected = Message("assistant", [Thought("Hm."), "Let me look.", call])
    assert message == expected
    assert Message.from_dict(json.loads(json.dumps(message.to_dict()))) == expected


def test_thoughts_keep_what_their_provider_wants_back():
    one, two = {"signature": "1"}, {"signature": "2"}
    events = [
        Reasoning("Hm, "),
        Reasoning("well.", provider_options=one),
        Reasoning("So", provider_options=two),
        Reasoning(".", provider_options=two),
        Reasoning(" Yes."),
        Text("Yes."),
        Stop("complete"),
    ]
    answer = fold(events, backend="c", provider="claude", model="m")
    assert answer.reasoning == "Hm, well.So. Yes."
    thoughts = [Thought("Hm, well.", {"claude": one}), Thought("So.", {"claude": two})]
    expected = Message("assistant", [*thoughts, Thought(" Yes."), "Yes."])
    assert answer.message == expected
    assert Message.from_dict(json.loads(json.dumps(answer.message.to_dict()))) == expected


@pytest.mark.parametrize(
    ("text", "arguments", "says"),
    [
        ("", None, "may not be whole"),
        (" ", None, "may not be whole"),
        ('{"city', None, "no JSON object"),
        ('{"city": "Oslo"}', {"city": "Oslo"}, "may not be whole"),
    ],
)
def test_a_call_that_was_cut_off_says_so(text, arguments, says):
    events = [
        ToolCallStart("c", "weather"),
        ToolCallEnd("c", text, incomplete=True),
        Stop("max_tokens"),
    ]
    answer = fold(events, backend="g", provider="g", model="m")
    (cut,) = answer.tool_calls
    assert (cut.arguments, cut.arguments_text, cut.incomplete) == (arguments, text, True)
    (warning,) = answer.warnings
    assert warning.code == "invalid_tool_arguments"
    assert says in warning.message
    assert answer.to_dict()["tool_calls"][0]["incomplete"] is True
    assert Message.from_dict(json.loads(json.dumps(answer.message.to_dict()))) == answer.message


def test_a_whole_call_without_arguments_has_an_empty_object():
    events = [ToolCallStart("c", "look"), ToolCallEnd("c", ""), Stop("tool_use")]
    answer = fold(events, backend="g", provider="g", model="m")
    assert answer.tool_calls == (ToolCall("c", "look", ""),)
    assert answer.tool_calls[0].arguments == {}
    assert answer.warnings == ()
    assert "incomplete" not in answer.to_dict()["tool_calls"][0]


def test_a_call_that_has_not_ended_has_no_arguments_yet():
    (going_on,) = fold(EVENTS[:4], backend="g", provider="g", model="m").tool_calls
    assert (going_on.arguments, going_on.incomplete) == (None, True)


def test_what_only_the_provider_tells_is_kept_by_its_name():
    events = [
        Text("Hi"),
        UsageReport(Usage.reported(1, 1), {"timings": {"predicted_ms": 3}}),
        Stop("complete", 1, {"finish_reason": "other"}),
        Stop("complete", 0, {"finish_reason": "eos_token"}),
    ]
    answer = fold(events, backend="box", provider="tgi", model="m")
    told = {"tgi": {"timings": {"predicted_ms": 3}, "finish_reason": "eos_token"}}
    assert answer.provider_meta == told
    assert answer.to_dict()["provider_meta"] == told
    assert fold(EVENTS, backend="g", provider="g", model="m").provider_meta == {}


def test_an_answer_knows_where_it_came_from():
    answer = fold(EVENTS, backend="g", provider="gemini", model="m", request_id="r", latency=1.5)
    assert (answer.backend, answer.provider, answer.model) == ("g", "gemini", "m")
    expected = {
        "backend": "g",
        "provider": "gemini",
        "model": "m",
        "request_id": "r",
        "stop_reason": "tool_use",
        "attempts": "0",
        "latency": "1.500000",
    }
    assert answer.metadata == expected
    assert answer.time_to_generate is None
