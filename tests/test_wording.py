"""Thinking and calls that stand in the text, over the wire and in both worlds."""

from __future__ import annotations

import json

import pytest
from installed import standin_registry
from scripted import Answer
from server import StandInServer

from multitap import Message, Tool, ToolResult
from multitap.events import Text
from multitap.testing import WORLDS, assert_stream_grammar

WEATHER = Tool("weather", "How it is outside.", {"type": "object"})
CALL = '<function_call> {"name": "weather", "arguments": {"city": "Oslo"}} </function_call>'
THOUGHT = "The user wants <function_call> of secret-thought."
LOOKS = Answer(f"<think> {THOUGHT} </think> I will look. {CALL}")
SAYS = Answer("<think> Now I know. </think> It is -4 °C.")


@pytest.fixture
def server():
    with StandInServer() as found:
        yield found


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(server, request):
    section = {"endpoint": server.url, "think_tags": True, "tools": "text"}
    config = {"defaults": {"model": "standin:tiny"}, "standin": section}
    with request.param(config, standin_registry()) as found:
        yield found


def ask(world, streamed, turns):
    if not streamed:
        return world.call("chat", messages=turns, tools=[WEATHER])
    events, stream = world.stream(messages=turns, tools=[WEATHER])
    assert_stream_grammar(events)
    assert not any("<" in event.content for event in events if isinstance(event, Text))
    return stream.answer


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_conversation_with_a_model_that_thinks_and_calls_in_its_text(server, world, streamed):
    server.script += [LOOKS, SAYS]
    turns = [Message("user", "How cold is it?")]
    first = ask(world, streamed, turns)
    (call,) = first.tool_calls
    assert (first.text, first.reasoning) == ("I will look. ", f"{THOUGHT} ")
    assert (call.name, call.arguments, first.stop_reason) == (
        "weather",
        {"city": "Oslo"},
        "tool_use",
    )
    turns += [first.message, Message("tool", ToolResult(call.id, "-4 °C"))]
    second = ask(world, streamed, turns)
    assert (second.text, second.reasoning) == ("It is -4 °C.", "Now I know. ")
    assert (second.tool_calls, second.stop_reason) == ((), "complete")

    one, two = [request.json() for request in server.requests]
    assert {"tools", "tool_choice"}.isdisjoint({*one, *two})
    (asked,) = one["messages"]
    assert asked["content"].startswith("How cold is it?\n\n")
    assert "<name>weather</name>" in asked["content"]
    assert [message["role"] for message in two["messages"]] == ["user", "assistant", "user"]
    assert two["messages"][1] == {"role": "assistant", "content": "I will look. "}
    assert '"response": "-4 °C"' in two["messages"][2]["content"]
    assert "<name>weather</name>" in two["messages"][2]["content"]


def test_no_request_ever_holds_what_a_model_thought(server, world):
    server.script += [LOOKS, SAYS, Answer("Bye.", reasoning="secret-thought of a field"), SAYS]
    turns = []
    for question in ("One?", "Two?", "Three?", "Four?"):
        turns.append(Message("user", question))
        answer = world.call("chat", messages=turns)
        assert answer.reasoning
        turns.append(answer.message)
    assert len(server.requests) == 4
    for request in server.requests:
        assert "thought" not in json.dumps(request.json())
    stored = [Message.from_dict(json.loads(json.dumps(turn.to_dict()))) for turn in turns]
    world.call("chat", messages=[*stored, Message("user", "Five?")])
    assert "thought" not in json.dumps(server.requests[-1].json())
