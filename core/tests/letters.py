"""A provider for tests, in each of the three shapes: every letter is a text, ``.`` is the end.

``letters`` reads them over HTTP, ``typist`` makes them in this process, ``poller`` asks twice.
"""

from __future__ import annotations

import threading

from multitap.capabilities.catalog import Model
from multitap.errors import EngineError, ProviderDown
from multitap.events import Failed, Notice, Stop, Text, ToolCallChunk, ToolCallEnd, ToolCallStart
from multitap.hookspecs import hookimpl
from multitap.registry import Registry
from multitap.work import Exchange, HttpCall, Json, LocalExchange, Operation, fetch


class Letters:
    def feed(self, data):
        return [event for letter in data.decode() for event in events_of(letter)]

    def finish(self):
        return []


def events_of(letter):
    if letter == ".":
        return [Stop("complete")]
    if letter == "!":
        return [Failed(EngineError("It broke"))]
    if letter == "?":
        raise ValueError("This letter is not known")
    if letter == "W":
        return [Notice("unsupported_option", "Only one at a time.", "n")]
    if letter == "T":
        call = ("c1", '{"city": "Oslo"}')
        return [ToolCallStart("c1", "weather"), ToolCallChunk(*call), ToolCallEnd(*call)]
    if letter == "I":
        return [ToolCallStart("c2", "weather"), ToolCallEnd("c2", "{", incomplete=True)]
    return [Text(letter)]


def explain(reply):
    return ProviderDown(reply.body.decode("utf-8", "replace") or "No reason given")


def exchange(request):
    body = Json({"prompt": request.messages[-1].text, "stream": request.stream})
    call = HttpCall(method="POST", path="/chat", body=body)
    return Exchange(call=call, decoder=lambda head: Letters(), explain=explain)


class OverHttp:
    options = frozenset({"max_tokens", "seed"})

    @hookimpl
    def multitap_chat(self, backend):
        return self

    @hookimpl
    def multitap_catalog(self, backend):
        return self

    def chat(self, request):
        return exchange(request)

    def models(self):
        class Names(Letters):
            def feed(self, data):
                return [Model(id=name, max_output_tokens=8) for name in data.decode().split()]

        call = HttpCall(method="GET", path="/models")
        return Exchange(call=call, decoder=lambda head: Names(), explain=explain)


class Typist:
    """Types what the test puts into ``letters``; says when it was told to stop."""

    def __init__(self, letters=()):
        self.letters = letters
        self.began = threading.Event()
        self.stopped = threading.Event()
        self.go_on = threading.Event()

    @hookimpl
    def multitap_chat(self, backend):
        return self

    def chat(self, request):
        return LocalExchange(self.run)

    def run(self, emit):
        self.began.set()
        for letter in self.letters:
            if letter == "~":  # busy until the test lets go, or until nobody listens
                while not self.go_on.wait(0.01):
                    if not emit([]):
                        self.stopped.set()
                        return
            elif not emit(events_of(letter)):
                self.stopped.set()
                return


class Poller:
    @hookimpl
    def multitap_chat(self, backend):
        return self

    def chat(self, request):
        def steps():
            yield from fetch(HttpCall(method="GET", path="/ready"))
            yield exchange(request)

        return Operation(steps, explain)


def registry(**plugins):
    """A registry of these objects alone: provider names and objects with hooks."""
    found = Registry(environ={"MULTITAP_PLUGINS": "none"})
    for provider, plugin in plugins.items():
        names = [
            name.removeprefix("multitap_") for name in dir(plugin) if name.startswith("multitap_")
        ]
        found.add(plugin, provider, names, distribution=f"multitap-{provider}")
    return found
