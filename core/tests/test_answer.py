"""An answer as the next turn of its conversation."""

from __future__ import annotations

import json

from multitap.answer import fold
from multitap.events import Reasoning, Stop, Text, ToolCallChunk, ToolCallEnd, ToolCallStart
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
