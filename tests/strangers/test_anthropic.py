"""Anthropic's own client against ``/v1/messages`` of the scripted LM Studio.

No plugin of ours uses this route; the script serves it for the tests of applications, by the same
rules as its other routes. Run by `nox -s "strangers(anthropic)"`, in an environment of its own.
"""

from __future__ import annotations

import asyncio

import anthropic
import pytest
from anthropic.types import RawMessageStreamEvent
from lmstudio_documents import example
from pydantic import BaseModel, TypeAdapter
from scripted_answers import CONTEXT
from scripted_lmstudio import ScriptedLmStudio

from multitap.testing import CEILING

EVENT = TypeAdapter(RawMessageStreamEvent)
HOW = {"api_key": "sesame", "max_retries": 0, "timeout": CEILING}


class Blocking:
    """What the client says, in blocking code."""

    def ask(self, url, call, **how):
        with anthropic.Anthropic(base_url=url, **{**HOW, **how}) as client:
            found = call(client)
            return list(found) if isinstance(found, anthropic.Stream) else found

    def follow(self, url, **asked):
        """The message that the client has put together of a stream."""
        client = anthropic.Anthropic(base_url=url, **HOW)
        with client, client.messages.stream(**asked) as stream:
            return stream.get_final_message()


class OnALoop:
    """The same on an event loop."""

    def ask(self, url, call, **how):
        async def run():
            async with anthropic.AsyncAnthropic(base_url=url, **{**HOW, **how}) as client:
                found = await call(client)
                streamed = isinstance(found, anthropic.AsyncStream)
                return [part async for part in found] if streamed else found

        return asyncio.run(run())

    def follow(self, url, **asked):
        async def run():
            client = anthropic.AsyncAnthropic(base_url=url, **HOW)
            async with client, client.messages.stream(**asked) as stream:
                return await stream.get_final_message()

        return asyncio.run(run())


@pytest.fixture(params=[Blocking, OnALoop], ids=["sync", "async"])
def world(request):
    return request.param()


@pytest.fixture
def server():
    with ScriptedLmStudio() as found:
        yield found


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def say(request, world, server):
    """The message that comes to a question, whole or put together of a stream."""

    def ask(prompt, **options):
        asked = of(prompt, **options)
        if request.param:
            return known(world.follow(server.url, **asked))
        return known(world.ask(server.url, lambda client: client.messages.create(**asked)))

    return ask


def of(prompt, **options):
    asked = {"model": "tiny", "max_tokens": 200, "messages": [{"role": "user", "content": prompt}]}
    return {**asked, **options}


def known(part):
    """The part itself, once the client's own type has found all that it demands in it."""
    plain = part.model_dump(exclude_unset=True, by_alias=True, warnings=False)
    anthropic.types.Message.model_validate(plain)
    assert beside(part) == set()
    return part


def beside(value):
    """The fields, at any depth, that the client has no word for."""
    if isinstance(value, BaseModel):
        return set(value.model_extra or ()).union(*(beside(field) for _, field in value))
    return set().union(*map(beside, value)) if isinstance(value, list) else set()


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def calls_of(message):
    return [(b.id, b.name, b.input) for b in message.content if b.type == "tool_use"]


TOOL = {
    "name": "weather",
    "description": "How it is outside.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
TWO_CITIES = "How is the weather in Oslo, and in Rome?"


def test_a_text(say):
    message = say("Why is the sky blue?", system="Be brief.")
    assert text_of(message) == "Because air scatters blue light more than red."
    assert (message.stop_reason, message.role) == ("end_turn", "assistant")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 8)


def test_few_tokens(say):
    message = say("Why is the sky blue?", max_tokens=3)
    assert (text_of(message), message.stop_reason) == ("Because air scatters", "max_tokens")


def test_a_stop_text(say):
    assert text_of(say("The capital of France?", stop_sequences=[" is"])) == "The capital of France"


@pytest.mark.parametrize(
    ("choice", "cities"),
    [
        ({"type": "auto"}, ["Oslo", "Rome"]),
        ({"type": "auto", "disable_parallel_tool_use": True}, ["Oslo"]),
        ({"type": "any"}, ["Oslo", "Rome"]),
        ({"type": "tool", "name": "weather"}, ["Oslo", "Rome"]),
        ({"type": "none"}, []),
    ],
)
def test_calls(say, choice, cities):
    message = say(TWO_CITIES, tools=[TOOL], tool_choice=choice)
    called = [(f"toolu_{n}", "weather", {"city": city}) for n, city in enumerate(cities, 1)]
    assert calls_of(message) == called
    assert message.stop_reason == ("tool_use" if cities else "end_turn")


def test_results_go_back_with_what_was_said(say):
    first = say(TWO_CITIES, tools=[TOOL])
    told = zip(calls_of(first), ["cold", "warm"], strict=True)
    results = [{"type": "tool_result", "tool_use_id": c[0], "content": t} for c, t in told]
    turns = [
        {"role": "user", "content": TWO_CITIES},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    assert text_of(say("", messages=turns, tools=[TOOL])) == "It is cold and warm."


@pytest.mark.parametrize(
    ("thinking", "thought"),
    [({"type": "enabled", "budget_tokens": 1024}, "Two and two."), ({"type": "disabled"}, None)],
)
def test_thoughts_where_they_are_wanted(say, thinking, thought):
    message = say("What is 2 plus 2?", thinking=thinking, max_tokens=2000)
    assert text_of(message) == "Four."
    thoughts = [block.thinking for block in message.content if block.type == "thinking"]
    assert thoughts == ([thought] if thought else [])
    assert message.usage.output_tokens == (4 if thought else 1)


def test_the_events_of_a_stream(world, server):
    asked = of("How is the weather in Oslo?", tools=[TOOL], stream=True)
    events = world.ask(server.url, lambda client: client.messages.create(**asked))
    for event in events:
        EVENT.validate_python(event.model_dump(exclude_unset=True, warnings=False))
    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 2,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert set().union(*map(beside, events)) == set()
    assert "".join(e.delta.partial_json for e in events[2:4]) == '{"city": "Oslo"}'


@pytest.mark.parametrize("name", ["messages", "messages-stream", "messages-tools"])
def test_the_requests_of_the_documentation(world, server, name):
    asked = {**example(f"{name}.request"), "model": "tiny"}
    found = world.ask(server.url, lambda client: client.messages.create(**asked))
    assert isinstance(found, list) is (name == "messages-stream")
    if name == "messages-tools":
        assert [name for _, name, _ in calls_of(known(found))] == ["get_weather"]


# ---- failures ------------------------------------------------------------------------------------

LONG = "many words " * CONTEXT


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("asked", "cls", "kind"),
    [
        ({"model": "nobody"}, anthropic.NotFoundError, "not_found_error"),
        ({"prompt": LONG}, anthropic.BadRequestError, "invalid_request_error"),
    ],
    ids=["a model", "a prompt"],
)
def test_a_refusal(world, server, asked, cls, kind, streamed):
    options = of(**{"prompt": "Hi", **asked})
    with pytest.raises(cls) as caught:
        world.ask(server.url, lambda client: client.messages.create(**options, stream=streamed))
    assert caught.value.body["error"]["type"] == kind


def test_a_key(world):
    with ScriptedLmStudio(key="open") as server:
        asked = of("Hi")
        with pytest.raises(anthropic.AuthenticationError):
            world.ask(server.url, lambda client: client.messages.create(**asked))
        for how in ({"api_key": "open"}, {"api_key": None, "auth_token": "open"}):
            found = world.ask(server.url, lambda c: c.messages.create(**asked), **how)
            assert text_of(found) == "Hello!"


def test_a_crash(world, server):
    asked = of("crash")
    with pytest.raises(anthropic.InternalServerError) as caught:
        world.ask(server.url, lambda client: client.messages.create(**asked))
    assert caught.value.body["error"]["message"] == "The model has crashed."


def test_a_crash_within_a_stream(world, server):
    asked = of("crash", stream=True)
    with pytest.raises(anthropic.APIStatusError) as caught:
        world.ask(server.url, lambda client: client.messages.create(**asked))
    said = caught.value
    assert (said.status_code, said.body["error"]["type"]) == (200, "api_error")


def test_tokens_cannot_be_counted_and_it_does_not_say_so(world, server):
    """LM Studio documents no such route, and gives status 200 for those that it does not have."""
    asked = of("Hi")
    asked.pop("max_tokens")
    found = world.ask(server.url, lambda client: client.messages.count_tokens(**asked))
    assert found.input_tokens is None
    assert found.model_extra["error"].startswith("Unexpected endpoint or method. (POST")
