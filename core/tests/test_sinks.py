"""Sinks: what is called, in which order, and what happens when a sink raises."""

from __future__ import annotations

import asyncio

import letters
import pytest
from letters import OverHttp

from multitap.errors import EngineError
from multitap.events import Loading, RateLimit, Stop, Text
from multitap.hookspecs import hookimpl
from multitap.runtime import AsyncRuntime, Runtime
from multitap.sinks import CollectingSink, NullSink
from multitap.testing import CEILING, Server, client_closed, request, send
from multitap.work import LocalExchange

HEAD = b"HTTP/1.1 200 OK\r\nx-request-id: req-7\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(text):
    return b"%x\r\n%s\r\n" % (len(text), text)


def whole(text):
    return send(HEAD + chunk(text) + b"0\r\n\r\n")


def into(world, sink, plugin, url="http://127.0.0.1:9", before_close=lambda: None):
    """Run one stream into the sink; its answer. The stream is ``sink.stream``."""
    config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": url}}
    registry = letters.registry(acme=plugin)
    if world == "sync":
        with Runtime(config, registry=registry) as rt:
            sink.stream = rt.stream("hi")
            try:
                return sink.stream.into(sink)
            finally:
                before_close()

    async def run():
        async with AsyncRuntime(config, registry=registry) as rt:
            sink.stream = rt.stream("hi")
            try:
                return await sink.stream.into(sink)
            finally:
                await asyncio.to_thread(before_close)

    return asyncio.run(run())


WORLDS = pytest.mark.parametrize("world", ["sync", "async"])


@WORLDS
def test_a_sink_is_given_texts_events_and_the_whole(world):
    sink = CollectingSink()
    with Server([request, whole(b"WHello.")]) as server:
        answer = into(world, sink, OverHttp(), server.url)
    assert sink.texts == list("Hello")
    assert sink.statuses == ["Only one at a time."]
    assert [event.type for event in sink.events] == ["warning", *["text"] * 5, "stop"]
    assert (sink.text, answer.text) == ("Hello", "Hello")
    assert (answer.request_id, answer.metadata["request_id"]) == ("req-7", "req-7")


class Teller:
    @hookimpl
    def multitap_chat(self, backend):
        return self

    def chat(self, request):
        told = [Loading("loading the model"), RateLimit({}), Text("a"), Text("b", choice=1)]
        return LocalExchange(lambda emit: emit([*told, Stop("complete", 1), Stop("complete")]))


@WORLDS
def test_a_sink_is_told_why_it_waits_and_hears_one_choice(world):
    sink = CollectingSink()
    into(world, sink, Teller())
    assert sink.statuses == ["loading the model", "waiting for the backend's rate limit"]
    assert (sink.texts, len(sink.events), sink.text) == (["a"], 6, "a")


def left(server):
    """Has the client closed its connection?"""
    return server.connection(0).closed_by_client.wait(CEILING)


class Broken(Exception):
    pass


class Breaking(CollectingSink):
    def on_text(self, text):
        raise Broken(text)


@WORLDS
def test_what_a_sink_raises_ends_the_call_and_is_raised_as_it_is(world):
    sink = Breaking()
    with Server([request, send(HEAD + chunk(b"a")), client_closed]) as server:
        gone = []
        with pytest.raises(Broken) as caught:
            into(world, sink, OverHttp(), server.url, lambda: gone.append(left(server)))
    assert gone == [True]
    assert (str(caught.value), sink.text) == ("a", None)


@WORLDS
def test_what_is_raised_at_the_end_is_raised_too(world):
    class Late(NullSink):
        def on_complete(self, text):
            raise Broken(text)

    with pytest.raises(Broken, match="a"):
        into(world, Late(), Teller())


@WORLDS
def test_a_call_that_fails_is_not_complete(world):
    sink = CollectingSink()
    with Server([request, whole(b"a!")]) as server, pytest.raises(EngineError):
        into(world, sink, OverHttp(), server.url)
    assert (sink.texts, sink.text) == (["a"], None)


@WORLDS
def test_a_null_sink_only_waits(world):
    assert into(world, NullSink(), Teller()).text == "a"


@WORLDS
def test_a_call_that_a_sink_closes_is_not_complete(world):
    class Closing(CollectingSink):
        def on_text(self, text):
            super().on_text(text)
            self.stream.close()

    sink = Closing()
    with Server([request, send(HEAD + chunk(b"a")), client_closed]) as server:
        answer = into(world, sink, OverHttp(), server.url)
        assert left(server)
    assert (sink.texts, sink.text, answer.stop_reason) == (["a"], None, "cancelled")


def test_an_async_sink_is_awaited():
    class Slow:
        def __init__(self):
            self.heard = []

        async def on_status(self, status):
            await self.note("status", status)

        async def on_text(self, text):
            await self.note("text", text)

        async def on_event(self, event):
            await self.note("event", event.type)

        async def on_complete(self, text):
            await self.note("complete", text)

        async def note(self, *what):
            await asyncio.sleep(0)
            self.heard.append(what)

    sink = Slow()
    assert into("async", sink, Teller()).text == "a"
    assert sink.heard[:2] == [("event", "loading"), ("status", "loading the model")]
    assert sink.heard[-2:] == [("event", "stop"), ("complete", "a")]
