"""What observers are told: each start and end once, in order, however a call goes."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import closing

import letters
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interpreter import OK, a_call, post, poured
from letters import OverHttp, Poller, Typist

from multitap.engine.commands import Pour, Read, Send
from multitap.engine.flow import Flow
from multitap.engine.watch import Watch
from multitap.errors import (
    BadRequest,
    DeadlineExceeded,
    EngineError,
    NotSupported,
    PluginError,
    ProviderDown,
    RateLimited,
)
from multitap.events import Stop, Usage, UsageReport
from multitap.extensions import CallInfo
from multitap.hookspecs import hookimpl
from multitap.policy.retry import Attempt
from multitap.registry import Registry
from multitap.runtime import AsyncRuntime, Runtime
from multitap.testing import CEILING, WORLDS, Server, client_closed, close, request, send
from multitap.work import LocalExchange

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(text):
    return b"%x\r\n%s\r\n" % (len(text), text)


def whole(text):
    return send(HEAD + chunk(text) + b"0\r\n\r\n")


def held_open():
    return [request, send(HEAD + chunk(b"a")), client_closed]


class Recorder:
    """Writes down what it is told, with its own name before it."""

    def __init__(self, name, told):
        self.name, self.told = name, told
        self.ended = threading.Event()

    def note(self, *facts):
        self.told.append((self.name, *facts))

    def call_started(self, call):
        self.note("call", call)

    def attempt_started(self, call, number):
        self.note("attempt", number)

    def attempt_ended(self, call, end):
        self.note("attempt over", end)

    def call_ended(self, call, end):
        self.note("call over", end)
        self.ended.set()


class Extension:
    def __init__(self, observer):
        self.observer = observer

    @hookimpl
    def multitap_observer(self):
        return self.observer


@pytest.fixture
def told():
    """Everything that two observers are told."""
    return []


@pytest.fixture
def watched(told):
    """A registry of one plugin, with two observers."""

    def make(plugin):
        registry = letters.registry(acme=plugin)
        for name in ("b", "a"):
            extension = Extension(Recorder(name, told))
            registry.add(extension, name, ["extension"], distribution=f"dist-{name}")
        return registry

    return make


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request, watched):
    """Makes a watched runtime of one plugin at one server."""
    opened = []

    def make(plugin, url="http://127.0.0.1:9", registry=None):
        config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": url}}
        opened.append(request.param(config, registry or watched(plugin)))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def course(told, name="a"):
    """What one of them is told, in short."""
    return [fact for who, fact, _ in told if who == name]


ONE_ATTEMPT = ["call", "attempt", "attempt over", "call over"]


def ends(told, kind="call over"):
    return [end for who, fact, end in told if (who, fact) == ("a", kind)]


# ---- how a call goes -----------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [True, False])
def test_starts_come_in_order_of_distribution_and_ends_in_reverse(world, told, streamed):
    with Server([request, whole(b"Hello.")]) as server:
        here = world(OverHttp(), server.url)
        here.stream("hi") if streamed else here.call("chat", "hi")

    assert [(who, fact) for who, fact, _ in told] == [
        *[("a", "call"), ("b", "call"), ("a", "attempt"), ("b", "attempt")],
        *[("b", "attempt over"), ("a", "attempt over"), ("b", "call over"), ("a", "call over")],
    ]
    call = told[0][2]
    assert call == CallInfo(
        id=call.id,
        capability="chat",
        backend="acme",
        provider="acme",
        distribution="multitap-acme",
        model="tiny",
        streamed=streamed,
    )
    [end], [attempt] = ends(told), ends(told, "attempt over")
    assert (end.stop_reason, end.attempts, end.error, attempt.error) == ("complete", 1, None, None)
    assert 0 <= end.first_result <= end.seconds


def test_each_call_has_an_id_of_its_own(world, told):
    here = world(Typist("a."))
    for _ in range(3):
        here.call("chat", "hi")

    assert len({call.id for call in ends(told, "call")}) == 3


def test_a_long_answer_is_told_as_shortly_as_a_short_one(world, told):
    world(Typist(["a"] * 3000 + ["."])).stream("hi")

    assert len(told) == 8


def test_attempts_are_told_with_what_failed_and_the_wait(world, told):
    with Server([request, close], [request, whole(b"Hello.")]) as server:
        _, stream = world(OverHttp(), server.url).stream("hi")

    assert course(told) == ["call", *["attempt", "attempt over"] * 2, "call over"]
    first, second = ends(told, "attempt over")
    [lost, _] = stream.answer.attempts
    assert (first.number, first.error, first.delay) == (1, lost.error, lost.delay)
    assert (second.number, second.error, second.delay) == (2, None, None)
    assert ends(told)[0].attempts == 2


def test_a_server_that_is_not_there(world, told):
    with pytest.raises(ProviderDown) as caught:
        world(OverHttp(), "http://127.0.0.1:1").call("chat", "hi")

    assert course(told) == ["call", *["attempt", "attempt over"] * 3, "call over"]
    [end] = ends(told)
    assert (end.error, end.stop_reason, end.first_result) == (caught.value, "error", None)
    assert ends(told, "attempt over")[-1].error is caught.value


def test_an_error_in_the_middle_is_told_of_the_attempt_before_the_call(world, told):
    with Server([request, whole(b"Hel!")]) as server, pytest.raises(EngineError) as caught:
        world(OverHttp(), server.url).stream("hi")

    assert course(told) == ONE_ATTEMPT
    assert ends(told, "attempt over")[0].error is ends(told)[0].error is caught.value
    assert caught.value.partial.text == "Hel"
    assert ends(told)[0].first_result is not None


def test_the_operation_of_several_requests_has_several_attempts(world, told):
    ok = send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    with Server([request, ok, request, whole(b"Hello.")]) as server:
        world(Poller(), server.url).call("chat", "hi")

    assert course(told) == ["call", *["attempt", "attempt over"] * 2, "call over"]
    assert ends(told)[0].attempts == 2


def test_a_plugin_that_raises_ends_attempt_and_call(world, told):
    with pytest.raises(PluginError) as caught:
        world(Typist("a?")).stream("hi")

    assert course(told) == ONE_ATTEMPT
    assert ends(told, "attempt over")[0].error is ends(told)[0].error is caught.value


def test_a_call_that_the_plugin_refuses_at_once_has_no_attempt(world, told):
    class Refusing(Typist):
        def chat(self, request):
            raise NotSupported("Not today")

    with pytest.raises(NotSupported) as caught:
        world(Refusing()).call("chat", "hi")

    assert course(told) == ["call", "call over"]
    assert (ends(told)[0].error, ends(told)[0].attempts) == (caught.value, 0)


def test_a_refusal_is_told_as_one(world, told):
    class Broken(Typist):
        def chat(self, request):
            raise KeyError("role")

    with pytest.raises(PluginError) as caught:
        world(Broken()).call("chat", "hi")
    assert ends(told)[0].error is caught.value


def test_other_capabilities_are_watched_too(world, told):
    with Server([request, whole(b"tiny big")]) as server:
        world(OverHttp(), server.url).call("models", "acme")

    assert course(told) == ONE_ATTEMPT
    [call] = ends(told, "call")
    assert (call.capability, call.model, call.streamed) == ("catalog", "", False)


def test_usage_is_that_of_the_answer(world, told):
    usage = Usage.reported(3, 2)

    class Counting(Typist):
        def run(self, emit):
            emit([UsageReport(usage), Stop("max_tokens")])

    world(Counting()).stream("hi")

    assert (ends(told)[0].usage, ends(told)[0].stop_reason) == (usage, "max_tokens")


def test_usage_of_an_embedding_is_told_too(world, told):
    from multitap.capabilities.embedding import Embeddings, Vectors

    usage = Usage.reported(3, 0)

    class Numbers:
        @hookimpl
        def multitap_embedding(self, backend):
            return self

        def embed(self, request):
            found = Embeddings(vectors=Vectors.from_rows([[1.0]]), usage=usage)
            return LocalExchange(lambda emit: emit([found]) and None)

    world(Numbers()).call("embed", "a")

    assert (ends(told)[0].usage, ends(told)[0].stop_reason) == (usage, None)


# ---- ends that the application makes -------------------------------------------------------------


def test_leaving_early_is_a_cancelled_call(world, told):
    with Server(held_open()) as server:
        world(OverHttp(), server.url).stream("hi", after=lambda seen, stream: False)

    assert course(told) == ONE_ATTEMPT
    [end] = ends(told)
    assert (end.stop_reason, end.error) == ("cancelled", None)


def test_leaving_at_the_last_event_is_a_complete_call(world, told):
    def not_after_stop(seen, stream):
        return not isinstance(seen[-1], Stop)

    with Server([request, whole(b"Hello.")]) as server:
        world(OverHttp(), server.url).stream("hi", after=not_after_stop)

    assert course(told) == ONE_ATTEMPT
    assert ends(told)[0].stop_reason == "complete"


def test_close_from_another_thread_ends_the_call_once(world, told):
    closers = []

    def close_elsewhere(seen, stream):
        closers.append(threading.Thread(target=stream.close))
        closers[-1].start()
        return True

    with Server(held_open()) as server:
        world(OverHttp(), server.url).stream("hi", after=close_elsewhere)
    for closer in closers:
        closer.join(CEILING)

    assert course(told) == ONE_ATTEMPT
    assert ends(told)[0].stop_reason == "cancelled"


def test_the_deadline_is_told_as_the_error_that_is_raised(world, told):
    with Server(held_open()) as server, pytest.raises(DeadlineExceeded) as caught:
        world(OverHttp(), server.url).stream("hi", timeout=0.2)

    assert course(told) == ONE_ATTEMPT
    assert ends(told, "attempt over")[0].error is ends(told)[0].error is caught.value


def test_a_cancelled_task_is_a_cancelled_call(watched, told):
    async def run(url):
        config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": url}}
        rt = AsyncRuntime(config, registry=watched(OverHttp()))
        came = asyncio.Event()

        async def read():
            async with rt.stream("hi") as stream:
                async for _ in stream:
                    came.set()

        task = asyncio.create_task(read())
        await asyncio.wait_for(came.wait(), CEILING)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        rt.close()

    with Server(held_open()) as server:
        asyncio.run(run(server.url))

    assert course(told) == ONE_ATTEMPT
    assert (ends(told)[0].stop_reason, ends(told)[0].error) == ("cancelled", None)


def test_a_forgotten_stream_is_a_cancelled_call(watched, told):
    with Server(held_open()) as server:
        config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": server.url}}
        with closing(Runtime(config, registry=watched(OverHttp()))) as rt:
            stream = rt.stream("hi")
            next(stream)
            with pytest.warns(ResourceWarning, match="not closed"):
                del stream

            assert course(told) == ONE_ATTEMPT
    assert ends(told)[0].stop_reason == "cancelled"


def test_a_stream_that_was_never_begun_is_no_call(watched, told):
    with closing(Runtime({"defaults": {"model": "acme:tiny"}}, registry=watched(OverHttp()))) as rt:
        rt.stream("hi").close()

    assert told == []


def test_closing_the_runtime_ends_its_calls(watched, told):
    with Server(held_open()) as server:
        config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": server.url}}
        rt = Runtime(config, registry=watched(OverHttp()))
        stream = rt.stream("hi")
        next(stream)
        rt.close()
        assert course(told) == ONE_ATTEMPT
        assert list(stream) == []

    assert course(told) == ONE_ATTEMPT


# ---- observers that misbehave --------------------------------------------------------------------


class Raising:
    def __getattr__(self, name):
        if name.startswith(("call_", "attempt_")):
            return self.fail
        raise AttributeError(name)

    def fail(self, *facts):
        raise RuntimeError("sesame")


@pytest.mark.parametrize("letters_said", ["Hello.", "Hel!"])
def test_what_an_observer_raises_changes_nothing(world, told, letters_said, caplog):
    registry = letters.registry(acme=Typist(letters_said))
    for name, observer in (("a", Recorder("a", told)), ("b", Raising())):
        registry.add(Extension(observer), name, ["extension"], distribution=f"dist-{name}")
    here = world(None, registry=registry)
    if letters_said.endswith("."):
        assert here.call("chat", "hi").text == "Hello"
    else:
        with pytest.raises(EngineError):
            here.call("chat", "hi")

    assert course(told) == ONE_ATTEMPT
    assert here.rt.observer_faults == {"dist-b": 4}
    assert len(caplog.records) == 4  # one for each of its methods
    assert "sesame" not in caplog.text


def test_an_observer_may_close_the_stream_that_it_is_told_of(told):
    class Closing(Recorder):
        def attempt_started(self, call, number):
            super().attempt_started(call, number)
            streams[0].close()

    registry = letters.registry(acme=Typist("Hello."))
    registry.add(Extension(Closing("a", told)), "a", ["extension"], distribution="dist-a")
    with Runtime({"defaults": {"model": "acme:tiny"}}, registry=registry) as rt:
        streams = [rt.stream("hi")]
        assert list(streams[0]) == []

    assert course(told) == ONE_ATTEMPT
    assert ends(told)[0].stop_reason == "cancelled"


def test_a_broken_observer_spoils_no_call(world):
    class Broken:
        @hookimpl
        def multitap_observer(self):
            raise ValueError("No log file")

    registry = letters.registry(acme=Typist("Hello."))
    registry.add(Broken(), "broken", ["extension"], distribution="dist-x")

    answer = world(None, registry=registry).call("chat", "hi")

    assert (answer.text, answer.warnings) == ("Hello", ())
    assert "No log file" in registry.failures["extension", "broken"].reason


def test_without_observers_nothing_is_watched(monkeypatch):
    def unexpected(*facts):
        raise AssertionError("Nobody is there to be told")

    monkeypatch.setattr(Watch, "__init__", unexpected)
    registry = letters.registry(acme=Typist("Hello."))
    with Runtime({"defaults": {"model": "acme:tiny"}}, registry=registry) as rt:
        assert rt.chat("hi").text == "Hello"


# ---- the watch alone -----------------------------------------------------------------------------

CALL = CallInfo(
    id="1",
    capability="chat",
    backend="box",
    provider="acme",
    distribution="multitap-acme",
    model="tiny",
    streamed=True,
)


class Listener:
    traces = hears = False

    def __init__(self):
        self.told = []

    def tell(self, method, call, *facts):
        self.told.append((method, *facts))


def test_times_are_those_of_the_clock():
    times = iter([10.0, 11.0, 12.5, 13.0, 14.0])
    listener = Listener()
    watch = Watch(CALL, [listener], clock=lambda: next(times))

    watch.call_started()
    watch.attempt_started(1)
    watch.result_came()
    watch.result_came()
    watch.attempt_ended(Attempt(1, BadRequest("No"), 0.5))
    watch.call_ended()

    (_, attempt), (_, end) = listener.told[2:]
    assert (attempt.seconds, attempt.delay) == (2.0, 0.5)
    assert (end.seconds, end.first_result) == (4.0, 2.5)


def test_nothing_is_told_after_the_end_nor_before_the_start():
    listener = Listener()
    watch = Watch(CALL, [listener])

    watch.call_ended()
    watch.attempt_started(1)
    assert listener.told == []
    watch.call_started()
    watch.call_started()
    watch.call_ended()
    watch.call_ended(BadRequest("No"))
    watch.attempt_started(1)
    watch.attempt_ended(Attempt(1))

    assert [name for name, *_ in listener.told] == ["call_started", "call_ended"]


STEPS = st.sampled_from(
    [OK, b"a", b".", b"!", b"", b"?", ProviderDown("No"), BadRequest("No"), RateLimited("Slow")]
)


@given(script=st.lists(STEPS, max_size=12), closed=st.integers(0, 12))
def test_whatever_happens_each_start_has_one_end(script, closed):
    """Any order of heads, bytes and failures, given up after any of them."""
    listener = Listener()
    watch = Watch(CALL, [listener])
    error = run(Flow(a_call(post(), watch=watch)), script, closed)
    watch.call_ended(error)
    watch.call_ended()

    names = "".join(name[0] + name.rpartition("_")[2][0] for name, *_ in listener.told)
    assert re.fullmatch("cs(asae)*ce", names)
    assert listener.told[-1][1].attempts == names.count("as")
    assert listener.told[-1][1].error is error
    if error is not None and "ae" in names:
        assert listener.told[-2][1].error is error


def run(flow, script, closed):
    """Carry out some commands of a flow, then close it, as an interpreter does; the error."""
    commands, answers = flow.run(), iter([*script[:closed], GeneratorExit()])
    resume, answer = commands.send, None
    try:
        while True:
            command = resume(answer)
            if isinstance(command, Pour):
                answer = poured(command, lambda: next(answers), [], [])
            else:
                answer = next(answers) if isinstance(command, (Send, Read)) else None
            resume = commands.throw if isinstance(answer, BaseException) else commands.send
    except (StopIteration, GeneratorExit):
        return None
    except Exception as error:
        return error


def test_two_threads_tell_one_after_the_other_and_neither_waits():
    listening, go_on = threading.Event(), threading.Event()

    class Slow(Listener):
        def tell(self, method, call, *facts):
            if method == "attempt_started":
                listening.set()
                assert go_on.wait(CEILING)
            super().tell(method, call, *facts)

    listener = Slow()
    watch = Watch(CALL, [listener])
    watch.call_started()
    first = threading.Thread(target=watch.attempt_started, args=(1,))
    first.start()
    assert listening.wait(CEILING)
    watch.call_ended()  # returns, though an observer is busy
    assert [name for name, *_ in listener.told] == ["call_started"]
    go_on.set()
    first.join(CEILING)

    assert [name for name, *_ in listener.told] == [
        *["call_started", "attempt_started", "attempt_ended", "call_ended"]
    ]


def test_the_registry_of_a_runtime_tells_of_its_faults():
    assert Runtime({}, registry=Registry(allow=())).observer_faults == {}
