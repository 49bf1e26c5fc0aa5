"""What every provider and every application may rely on, through both runtimes."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from types import MappingProxyType

import attrs
import httpx
import letters
import pytest
from letters import OverHttp, Typist

from multitap.answer import fold
from multitap.capabilities.embedding import Embeddings, Vectors
from multitap.capabilities.rerank import Ranked, Ranking
from multitap.errors import (
    BackendError,
    BadRequest,
    ConfigError,
    EngineError,
    NotSupported,
    PluginError,
    ProtocolError,
    ProviderDown,
    Timeout,
)
from multitap.events import (
    Failed,
    ImageData,
    Reasoning,
    Stop,
    Text,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
    Usage,
    UsageReport,
)
from multitap.hookspecs import hookimpl
from multitap.messages import Message, Tool
from multitap.plan import chat_request
from multitap.runtime import AsyncRuntime, Runtime
from multitap.testing import CEILING, WORLDS, Server, close, request, send
from multitap.work import LocalExchange, Operation

ACME = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": "http://acme.example"}}


class Tracker:
    """An observer that counts, and keeps what it is told of a call."""

    def __init__(self):
        self.told = []

    @hookimpl
    def multitap_observer(self):
        return self

    def call_started(self, call):
        self.told.append(("start", call))

    def attempt_started(self, call, number): ...

    def attempt_ended(self, call, end):
        if end.error is not None:
            self.told.append(("error", end.error))

    def call_ended(self, call, end):
        self.told.append(("end", call.capability))


class Said(Typist):
    """Gives these events, and keeps the request."""

    options = None

    def __init__(self, *events):
        super().__init__()
        self.events = events
        self.request = None

    def chat(self, request):
        self.request = request
        return LocalExchange(self.run)

    def run(self, emit):
        for event in self.events:
            if not emit([event]):
                self.stopped.set()
                return


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes a runtime of one plugin, with extensions."""
    opened = []

    def make(plugin, *extensions, url="http://127.0.0.1:9", filters=()):
        registry = letters.registry(acme=plugin)
        for number, extension in enumerate(extensions):
            name = f"x{number}"
            registry.add(extension, name, ["extension"], distribution=f"dist-{name}")
        config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": url}}
        config["plugins"] = {"filters": list(filters)}
        opened.append(request.param(config, registry))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


# ---- metadata: for the plugin and for extensions, never for the server ---------------------------


def test_metadata_reaches_plugin_and_observers_as_the_same_object(world):
    metadata = MappingProxyType({"user": object(), "tags": ["a"]})
    plugin, tracker = Said(Stop("complete")), Tracker()

    world(plugin, tracker).call("chat", "hi", metadata=metadata, max_tokens=3)

    assert plugin.request.metadata is metadata
    assert tracker.told[0][1].metadata is metadata
    assert plugin.request.asked() == ["max_tokens"]


def test_metadata_is_none_where_nothing_is_passed(world):
    plugin, tracker = Said(Stop("complete")), Tracker()
    world(plugin, tracker).stream("hi")

    assert (plugin.request.metadata, tracker.told[0][1].metadata) == (None, None)


def test_metadata_is_no_option_that_a_plugin_could_lack(world):
    plugin = Said(Stop("complete"))
    plugin.options = frozenset()

    answer = world(plugin).call("chat", "hi", metadata={"a": 1}, strict=True)

    assert answer.warnings == ()
    assert plugin.request.metadata == {"a": 1}


def test_metadata_is_never_shown_and_never_sent(world):
    whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na."
    with Server([request, send(whole)]) as server:
        world(OverHttp(), url=server.url).call("chat", "hi", metadata={"secret": "sesame"})

    assert b"sesame" not in server.requests[0].raw
    assert "sesame" not in repr(chat_request("m", "hi", metadata={"secret": "sesame"}))


def test_metadata_that_is_no_mapping_is_refused(world):
    with pytest.raises(ConfigError, match="metadata is str"):
        world(Said()).call("chat", "hi", metadata="ada")


# ---- one client, one tracker ---------------------------------------------------------------------


def mocked(seen):
    def answer(request):
        seen.append((request.method, request.url.path))
        if request.url.path == "/models":
            return httpx.Response(200, content=b"tiny")
        return httpx.Response(200, content=b"Hello.")

    return httpx.MockTransport(answer)


LISTED_AND_ASKED = [("GET", "/models"), ("POST", "/chat"), ("POST", "/chat")]
STARTS_AND_ENDS = [
    *["start", "end"] * 3,
]


def tracked():
    registry, tracker = letters.registry(acme=OverHttp()), Tracker()
    registry.add(tracker, "tracker", ["extension"], distribution="dist-tracker")
    return registry, tracker


def test_one_injected_client_lists_and_chats_and_each_call_is_tracked_once():
    seen = []
    registry, tracker = tracked()
    with (
        httpx.Client(transport=mocked(seen)) as client,
        Runtime(ACME, registry=registry, http=client) as rt,
    ):
        assert [model.id for model in rt.models("acme")] == ["tiny"]
        assert rt.chat("hi").text == "Hello"
        with rt.stream("hi") as events:
            assert list(events)[-1] == Stop("complete")

    assert seen == LISTED_AND_ASKED
    assert [fact for fact, _ in tracker.told] == STARTS_AND_ENDS


def test_one_injected_async_client_lists_and_chats_and_each_call_is_tracked_once():
    seen = []
    registry, tracker = tracked()

    async def run():
        async with (
            httpx.AsyncClient(transport=mocked(seen)) as client,
            AsyncRuntime(ACME, registry=registry, http=client) as rt,
        ):
            assert [model.id for model in await rt.models("acme")] == ["tiny"]
            assert (await rt.chat("hi")).text == "Hello"
            async with rt.stream("hi") as events:
                assert [event async for event in events][-1] == Stop("complete")

    asyncio.run(run())
    assert seen == LISTED_AND_ASKED
    assert [fact for fact, _ in tracker.told] == STARTS_AND_ENDS


def test_the_error_is_tracked_before_the_end(world):
    tracker = Tracker()
    with pytest.raises(EngineError) as caught:
        world(Typist("ab!"), tracker).call("chat", "hi")

    assert [fact for fact, _ in tracker.told] == ["start", "error", "end"]
    assert tracker.told[1][1] is caught.value


# ---- an answer that comes in pieces though it was asked for whole --------------------------------


def test_pieces_are_merged(world):
    first, last = Usage.reported(1, 1), Usage.reported(3, 9)
    plugin = Said(
        Reasoning("I "),
        Reasoning("think"),
        Text("Hel"),
        UsageReport(first),
        Text("lo"),
        ImageData(b"1", "image/png"),
        ToolCallStart("c1", "weather"),
        ToolCallChunk("c1", '{"city": '),
        ToolCallStart("c2", "time"),
        ToolCallChunk("c1", '"Oslo"}'),
        ToolCallChunk("c2", "{}"),
        ToolCallEnd("c1"),
        ToolCallEnd("c2"),
        ImageData(b"2", "image/png"),
        UsageReport(last),
        Stop("tool_use"),
    )

    answer = world(plugin).call("chat", "hi")

    assert plugin.request.stream is False
    assert (answer.text, answer.reasoning, answer.stop_reason) == ("Hello", "I think", "tool_use")
    assert [(c.id, c.name, c.arguments) for c in answer.tool_calls] == [
        ("c1", "weather", {"city": "Oslo"}),
        ("c2", "time", {}),
    ]
    assert [image.data for image in answer.images] == [b"1", b"2"]
    assert answer.usage == last


def folded(*events):
    return fold(events, backend="b", provider="p", model="m")


def test_a_call_without_an_id_gets_one_and_its_pieces_find_it():
    answer = folded(
        ToolCallStart("", "weather"),
        ToolCallChunk("", '{"city": '),
        ToolCallChunk("", '"Oslo"}'),
        ToolCallEnd(""),
        ToolCallStart("", "time"),
        ToolCallChunk("", "{"),
        ToolCallEnd("", incomplete=True),
        ToolCallStart("call_3", "clock"),
        ToolCallStart("", "date"),
    )

    assert [(c.id, c.name, c.arguments_text) for c in answer.tool_calls] == [
        ("call_0", "weather", '{"city": "Oslo"}'),
        ("call_1", "time", "{"),
        ("call_3", "clock", ""),
        ("call_4", "date", ""),
    ]
    assert [notice.code for notice in answer.warnings] == ["invalid_tool_arguments"]


def test_a_piece_before_any_call_is_kept_without_a_name():
    [call] = folded(ToolCallChunk("", "{}"), ToolCallEnd("")).tool_calls

    assert (call.name, call.arguments) == ("", {})


def test_the_work_is_told_to_stop_when_it_fails_on_the_way(world):
    plugin = Said(Text("a"), Failed(EngineError("It broke")), *[Text("a")] * 10_000)

    with pytest.raises(EngineError):
        world(plugin).call("chat", "hi")
    assert plugin.stopped.wait(CEILING)


def test_the_work_is_told_to_stop_when_a_filter_breaks(world):
    class Breaks:
        @hookimpl
        def multitap_filter(self, call):
            return self

        def feed(self, events):
            raise KeyError("x")

        def finish(self):
            return ()

    plugin = Said(*[Text("a")] * 10_000)

    with pytest.raises(PluginError):
        world(plugin, Breaks(), filters=["x0"]).call("chat", "hi")
    assert plugin.stopped.wait(CEILING)


class Same:
    @hookimpl
    def multitap_filter(self, call):
        return self

    def feed(self, events):
        return events

    def finish(self):
        return ()


def test_strict_holds_before_any_filter(world):
    with pytest.raises(NotSupported, match="Only one at a time"):
        world(Typist("Wa."), Same(), filters=["x0"]).call("chat", "hi", strict=True)


# ---- what an application passes is left as it is -------------------------------------------------


def test_what_the_caller_passes_is_never_changed(world):
    messages = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}, Message("user", "x")]
    tools = [Tool("weather"), {"type": "function", "function": {"name": "time"}}]
    options = {
        "messages": messages,
        "tools": tools,
        "stop": ["a"],
        "extra": {"a": [1]},
        "metadata": {"b": [2]},
        "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
    }
    before = json.dumps(options, default=repr)

    here = world(Said(Stop("complete")), Tracker())
    here.call("chat", system="Be brief.", **options)
    here.stream(system="Be brief.", **options)

    assert json.dumps(options, default=repr) == before
    assert (len(messages), len(tools)) == (2, 2)


# ---- errors: who, and why ------------------------------------------------------------------------


def error_of(here):
    """That of one attempt at the backend's catalog."""
    [probe] = here.call("probe")
    return probe.error


def test_a_refused_connection_has_its_cause_and_the_backend_in_its_message(world):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = error_of(world(OverHttp(), url=f"http://127.0.0.1:{port}"))

    assert (type(error), str(error).partition(": ")[0]) == (ProviderDown, "acme")
    assert isinstance(error.__cause__, ConnectionRefusedError)


def test_a_server_without_tls_has_its_cause(world):
    plain = send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
    with Server([plain, close]) as server:
        url = server.url.replace("http://", "https://")
        error = error_of(world(OverHttp(), url=url))

    assert (isinstance(error, BackendError), error.backend) == (True, "acme")
    assert isinstance(error.__cause__, (ssl.SSLError, OSError))


def test_an_error_of_httpx_is_the_cause_of_ours():
    def refuse(request):
        raise httpx.ConnectTimeout("Too slow", request=request)

    registry = letters.registry(acme=OverHttp())
    transport = httpx.MockTransport(refuse)

    async def run():
        async with (
            httpx.AsyncClient(transport=transport) as client,
            AsyncRuntime(ACME, registry=registry, http=client) as rt,
        ):
            await rt.chat("hi", timeout=1)

    with (
        httpx.Client(transport=transport) as client,
        Runtime(ACME, registry=registry, http=client) as rt,
        pytest.raises(Timeout, match=r"^acme: ") as blocking,
    ):
        rt.chat("hi", timeout=1)
    with pytest.raises(Timeout, match=r"^acme: ") as asynchronous:
        asyncio.run(run())
    for caught in (blocking, asynchronous):
        assert isinstance(caught.value.__cause__, httpx.ConnectTimeout)


class Describing(Said):
    """Raises while it describes the work."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def chat(self, request):
        raise self.error


class Refused(Describing):
    def chat(self, request):
        def steps():
            yield from ()
            raise self.error

        return Operation(steps, letters.explain)


@pytest.mark.parametrize("kind", [Describing, Refused])
def test_a_backend_error_that_a_plugin_raises_names_the_backend(world, kind):
    with pytest.raises(NotSupported, match=r"^acme: Not today") as caught:
        world(kind(NotSupported("Not today"))).call("chat", "hi")

    assert (caught.value.backend, caught.value.model) == ("acme", "tiny")


@pytest.mark.parametrize("kind", [Describing, Refused])
def test_a_fault_of_a_plugin_names_the_provider_and_is_the_cause(world, kind):
    with pytest.raises(PluginError, match="The plugin of 'acme' failed with KeyError") as caught:
        world(kind(KeyError("role"))).call("chat", "hi")

    assert isinstance(caught.value.__cause__, KeyError)


class Numbers:
    @hookimpl
    def multitap_embedding(self, backend):
        return self

    @hookimpl
    def multitap_rerank(self, backend):
        return self

    def embed(self, request):
        return self.done(Embeddings(vectors=Vectors.from_rows([[1.0]])))

    def rerank(self, request):
        return self.done(Ranking(results=(Ranked(7, 0.5),)))

    def done(self, result):
        return LocalExchange(lambda emit: emit([result]) and None)


@pytest.mark.parametrize(
    ("verb", "asked"), [("embed", (["a", "b"],)), ("rerank", ("query", ["a", "b"]))]
)
def test_results_that_do_not_fit_the_question_name_the_backend(world, verb, asked):
    with pytest.raises(ProtocolError, match=r"^acme: ") as caught:
        world(Numbers()).call(verb, *asked)

    assert (caught.value.backend, caught.value.model) == ("acme", "tiny")


def test_an_error_of_a_status_names_the_backend(world):
    class Refusing(OverHttp):
        def chat(self, request):
            work = letters.exchange(request)
            return attrs.evolve(work, explain=lambda reply: BadRequest("No such words"))

    refused = send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
    with Server([request, refused]) as server, pytest.raises(BadRequest) as caught:
        world(Refusing(), url=server.url).call("chat", "hi")

    assert str(caught.value).startswith("acme: No such words.")
