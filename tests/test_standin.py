"""A plugin as its author writes it, through the whole of core, on the scripted server."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from installed import standin_registry
from scripted import Answer, Hold, Refusal
from server import StandInServer

from multitap import AsyncRuntime, Runtime
from multitap.errors import AuthenticationError, ModelNotFound, RateLimited
from multitap.events import Stop, Text
from multitap.testing import CEILING

ARGUMENTS = '{"city": "Oslo"}'
CALL = Answer(calls=(("c1", "weather", ARGUMENTS),), finish="tool_calls")


@pytest.fixture
def server():
    with StandInServer(key="sesame") as found:
        yield found


@pytest.fixture(params=[False, True], ids=["direct", "httpx"])
def rt(server, request):
    with httpx.Client() as client, runtime(server, http=client if request.param else None) as found:
        yield found


def runtime(server, kind=Runtime, http=None, **section):
    backend = {"endpoint": server.url, "api_key": "sesame", **section}
    config = {"defaults": {"provider": "standin", "model": "tiny"}, "standin": backend}
    return kind(config, registry=standin_registry(), http=http)


def test_an_answer_whole_and_streamed(server, rt):
    whole = rt.chat("one two three")
    with rt.stream("one two three") as events:
        seen = list(events)
    assert [e.content for e in seen if isinstance(e, Text)] == ["one", " two", " three"]
    assert events.answer.text == whole.text == "one two three"
    assert events.answer.usage == whole.usage
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (3, 3)
    assert [request.json().get("stream") for request in server.requests] == [None, True]
    assert server.keys == {"Bearer sesame"}


def test_a_tool_call_whole_and_streamed(server, rt):
    server.script += [CALL, CALL]
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    whole = rt.chat("How is it in Oslo?", tools=tools)
    with rt.stream("How is it in Oslo?", tools=tools) as events:
        list(events)
    for answer in (whole, events.answer):
        call = answer.tool_calls[0]
        assert (call.id, call.name, call.arguments) == ("c1", "weather", {"city": "Oslo"})
        assert answer.stop_reason == "tool_use"
    assert server.requests[0].json()["tools"][0]["function"]["name"] == "weather"


def test_reasoning_comes_apart(server, rt):
    server.script.append(Answer("Paris.", reasoning="France it is"))
    with rt.stream("What is the capital?") as events:
        kinds = [event.type for event in events]
    assert kinds == ["reasoning", "reasoning", "reasoning", "text", "usage", "stop"]
    assert (events.answer.reasoning, events.answer.text) == ("France it is", "Paris.")


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_come_in_the_order_of_the_texts(server, encoding):
    with runtime(server, encoding=encoding) as rt:
        vectors = rt.embed(["a", "bcd"]).vectors
    assert [list(row) for row in vectors] == [[1.0, 0.5, -1.0], [3.0, 0.5, -1.0]]
    assert server.requests[0].json()["encoding_format"] == encoding


def test_rerank_sorts_and_cuts(rt):
    results = rt.rerank("red ball", ["a cat", "a red ball", "a red hat"], top_n=2).results
    assert [(row.index, row.score) for row in results] == [(1, 1.0), (2, 0.5)]


def test_tokens_and_back(rt):
    assert rt.detokenize(rt.tokenize("hé").ids) == "hé"


def test_models(rt):
    models = rt.models()
    assert [(m.ref, m.context_length) for m in models] == [("standin:tiny", 256)]


# ---- failures ------------------------------------------------------------------------------------


def test_a_wrong_key_that_the_server_shows_is_not_shown_by_us(server):
    with runtime(server, api_key="hush-canary-wrong") as rt:
        with pytest.raises(AuthenticationError) as caught:
            rt.chat("hi")
        assert "hush-canary-wrong" not in f"{caught.value} {caught.value!r}"
        assert "hush-canary-wrong" not in str(caught.value.to_dict())


def test_an_unknown_model(rt):
    with pytest.raises(ModelNotFound) as caught:
        rt.chat("hi", model="standin:huge")
    assert (caught.value.backend, caught.value.model) == ("standin", "huge")


def test_a_busy_server_is_asked_again(server, rt):
    server.script.append(Refusal(503, "Loading model", "unavailable_error", {"retry-after": "0"}))
    answer = rt.chat("hi")
    assert answer.text == "hi"
    assert [attempt.error for attempt in answer.attempts] == [None]  # it only loads its model
    assert len(server.requests) == 2


def test_a_server_that_asks_for_a_long_wait_is_not_waited_for(server):
    refusal = Refusal(429, "Slow down", "rate_limit_error", {"retry-after": "3600"})
    server.script.append(refusal)
    with runtime(server) as rt, pytest.raises(RateLimited) as caught:
        rt.chat("hi", timeout=CEILING)
    assert caught.value.retry_after == 3600
    assert len(server.requests) == 1


# ---- slow streams --------------------------------------------------------------------------------


def test_what_has_come_is_given_before_the_rest(server, rt):
    hold = Hold()
    server.script.append(Answer("one two", hold=hold))
    with rt.stream("hi") as events:
        assert next(iter(events)) == Text("one")
        assert hold.reached.wait(CEILING)
        hold.released.open()
        assert isinstance(list(events)[-1], Stop)
    assert events.answer.text == "one two"


def test_leaving_a_stream_closes_its_connection(server, rt):
    hold = Hold()
    server.script.append(Answer("one two", hold=hold))
    with rt.stream("hi") as events:
        next(iter(events))
    assert server.connections[0].closed_by_client.wait(CEILING)
    assert (events.answer.text, events.answer.stop_reason) == ("one", "cancelled")


@pytest.mark.parametrize("over_httpx", [False, True])
def test_cancelling_a_task_closes_its_connection(server, over_httpx):
    hold = Hold()
    server.script.append(Answer("one two", hold=hold))

    async def read(stream, began):
        async with stream as events:
            async for _ in events:
                began.set()

    async def run(client):
        async with runtime(server, AsyncRuntime, http=client if over_httpx else None) as rt:
            stream, began = rt.stream("hi"), asyncio.Event()
            task = asyncio.create_task(read(stream, began))
            await asyncio.wait_for(began.wait(), CEILING)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            closed = server.connections[0].closed_by_client
            assert await asyncio.to_thread(closed.wait, CEILING)
            assert (stream.answer.text, stream.answer.stop_reason) == ("one", "cancelled")

    async def main():
        async with httpx.AsyncClient() as client:
            await run(client)

    asyncio.run(main())
