"""The way to the server: through a proxy, told to a tracer, and left before the end."""

from __future__ import annotations

import threading

import pytest
from matrix_lines import has, lacks
from matrix_wires import CAPITAL, PARIS, Replay, config_of, said

from multitap.errors import ConfigError, TruncatedStream
from multitap.events import Text
from multitap.hookspecs import hookimpl
from multitap.registry import Registry
from multitap.testing import CEILING, Server, client_closed, drip, request

LINE = "proxy / trace / abort"
KEY = "hush-canary-1234567890"
WIRE = ("llamaserver", "lmstudio", "ollama", "openai", "tgi", "vllm")
PATHS = dict.fromkeys(WIRE, "/v1/chat/completions") | {"ollama": "/api/chat"}


# ---- proxy ---------------------------------------------------------------------------------------


@has(LINE, "proxy")
def test_a_backend_is_reached_through_its_own_proxy(world, plugin):
    with Replay(said(plugin, "The capital", " of France", " is Paris.")) as proxy:
        config = config_of(plugin, endpoint="http://box.example:8000", proxy=proxy.url, api_key=KEY)
        here = world(config)
        texts = {here.stream("hi")[1].answer.text for _ in proxy.ways}
        asked = proxy.requests
    assert texts == {PARIS}
    assert {each.target for each in asked} == {f"http://box.example:8000{PATHS[plugin]}"}
    assert {each.headers["host"] for each in asked} == {"box.example:8000"}
    assert {each.headers["authorization"] for each in asked} == {f"Bearer {KEY}"}


@lacks(LINE, "proxy")
def test_a_proxy_for_what_works_in_this_process_is_refused(world, plugin):
    here = world(config_of(plugin, proxy="http://proxy.example:3128"))
    with pytest.raises(ConfigError, match=rf"proxy in \[{plugin}\] has no use") as caught:
        here.call("chat", "hi")
    assert (caught.value.key, "Remove proxy" in caught.value.hint) == (f"{plugin}.proxy", True)


# ---- trace ---------------------------------------------------------------------------------------


class Tracer:
    """An observer that keeps what it is told."""

    def __init__(self):
        self.told = []

    @hookimpl
    def multitap_observer(self):
        return self

    def call_started(self, call):
        self.told.append(("call", call.capability, call.backend, call.provider))

    def attempt_started(self, call, number):
        self.told.append(("attempt", number))

    def request_sent(self, call, request):
        self.told.append(("sent", request))

    def response_started(self, call, status, headers):
        self.told.append(("answered", status))

    def attempt_ended(self, call, end):
        self.told.append(("attempt over",))

    def call_ended(self, call, end):
        self.told.append(("call over", end.stop_reason, end.usage))


@pytest.fixture
def traced():
    """A registry of what is installed, and a tracer in it."""
    tracer, registry = Tracer(), Registry()
    registry.add(tracer, "tracer", ["extension"], distribution="tracer")
    return tracer.told, registry


BEGINS = ["call", "attempt"]
ENDS = ["attempt over", "call over"]


@has(LINE, "trace")
def test_a_tracer_is_told_of_the_call_and_of_the_true_request(world, traced, plugin):
    told, registry = traced
    if plugin not in WIRE:
        answer = world(config_of(plugin), registry).call("chat", "hi", max_tokens=4)
        assert [kind for kind, *_ in told] == [*BEGINS, *ENDS]
        assert told[0] == ("call", "chat", plugin, plugin)
        assert told[-1] == ("call over", answer.stop_reason, answer.usage)
        return
    with Replay(said(plugin, PARIS)) as server:
        config = config_of(plugin, endpoint=server.url, api_key=KEY)
        _, stream = world(config, registry).stream(f"my key is {KEY}")
        (came,) = server.requests
    assert [kind for kind, *_ in told] == [*BEGINS, "sent", "answered", *ENDS]
    assert told[-1] == ("call over", "complete", stream.answer.usage)
    sent = told[2][1]
    assert (sent.method, sent.url) == ("POST", f"{server.url}{PATHS[plugin]}")
    assert sent.body == came.body.decode().replace(KEY, "***")
    assert came.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in repr([sent.headers, *told])


# ---- abort ---------------------------------------------------------------------------------------

CALM = {"temperature": 0, "think": "off"}
ENDLESS = {**CALM, "max_tokens": 400, "extra": {"grammar": 'root ::= "a" root', "n_probs": 100}}
STORY = "Once there was a dragon. " * 20


OPTIONS = {"echo": {}, "llamacpp": CALM}


def half_of_an_answer(plugin):
    """A server that says half of a text and waits; its answer is cut inside a chunk."""
    raw = said(plugin, *(f"{word} " for word in STORY.split()))
    half = len(raw) // 2
    return Server([request, drip(raw[:half], cuts=range(50, half, 50)), client_closed])


def leave_by_break(seen, stream):
    return not isinstance(seen[-1], Text)


def leave_from_another_thread(seen, stream):
    if isinstance(seen[-1], Text):
        closer = threading.Thread(target=stream.close)
        closer.start()
        closer.join(CEILING)
    return True


@has(LINE, "abort")
@pytest.mark.parametrize("leave", [leave_by_break, leave_from_another_thread])
def test_an_answer_that_is_left_ends_the_work_and_keeps_what_came(world, plugin, leave):
    if plugin in WIRE:
        with half_of_an_answer(plugin) as server:
            here = world(config_of(plugin, endpoint=server.url))
            events, stream = here.stream("Tell me a story.", after=leave)
            assert server.connection(0).closed_by_client.wait(CEILING)
            assert len(server.requests) == 1
    else:
        here = world(config_of(plugin))
        asked = (STORY * 50, {}) if plugin == "echo" else ("Write.", ENDLESS)
        events, stream = here.stream(asked[0], after=leave, **asked[1])
        assert here.call("chat", CAPITAL, max_tokens=4, **OPTIONS[plugin]).text
    text = "".join(event.content for event in events if isinstance(event, Text))
    assert (stream.answer.stop_reason, text != "") == ("cancelled", True)
    assert stream.answer.text.startswith(text)
    assert "stop" not in [event.type for event in events]


@has(LINE, "abort")
def test_an_end_in_the_middle_is_no_abort_and_no_answer(world, plugin):
    """Nothing of an engine in this process breaks off; a limit is told apart from being left."""
    if plugin in WIRE:
        raw = said(plugin, *(f"{word} " for word in STORY.split()))
        half = raw[: len(raw) // 2]
        with Server([request, drip(half, 50)]) as server:
            here = world(config_of(plugin, endpoint=server.url))
            error = failure_of(here, "Tell me a story.")
        assert (type(error), error.partial.stop_reason) == (TruncatedStream, "error")
        assert STORY.startswith(error.partial.text.strip())
        assert error.partial.text
        return
    here = world(config_of(plugin))
    if plugin == "echo":
        error = failure_of(here, f"{PARIS}\n/fail truncated_stream")
        assert (error.partial.text, error.partial.stop_reason) == (PARIS, "error")
    else:
        answer = here.call("chat", "Write.", **{**ENDLESS, "max_tokens": 5})
        assert answer.stop_reason == "max_tokens"


def failure_of(here, prompt):
    with pytest.raises(TruncatedStream) as caught:
        here.stream(prompt)
    return caught.value
