"""Queue, circuit, fallback, clocks and limits through both runtimes, over real sockets."""

from __future__ import annotations

import asyncio
import os
import threading

import letters
import pytest
from fake_clock import FakeClock
from fault_bounds import no_waits
from letters import OverHttp

from multitap.capabilities.embedding import Embeddings, Vectors
from multitap.errors import (
    BadRequest,
    ConfigError,
    Overloaded,
    ProtocolError,
    ProviderDown,
    QuotaExceeded,
    Timeout,
)
from multitap.events import Loading, RateLimit, Stop, Text
from multitap.framing import JsonDecoder, SseDecoder
from multitap.hookspecs import hookimpl
from multitap.runtime import AsyncRuntime, Runtime
from multitap.testing import (
    CEILING,
    WORLDS,
    Gate,
    Server,
    client_closed,
    hold,
    repeat,
    request,
    respond,
    send,
    tell,
)
from multitap.work import Exchange, HttpCall, Json

__all__ = ("no_waits",)

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
HI = send(HEAD + b"3\r\nhi.\r\n0\r\n\r\n")
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes a runtime of letters at some servers: ``a``, ``b`` and so on are its backends."""
    opened = []

    def make(*urls, clock=None, plugin=None, defaults=None, **section):
        names = "abc"[: len(urls)]
        sections = {
            n: {"provider": "acme", "endpoint": u} for n, u in zip(names, urls, strict=True)
        }
        sections["a"].update(section)
        config = {"defaults": {"model": "a:tiny"}, **sections}
        registry = letters.registry(acme=plugin or OverHttp())
        options = {} if clock is None else {"clock": clock}
        opened.append(request.param(config, registry, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


class Refuses(OverHttp):
    """Explains every refusal as one error."""

    def __init__(self, error, **facts):
        self.explain = lambda reply: error("It says so", **facts)

    @hookimpl
    def multitap_chat(self, backend):
        return self

    def chat(self, asked):
        call = HttpCall(method="POST", path="/chat", body=Json({}))
        return Exchange(call=call, decoder=lambda head: letters.Letters(), explain=self.explain)


def text(events):
    return "".join(event.content for event in events if isinstance(event, Text))


# ---- elsewhere -----------------------------------------------------------------------------------


def test_a_backend_that_is_down_is_replaced_by_the_one_that_was_named(world):
    with Server([request, HI]) as server:
        here = world(NOWHERE, server.url)
        answer = here.call("chat", "hi", fallback=["b:tiny"], idempotent=True)
    assert (answer.text, answer.backend) == ("hi", "b")
    assert [a.error and a.error.backend for a in answer.attempts] == ["a", "a", "a", None]
    (notice,) = answer.warnings
    assert notice.code == "fallback"
    assert "a failed" in notice.message


def test_the_section_names_it_for_every_call(world):
    with Server([request, HI]) as server:
        here = world(NOWHERE, server.url, fallback=["b:tiny"])
        events, stream = here.stream("hi")
    assert (text(events), stream.answer.backend) == ("hi", "b")


def test_none_is_asked_where_the_caller_is_wrong(world):
    with Server([request, respond(400, body="No"), client_closed]) as server:
        here = world(server.url, NOWHERE, plugin=Refuses(BadRequest))
        with pytest.raises(BadRequest) as caught:
            here.call("chat", "hi", fallback=["b:tiny"])
    assert (caught.value.backend, len(caught.value.attempts)) == ("a", 1)


def test_where_all_fail_the_error_has_every_attempt(world):
    with pytest.raises(ProviderDown) as caught:
        world(NOWHERE, NOWHERE).call("chat", "hi", fallback=["b:tiny"])
    assert [a.error.backend for a in caught.value.attempts] == ["a"] * 3 + ["b"] * 3


def test_an_unknown_one_is_a_mistake_before_anything_is_sent(world):
    with pytest.raises(ConfigError):
        world(NOWHERE).call("chat", "hi", fallback=["nobody:tiny", ""])


# ---- turns ---------------------------------------------------------------------------------------


def test_with_one_slot_calls_go_one_after_the_other():
    came, go = Gate(), Gate()
    script = [
        request,
        tell(came),
        send(HEAD + b"1\r\na\r\n"),
        hold(go),
        send(b"1\r\n.\r\n0\r\n\r\n"),
    ]
    config = {"acme": {"endpoint": "", "max_in_flight": 1}, "defaults": {"model": "acme:tiny"}}
    with Server(script, [request, HI]) as server:
        config["acme"]["endpoint"] = server.url
        with Runtime(config, registry=letters.registry(acme=OverHttp())) as rt:
            seen = []

            def second():
                with rt.stream("two") as events:
                    seen.extend(events)

            with rt.stream("one") as first:
                assert next(first) == Text("a")
                thread = threading.Thread(target=second)
                thread.start()
                assert came.wait(CEILING)
                assert len(server.connections) == 1
                go.open()
                list(first)
            thread.join(CEILING)
    assert isinstance(seen[0], RateLimit)
    assert seen[0].rate_limit["providerId"] == "acme"
    assert text(seen) == "hi"


def test_a_stream_that_is_closed_lets_the_next_one_go():
    script = [request, send(HEAD + b"1\r\na\r\n"), client_closed]
    with Server(script, [request, HI]) as server:
        config = {"acme": {"endpoint": server.url, "max_in_flight": 1}}
        with Runtime(config, registry=letters.registry(acme=OverHttp())) as rt:
            stream = rt.stream("one", model="acme:tiny")
            assert next(iter(stream)) == Text("a")
            stream.close()
            assert rt.chat("two", model="acme:tiny").text == "hi"
            del stream


async def _two_in_line(url):
    config = {"acme": {"endpoint": url, "max_in_flight": 1}}
    async with AsyncRuntime(config, registry=letters.registry(acme=OverHttp())) as rt:
        async with rt.stream("one", model="acme:tiny") as first:
            await anext(first)
            waiting = asyncio.ensure_future(rt.chat("two", model="acme:tiny"))
            given_up = asyncio.ensure_future(rt.chat("three", model="acme:tiny"))
            admission = rt._parts.traffic.admission(rt._parts.sections["acme"])
            while admission.waiting < 2:
                await asyncio.sleep(0)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            assert admission.waiting == 1
        answer = await waiting
        assert (admission.waiting, admission.in_flight) == (0, 0)
        return answer.text


def test_a_task_that_is_cancelled_in_line_leaves_it():
    script = [request, send(HEAD + b"1\r\na\r\n"), client_closed]
    with Server(script, [request, HI]) as server:
        assert asyncio.run(_two_in_line(server.url)) == "hi"


def test_a_turn_that_never_comes(world):
    with Server([request, send(HEAD), client_closed]) as server:
        here = world(server.url, max_in_flight=1)
        admission = here.rt._parts.traffic.admission(here.rt._parts.sections["a"])
        taken = admission.enter("tiny", 30)
        with pytest.raises(Timeout) as caught:
            here.call("chat", "hi", timeout={"queue": 0.05})
        taken.leave()
    assert (caught.value.kind, caught.value.phase) == ("queue_timeout", "queue")
    assert caught.value.attempts == ()


def test_limits_may_change_while_somebody_waits():
    came = Gate()
    script = [request, send(HEAD + b"1\r\na\r\n"), tell(came), client_closed]
    with Server(script, [request, HI]) as server:
        config = {"acme": {"endpoint": server.url, "max_in_flight": 1}}
        with Runtime(config, registry=letters.registry(acme=OverHttp())) as rt:
            with rt.stream("one", model="acme:tiny") as first:
                next(iter(first))
                answers = []
                work = lambda: answers.append(rt.chat("two", model="acme:tiny"))  # noqa: E731
                thread = threading.Thread(target=work)
                thread.start()
                rt.limit("acme", max_in_flight=2)
                thread.join(CEILING)
                assert [answer.text for answer in answers] == ["hi"]
            with pytest.raises(ConfigError):
                rt.limit("acme", max_in_flight=0)
            with pytest.raises(ConfigError):
                rt.limit("nobody")


# ---- backends that are down, and accounts that are spent -----------------------------------------


def test_after_five_failures_calls_fail_at_once_and_force_asks_anyway(world):
    here = world(NOWHERE, clock=FakeClock())
    for expected in ("connect_failed", "connect_failed", "circuit_open"):
        with pytest.raises(ProviderDown) as caught:
            here.call("chat", "hi")
        assert caught.value.kind == expected
    assert caught.value.kind == "circuit_open"
    with pytest.raises(ProviderDown) as caught:
        here.call("chat", "hi", force=True)
    assert caught.value.kind == "connect_failed"


def test_an_account_without_credit_is_not_asked_again(world):
    refusal = respond(429)
    with Server([request, refusal, request, refusal, client_closed]) as server:
        here = world(server.url, plugin=Refuses(QuotaExceeded, kind="insufficient_quota"))
        for expected in ("", "queue", "queue"):
            with pytest.raises(QuotaExceeded) as caught:
                here.call("chat", "hi")
            assert (caught.value.phase or "") == expected
        with pytest.raises(QuotaExceeded) as caught:
            here.call("chat", "hi", force=True)
        assert caught.value.phase is None
        assert len(server.requests) == 2


def test_a_model_that_is_loading_is_waited_for(world):
    loads = Refuses(Overloaded, kind="model_loading")
    with Server([request, respond(503), request, HI]) as server:
        events, stream = world(server.url, plugin=loads).stream("hi")
    assert isinstance(events[0], Loading)
    assert (text(events), len(stream.answer.attempts)) == ("hi", 1)


# ---- clocks and limits ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "how"),
    [("section", {"timeouts": {"idle": 0.05}}), ("call", {"timeout": {"idle": 0.05}})],
)
def test_a_clock_of_a_backend_and_of_a_call(world, where, how):
    with Server([request, send(HEAD + b"1\r\na\r\n"), client_closed]) as server:
        here = world(server.url, **(how if where == "section" else {}))
        with pytest.raises(Timeout) as caught:
            here.call("chat", "hi", **(how if where == "call" else {}))
    assert (caught.value.kind, caught.value.partial.text) == ("stall_timeout", "a")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"timeout": {"idel": 1}}, "did you mean 'idle'"),
        ({"timeout": {"idle": 0}}, "above 0 for idle"),
        ({"timeout": {"idle": True}}, "above 0 for idle"),
        ({"timeout": 0}, "above 0"),
        ({"limits": {"record_bytes": 1.5}}, "above 0 for record_bytes"),
        ({"limits": {"records": 1}}, "unknown key 'records'"),
    ],
)
def test_a_bound_that_is_none_is_named(world, how, words):
    with pytest.raises(ConfigError, match=words):
        world(NOWHERE).call("chat", "hi", **how)


class Sse(OverHttp):
    @hookimpl
    def multitap_chat(self, backend):
        return self

    def chat(self, asked):
        call = HttpCall(method="POST", path="/chat", body=Json({}))
        decoder = lambda head: SseDecoder(str, lambda value: [Text(value)])  # noqa: E731
        return Exchange(call=call, decoder=decoder, explain=letters.explain)


@pytest.mark.parametrize("where", ["section", "call"])
def test_a_limit_of_a_backend_and_of_a_call(world, where):
    how = {"limits": {"record_bytes": 50}}
    body = b'data: "short"\n\ndata: "%s"\n\n' % (b"x" * 60)
    with Server([request, respond(body=body), client_closed]) as server:
        here = world(server.url, plugin=Sse(), **(how if where == "section" else {}))
        with pytest.raises(ProtocolError) as caught:
            here.call("chat", "hi", **(how if where == "call" else {}))
    assert (caught.value.kind, caught.value.partial.text) == ("limit_exceeded", "short")


def test_the_whole_call_by_name(world):
    with Server([request, send(HEAD + b"1\r\na\r\n"), client_closed]) as server:
        here = world(server.url)
        with pytest.raises(Timeout) as caught:
            here.call("chat", "hi", timeout={"total": 0.2})
    assert caught.value.kind == "deadline_exceeded"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_waits_for_none_of_its_parents_calls():
    held = [request, send(HEAD), client_closed]
    settings = {"max_in_flight": 1}
    with Server(held, [request, HI]) as server:
        config = {"acme": {"endpoint": server.url, **settings}}
        rt = Runtime(config, registry=letters.registry(acme=OverHttp()))
        with rt, rt.stream("one", model="acme:tiny"):
            child = os.fork()
            if not child:
                os._exit(rt.chat("two", model="acme:tiny", timeout=CEILING).text != "hi")
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Measured(JsonDecoder):
    """Notes how long a body it is told to take; the usual one is its own affair."""

    told = ()

    def bound(self, *, record, body):
        super().bound(record=record, body=body)
        Measured.told = (*Measured.told, body)


class Bodies(OverHttp):
    @hookimpl
    def multitap_chat(self, backend):
        return self

    @hookimpl
    def multitap_embedding(self, backend):
        return self

    def chat(self, asked):
        return self._asks(lambda value: [Text(value), Stop("complete")])

    def embed(self, asked):
        return self._asks(lambda value: [Embeddings(vectors=Vectors.from_rows([[1.0]]))])

    def _asks(self, read):
        call = HttpCall(method="POST", path="/chat", body=Json({}))
        return Exchange(call=call, decoder=lambda _: Measured(str, read), explain=letters.explain)


def test_vectors_may_be_longer_than_other_answers_unless_a_limit_is_set(world):
    Measured.told = ()
    with Server(repeat(request, respond(body=b'"x"'))) as server:
        here = world(server.url, plugin=Bodies())
        here.call("chat", "hi")
        here.call("embed", ["hi"])
        here.call("embed", ["hi"], limits={"body_bytes": 3})
        strict = world(server.url, plugin=Bodies(), limits={"body_bytes": 2})
        with pytest.raises(ProtocolError) as caught:
            strict.call("embed", ["hi"])
    assert Measured.told == (256 << 20, 3, 2)
    assert caught.value.kind == "limit_exceeded"
