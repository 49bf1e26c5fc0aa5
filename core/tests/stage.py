"""A plugin for tests of the command line: what is said to it tells it what to do."""

import json
import threading
from pathlib import Path

from multitap.capabilities.catalog import Model
from multitap.capabilities.embedding import Embeddings, Vectors
from multitap.capabilities.lifecycle import Progress, Slot
from multitap.capabilities.rerank import Ranked, Ranking
from multitap.capabilities.tokenize import Tokens, TokenText
from multitap.errors import BadRequest, EngineError, ModelNotFound, ProtocolError, ProviderDown
from multitap.events import (
    AudioData,
    Event,
    Failed,
    ImageData,
    Loading,
    Notice,
    Reasoning,
    Stop,
    Text,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
    Usage,
    UsageReport,
)
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange

CAPABILITIES = ("chat", "embedding", "rerank", "tokenize", "catalog", "lifecycle")
RED = "\x1b[31mred\x1b[0m\x07\x9b2J\u202eevil"


def answer(request) -> list[Event]:
    """The events of a request: its last message names a scene, or is said back."""
    said = request.messages[-1].text
    scenes = {
        "red": [Text(RED[:3]), Text(RED[3:])],
        "think": [Reasoning("first\x1b[2J"), Reasoning(" thoughts"), Text("then words")],
        "recall": [Text(json.dumps([[m.role, m.text] for m in request.messages]))],
        "media": [ImageData(b"1", "image/png"), AudioData(b"22", "audio/wav", 8000)],
        "call": [ToolCallStart("1", "look"), ToolCallChunk("1", '{"a": 1}'), ToolCallEnd("1")],
        "loading": [Loading("loading", 1, 2), Loading("loading", 2, 2), Text("loaded")],
        "warn": [Notice("clamped", "less\nthan asked", "max_tokens"), Text("warned")],
        "fail": [Text("half an"), Failed(EngineError("the engine\x1b[2J broke"))],
        "lines": [Text("one\n"), Text("two\n")],
        "silent": [],
        "seen": [Text(json.dumps([type(p).__name__ for p in request.messages[-1].parts]))],
        "options": [Text(json.dumps(list(request.asked())))],
    }
    events = scenes.get(said, [Text(said[:2]), Text(said[2:])])
    cut = request.max_tokens is not None
    end = [UsageReport(Usage.reported(3, 2)), Stop("max_tokens" if cut else "complete")]
    return events if said == "fail" else [*events, *end]


class Chat:
    def chat(self, request, /):
        said = request.messages[-1].text
        if said == "crash":
            raise RuntimeError("no such scene")

        def run(emit):
            if said.startswith("wait"):
                if said == "wait":
                    emit([Text("a part")])
                elif said.startswith("wait /"):
                    Path(said[len("wait ") :]).write_text("here")
                threading.Event().wait()
            if said.startswith("count /"):
                with Path(said[len("count ") :]).open("a") as log:
                    log.write(f"{request.model}\n")
            emit(answer(request))

        return LocalExchange(run)


class Numbers:
    options = ("dimensions", "input_type")

    def embed(self, request, /):
        rows = [[float(len(text)), 0.5] for text in request.texts]
        return done(Embeddings(vectors=Vectors.from_rows(rows), model=request.model))

    def rerank(self, request, /):
        scores = [Ranked(i, len(text) / 100) for i, text in enumerate(request.documents)]
        return done(Ranking(results=tuple(scores), usage=Usage.reported(5, 0)))

    def tokenize(self, request, /):
        data = request.text.encode()
        pieces = None if request.model == "bare" else tuple(bytes([b]) for b in data)
        return done(Tokens(ids=tuple(data), pieces=pieces))

    def detokenize(self, request, /):
        return done(TokenText(bytes(request.ids).decode()))


class Shelf:
    def __init__(self, backend):
        self.backend = backend

    def models(self):
        if self.backend.endpoint.endswith("/down"):
            raise ProviderDown("nobody is there", kind="connect_failed", phase="connect")
        demo = self.backend.provider == "llamacpp"
        known = Model(id="demo" if demo else "one", capabilities={"chat"}, context_length=256)
        return done(known, Model(id="two", size=1_500_000_000, loaded=True, meta={"\x1b[2J": "x"}))

    def running(self):
        memory = {"memory": "9000000", "expires_at": "2319-03-03T09:13:57.608051804Z"}
        return done(Model(id="two", context_length=128, loaded=True, meta=memory))

    def load(self, model, /):
        return done(Progress(status="there"))

    unload = load

    def pull(self, model, /):
        """Two layers; a model's name says what happens after the first."""
        if model == "missing":
            raise ModelNotFound("there is nothing of this name")

        def run(emit):
            steps = [Progress(status="pulling manifest\x1b[2J")]
            steps += [layer("a", n) for n in range(0, 1000, 4)]
            emit(steps)
            if model.startswith("/"):
                Path(model).write_text("here")
            while model.startswith(("/", "slow")) and emit([]):
                threading.Event().wait(0.02)
            if model == "broken":
                emit([Failed(ProtocolError("the digest does not match"))])
            emit([layer("b", 3000, 3000), Progress(status="success")])

        return LocalExchange(run)

    def slots(self, model, /):
        return done(Slot(id=0, busy=True, tokens=7, context_length=128), Slot(id=1))

    def save_slot(self, model, slot, name, /):
        return done(Slot(id=slot, tokens=7, size=9000))

    def restore_slot(self, model, slot, name, /):
        if name == "missing.bin":
            raise BadRequest("there is no such file")
        return self.save_slot(model, slot, name)

    def erase_slot(self, model, slot, /):
        return done(Slot(id=slot, tokens=0))

    def copy(self, source, destination, /):
        return done(Progress(status=f"{source} {destination}"))

    def delete(self, model, /):
        if model == "missing":
            raise ModelNotFound("there is no such model")
        return done(Progress(status="success"))


def layer(name, completed, total=1000):
    return Progress(
        status=f"pulling {name}", completed=completed, total=total, digest=f"sha256:{name}"
    )


def done(*results):
    return LocalExchange(lambda emit: emit(results) and None)


@hookimpl
def multitap_chat(backend: Backend) -> Chat:
    return Chat()


@hookimpl
def multitap_embedding(backend: Backend) -> Numbers:
    return Numbers()


@hookimpl
def multitap_rerank(backend: Backend) -> Numbers:
    return Numbers()


@hookimpl
def multitap_tokenize(backend: Backend) -> Numbers:
    return Numbers()


@hookimpl
def multitap_catalog(backend: Backend) -> Shelf:
    return Shelf(backend)


@hookimpl
def multitap_lifecycle(backend: Backend) -> Shelf:
    return Shelf(backend)
