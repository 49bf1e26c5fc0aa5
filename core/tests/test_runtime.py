"""Both runtimes, through one suite: every test runs blocking and on an event loop."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from contextlib import closing

import letters
import pytest
from letters import OverHttp, Poller, Typist

from multitap.capabilities.catalog import Model
from multitap.errors import (
    ConfigError,
    DeadlineExceeded,
    EngineError,
    NotSupported,
    PluginError,
    ProviderDown,
    TruncatedStream,
)
from multitap.events import Stop, Text
from multitap.registry import Registry
from multitap.runtime import AsyncRuntime, Runtime
from multitap.runtime.composition import Composition
from multitap.testing import CEILING, WORLDS, Server, client_closed, close, hold, request, send

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(text):
    return b"%x\r\n%s\r\n" % (len(text), text)


def whole(text):
    return send(HEAD + chunk(text) + b"0\r\n\r\n")


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes a runtime of one plugin at one server."""
    opened = []

    def make(plugin, url="http://127.0.0.1:9", **section):
        config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": url, **section}}
        opened.append(request.param(config, letters.registry(acme=plugin)))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def text(events):
    return "".join(event.content for event in events if isinstance(event, Text))


# ---- answers -------------------------------------------------------------------------------------


def test_a_whole_answer(world):
    with Server([request, whole(b"Hello.")]) as server:
        answer = world(OverHttp(), server.url).call("chat", "hi")
    assert (answer.text, answer.stop_reason) == ("Hello", "complete")
    assert (answer.backend, answer.model) == ("acme", "tiny")
    assert [attempt.error for attempt in answer.attempts] == [None]
    assert answer.usage.source == "unknown"
    assert server.requests[0].json()["stream"] is False


def test_a_stream_gives_events_and_the_answer(world):
    with Server([request, whole(b"Hello.")]) as server:
        events, stream = world(OverHttp(), server.url).stream("hi")
    assert (text(events), events[-1]) == ("Hello", Stop("complete"))
    assert stream.answer.text == "Hello"
    assert server.requests[0].json()["stream"] is True


def test_what_a_reference_means_is_found_anew_when_a_catalog_comes():
    parts = Composition(
        {"one": {"provider": "acme"}, "two": {"provider": "acme"}},
        letters.registry(acme=OverHttp()),
    )
    with pytest.raises(ConfigError):
        parts.resolve("tiny")
    parts.remember("one", [Model(id="tiny", backend="one")])
    assert [parts.resolve("tiny").ref for _ in range(2)] == ["one:tiny"] * 2
    parts.remember("one", [])
    parts.remember("two", [Model(id="tiny", backend="two")])
    assert parts.resolve("tiny").ref == "two:tiny"


def test_a_file_is_looked_for_by_each_call(tmp_path):
    parts, file = (
        Composition({"llamacpp": {}}, letters.registry(llamacpp=OverHttp())),
        tmp_path / "a",
    )
    file.touch()
    assert [parts.resolve(f"path:{file}").model for _ in range(2)] == [str(file)] * 2
    file.unlink()
    with pytest.raises(ConfigError):
        parts.resolve(f"path:{file}")


def test_a_deadline_is_not_needed_for_a_kept_connection(world):
    with Server([request, whole(b"a."), request, whole(b"b.")]) as server:
        here = world(OverHttp(), server.url)
        assert [here.call("chat", "hi").text for _ in range(2)] == ["a", "b"]
    assert len(server.connections) == 1


def test_events_come_before_the_end(world):
    seen_first = threading.Event()
    script = [
        request,
        send(HEAD + chunk(b"a")),
        hold(seen_first),
        send(chunk(b"b.") + b"0\r\n\r\n"),
    ]
    with Server(script) as server:
        events, _ = world(OverHttp(), server.url).stream(
            "hi", after=lambda seen, stream: seen_first.set() or True
        )
    assert text(events) == "ab"


def test_tool_calls_are_put_together(world):
    with Server([request, whole(b"T.")]) as server:
        call = world(OverHttp(), server.url).call("chat", "hi").tool_calls[0]
    assert (call.id, call.name, call.arguments) == ("c1", "weather", {"city": "Oslo"})


def test_arguments_that_are_no_object_are_kept_with_a_warning(world):
    with Server([request, whole(b"I.")]) as server:
        answer = world(OverHttp(), server.url).call("chat", "hi")
    assert (answer.tool_calls[0].arguments, answer.tool_calls[0].arguments_text) == (None, "{")
    assert [notice.code for notice in answer.warnings] == ["invalid_tool_arguments"]


def test_a_local_answer(world):
    events, stream = world(Typist("Hello.")).stream("hi")
    assert (text(events), stream.answer.text) == ("Hello", "Hello")


def test_an_operation(world):
    ok = send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    with Server([request, ok, request, whole(b"Hello.")]) as server:
        answer = world(Poller(), server.url).call("chat", "hi")
    assert answer.text == "Hello"
    assert [asked.path for asked in server.requests] == ["/ready", "/chat"]


# ---- failures ------------------------------------------------------------------------------------


def test_a_cut_answer_is_an_error_with_what_had_come(world):
    with Server([request, whole(b"Hel")]) as server, pytest.raises(TruncatedStream) as caught:
        world(OverHttp(), server.url).stream("hi")
    error = caught.value
    assert (error.partial.text, error.partial.stop_reason) == ("Hel", "error")
    assert (error.backend, error.model, len(error.attempts)) == ("acme", "tiny", 1)


def test_an_error_inside_the_answer(world):
    with Server([request, whole(b"Hel!")]) as server, pytest.raises(EngineError) as caught:
        world(OverHttp(), server.url).call("chat", "hi")
    assert caught.value.partial.text == "Hel"


def test_a_retry_starts_from_the_beginning(world):
    with Server([request, close], [request, whole(b"Hello.")]) as server:
        events, stream = world(OverHttp(), server.url).stream("hi")
    assert text(events) == "Hello"
    assert [type(a.error) for a in stream.answer.attempts] == [ProviderDown, type(None)]


def test_a_server_that_is_not_there(world):
    with pytest.raises(ProviderDown) as caught:
        world(OverHttp(), "http://127.0.0.1:1").call("chat", "hi")
    assert [attempt.number for attempt in caught.value.attempts] == [1, 2, 3]


def test_a_plugin_that_raises_is_named(world):
    with pytest.raises(PluginError) as caught:
        world(Typist("?")).stream("hi")
    assert caught.value.distribution == "multitap-acme"
    assert "pip install --upgrade multitap-acme`" in caught.value.hint


@pytest.mark.parametrize("make", WORLDS)
def test_a_plugin_that_was_added_and_raises_is_not_to_be_upgraded(make):
    registry = Registry(allow=())
    registry.add(Typist("?"), "acme", ["chat"])
    config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": "http://127.0.0.1:9"}}
    with make(config, registry) as here, pytest.raises(PluginError) as caught:
        here.stream("hi")
    assert caught.value.hint == "Correct what was added as acme."


@pytest.mark.parametrize("make", WORLDS)
def test_a_backend_without_an_endpoint_is_named_with_its_key(make):
    config = {"defaults": {"model": "acme:tiny"}}
    with (
        make(config, letters.registry(acme=OverHttp())) as here,
        pytest.raises(ConfigError, match=r"\[acme\] has no endpoint.*in \[acme\]") as caught,
    ):
        here.call("chat", "hi")
    assert caught.value.key == "acme.endpoint"


# ---- ends that the application makes -------------------------------------------------------------


def held_open(*, first=b"a"):
    return [request, send(HEAD + chunk(first)), client_closed]


def test_break_ends_the_request(world):
    with Server(held_open()) as server:
        events, stream = world(OverHttp(), server.url).stream(
            "hi", after=lambda seen, stream: False
        )
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert text(events) == "a"
    assert stream.answer.text == "a"
    assert stream.answer.stop_reason == "cancelled"


def test_the_answer_so_far_is_what_was_read(world):
    with Server([request, whole(b"Hello.")]) as server:
        events, stream = world(OverHttp(), server.url).stream(
            "hi", after=lambda seen, stream: len(seen) < 2
        )
    assert (text(events), stream.answer.text) == ("He", "He")
    assert stream.answer.stop_reason == "cancelled"


def test_close_ends_the_request_and_the_iteration(world):
    with Server(held_open()) as server:
        events, stream = world(OverHttp(), server.url).stream(
            "hi", after=lambda seen, stream: stream.close() or True
        )
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert text(events) == "a"
    assert stream.answer.stop_reason == "cancelled"


def test_close_from_another_thread_wakes_the_reader(world):
    def close_elsewhere(seen, stream):
        threading.Thread(target=stream.close).start()
        return True

    with Server(held_open()) as server:
        events, stream = world(OverHttp(), server.url).stream("hi", after=close_elsewhere)
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert (text(events), stream.answer.stop_reason) == ("a", "cancelled")


def test_the_deadline_ends_the_request(world):
    with Server(held_open()) as server:
        with pytest.raises(DeadlineExceeded) as caught:
            world(OverHttp(), server.url).stream("hi", timeout=2)
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert caught.value.partial.text == "a"


@pytest.mark.parametrize("typed", ["a~.", "~"], ids=["while typing", "before the first letter"])
def test_the_deadline_ends_local_work(world, typed):
    plugin = Typist(typed)
    with pytest.raises(DeadlineExceeded):
        world(plugin).stream("hi", timeout=0.2)
    assert plugin.stopped.wait(CEILING)


def test_break_ends_local_work(world):
    plugin = Typist("a~.")
    world(plugin).stream("hi", after=lambda seen, stream: False)
    assert plugin.stopped.wait(CEILING)


def test_close_from_another_thread_ends_local_work(world):
    plugin = Typist("a~.")

    def close_elsewhere(seen, stream):
        threading.Thread(target=stream.close).start()
        return True

    _, stream = world(plugin).stream("hi", after=close_elsewhere)
    assert plugin.stopped.wait(CEILING)
    assert stream.answer.stop_reason == "cancelled"


def test_local_work_waits_for_a_slow_reader(world):
    plugin = Typist(["a"] * 5000 + ["."])
    events, _ = world(plugin).stream("hi")
    assert len(text(events)) == 5000


def test_a_cancelled_task_ends_the_request():
    async def run(url):
        config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": url}}
        rt = AsyncRuntime(config, registry=letters.registry(acme=OverHttp()))
        came = asyncio.Event()
        events = rt.stream("hi")

        async def read():
            async with events as stream:
                async for _ in stream:
                    came.set()

        task = asyncio.create_task(read())
        await asyncio.wait_for(came.wait(), CEILING)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert events.answer.stop_reason == "cancelled"
        rt.close()

    with Server(held_open()) as server:
        asyncio.run(run(server.url))
        assert server.connection(0).closed_by_client.wait(CEILING)


def test_a_forgotten_stream_ends_its_request_and_says_so():
    with (
        Server(held_open()) as server,
        closing(
            Runtime(
                {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": server.url}},
                registry=letters.registry(acme=OverHttp()),
            )
        ) as rt,
    ):
        stream = rt.stream("hi")
        next(stream)
        held = [stream]
        del stream
        with pytest.warns(ResourceWarning, match="not closed"):
            held.clear()
        assert server.connection(0).closed_by_client.wait(CEILING)


def test_a_stream_that_was_never_begun_is_no_leak():
    rt = Runtime({"defaults": {"model": "acme:tiny"}}, registry=letters.registry(acme=OverHttp()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rt.stream("hi")
        gc.collect()


def test_closing_the_runtime_ends_its_streams():
    with Server(held_open()) as server:
        rt = Runtime(
            {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": server.url}},
            registry=letters.registry(acme=OverHttp()),
        )
        stream = rt.stream("hi")
        assert next(stream).content == "a"
        rt.close()
        assert list(stream) == []
        assert server.connection(0).closed_by_client.wait(CEILING)


# ---- options and models --------------------------------------------------------------------------


def test_an_option_that_cannot_be_honoured_is_a_warning(world):
    with Server([request, whole(b"a.")]) as server:
        answer = world(OverHttp(), server.url).call("chat", "hi", temperature=0.0, seed=0)
    assert [(n.code, n.option) for n in answer.warnings] == [("unsupported_option", "temperature")]


def test_strict_raises_instead(world):
    with pytest.raises(NotSupported, match="temperature"):
        world(OverHttp()).call("chat", "hi", temperature=0.0, strict=True)


def test_strict_holds_for_what_only_the_answer_tells(world):
    with Server([request, whole(b"Wa.")]) as server:
        here = world(OverHttp(), server.url)
        with pytest.raises(NotSupported, match="Only one at a time"):
            here.call("chat", "hi", strict=True)


def test_more_tokens_than_the_model_has_are_cut_with_a_warning(world):
    with Server([request, whole(b"tiny"), request, whole(b"a.")]) as server:
        here = world(OverHttp(), server.url)
        here.call("models")
        answer = here.call("chat", "hi", max_tokens=100)
    assert [notice.code for notice in answer.warnings] == ["clamped"]


def test_a_prompt_over_the_sections_limit_is_not_sent(world):
    from multitap.errors import ContextOverflow

    with pytest.raises(ContextOverflow) as caught:
        world(OverHttp(), max_input_tokens=2).call("chat", "far too long a prompt")
    assert (caught.value.limit, caught.value.needed) == (2, 6)


def test_models_are_listed_with_their_references(world):
    with Server([request, whole(b"tiny big")]) as server:
        models = world(OverHttp(), server.url).call("models")
    assert [(m.id, m.backend, m.ref) for m in models] == [
        ("tiny", "acme", "acme:tiny"),
        ("big", "acme", "acme:big"),
    ]


def test_a_backend_that_is_down_is_a_warning_of_the_list(world):
    models = world(OverHttp(), "http://127.0.0.1:1").call("models")
    assert (list(models), [notice.code for notice in models.warnings]) == ([], ["backend_down"])


def test_probe_tells_who_is_there(world):
    with Server([request, whole(b"tiny")]) as server:
        probe = world(OverHttp(), server.url).call("probe")[0]
    assert (probe.backend, probe.reachable, [m.id for m in probe.models]) == (
        "acme",
        True,
        ["tiny"],
    )


def test_probe_of_one_backend_asks_no_other(world):
    with Server([request, whole(b"tiny")]) as server:
        found = world(OverHttp(), server.url)
        assert found.call("probe", backend="other") == []
        assert [probe.backend for probe in found.call("probe", backend="acme")] == ["acme"]
        assert len(server.requests) == 1


def test_a_section_that_is_wrong_does_not_end_a_probe(world):
    (probe,) = world(OverHttp(), colour="red").call("probe")
    assert (probe.endpoint, probe.reachable) == ("http://127.0.0.1:9", False)
    assert "unknown key 'colour'" in str(probe.error)


def test_check_fails_on_an_empty_answer(world):
    with Server([request, whole(b".")]) as server:
        check = world(OverHttp(), server.url).call("check")
    assert (check.ok, check.error.kind) == (False, "empty_response")


def test_a_capability_that_is_not_offered(world):
    with pytest.raises(NotSupported, match="rerank"):
        world(OverHttp()).call("rerank", "q", ["d"])


def test_a_handle_asks_its_own_model(world):
    with Server([request, whole(b"Hello.")]) as server:
        here = world(OverHttp(), server.url)
        events, stream = here.stream("hi", model="acme:big")
        handle = here.rt.model("acme:other")
    assert (stream.answer.model, text(events)) == ("big", "Hello")
    assert (handle.backend, handle.id, handle.ref) == ("acme", "other", "acme:other")


def test_a_handle_has_the_runtimes_verbs(world):
    with Server([request, whole(b"Hello.")]) as server:
        here = world(OverHttp(), server.url)
        here.rt.verb = lambda: here.rt.model("acme:other").chat("hi")
        assert here.call("verb").model == "other"


def test_an_unknown_backend(world):
    with pytest.raises(ConfigError, match="pip install multitap-vllm"):
        world(OverHttp(), provider="vllm").call("chat", "hi")


def test_an_injected_httpx_client_carries_the_call():
    import httpx

    def answer(request):
        return httpx.Response(200, content=b"Hello.")

    config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": "http://acme.example"}}
    registry = letters.registry(acme=OverHttp())
    mock = httpx.MockTransport(answer)
    with Runtime(config, registry=registry, http=httpx.Client(transport=mock)) as rt:
        assert rt.chat("hi").text == "Hello"

    async def run():
        client = httpx.AsyncClient(transport=mock)
        async with AsyncRuntime(config, registry=registry, http=client) as rt:
            return await rt.chat("hi")

    assert asyncio.run(run()).text == "Hello"
