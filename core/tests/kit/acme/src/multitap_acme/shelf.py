"""Catalog, lifecycle and provider: what the server has, and who it is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec

from multitap.capabilities.catalog import Model
from multitap.capabilities.lifecycle import Progress, Slot
from multitap.capabilities.provider import Validation
from multitap.errors import EngineError, NotSupported, ProtocolError, TruncatedStream
from multitap.framing import NdjsonDecoder
from multitap.work import Exchange, Head, Stage
from multitap_acme.asking import Asking


class Entry(msgspec.Struct):
    name: str | None = None
    room: int | None = None
    maker: str | None = None


class Shelf(msgspec.Struct):
    models: list[Entry]


class AcmeCatalog(Asking):
    def models(self) -> Exchange[Model]:
        return self.ask("GET", "/models", Shelf, self.listed)

    def listed(self, shelf: Shelf) -> list[Model]:
        named = {entry.name: entry for entry in shelf.models if self.has_a_name(entry)}
        return [self.model(entry) for entry in named.values()]

    def has_a_name(self, entry: Entry) -> bool:
        return bool(entry.name)

    def describe(self, model: str, /) -> Exchange[Model]:
        return self.ask("GET", f"/models/{quote(model, safe='')}", Entry, self.described)

    def described(self, entry: Entry) -> list[Model]:
        if not self.has_a_name(entry):
            raise ProtocolError("The server described nothing")
        return [self.model(entry)]

    def model(self, entry: Entry) -> Model:
        meta: dict[str, Any] = {"maker": entry.maker} if entry.maker else {}
        return Model(id=entry.name or "", context_length=self.room(entry), meta=meta)

    def room(self, entry: Entry) -> int | None:
        return entry.room or None


# ---- lifecycle -----------------------------------------------------------------------------------


class Step(msgspec.Struct):
    doing: str | None = None
    done: int | None = None
    all: int | None = None
    fault: str | None = None


class Place(msgspec.Struct):
    number: int | None = None
    words: int | None = None


class Slots(msgspec.Struct):
    slots: list[Place]


class Stepping:
    """Reads the lines of one answer; ``ready`` is the last."""

    def __init__(self, owner: AcmeLifecycle) -> None:
        self.owner, self.ready = owner, False

    def record(self, line: Step) -> Iterator[Progress]:
        if line.fault is not None:
            raise self.owner.failure(line.fault)
        if line.doing is None or self.ready:
            return
        self.ready = line.doing == "ready"
        done = None if line.done is None else self.owner.done(line.done, line.all)
        yield Progress(status=self.owner.status(line.doing), completed=done, total=line.all)

    def finish(self) -> Iterator[Progress]:
        if not self.ready:
            raise TruncatedStream("It broke off", phase="stream")
        yield from ()


class AcmeLifecycle(Asking):
    def pull(self, model: str, /) -> Exchange[Progress]:
        return self.order("fetch", model)

    def load(self, model: str, /) -> Exchange[Progress]:
        return self.order("warm", model)

    def unload(self, model: str, /) -> Exchange[Progress]:
        return self.order("cool", model)

    def copy(self, source: str, destination: str, /) -> Exchange[Progress]:
        raise NotSupported("Acme copies nothing")

    def slots(self, model: str, /) -> Exchange[Slot]:
        return self.ask("GET", "/slots", Slots, self.listed)

    def listed(self, found: Slots) -> list[Slot]:
        return [Slot(id=self.number(n, s), tokens=s.words) for n, s in enumerate(found.slots)]

    def number(self, place: int, slot: Place) -> int:
        return place if slot.number is None else slot.number

    def order(self, verb: str, model: str) -> Exchange[Progress]:
        return self.ask("POST", f"/{verb}", Step, None, {"model": model})

    def decoder(self, shape: Any, record: Any, head: Head) -> Stage[bytes, Any]:
        if shape is not Step:
            return super().decoder(shape, record, head)
        lines = Stepping(self)
        return NdjsonDecoder(Step, lines.record, finish=lines.finish)

    def status(self, doing: str) -> str:
        return doing

    def done(self, done: int, of: int | None) -> int:
        return done

    def failure(self, fault: str) -> EngineError:
        return EngineError(fault or "It failed", phase="stream")


# ---- provider ------------------------------------------------------------------------------------


class Hello(msgspec.Struct):
    acme: str | None = None
    models: int | None = None


class AcmeProvider(Asking):
    def validate(self, model: str | None, /) -> Exchange[Validation]:
        return self.ask("GET", f"/hello{self.query(model)}", Hello, partial(self.read, model))

    def query(self, model: str | None) -> str:
        return f"?model={quote(model, safe='')}" if model else ""

    def read(self, model: str | None, hello: Hello) -> list[Validation]:
        return [Validation(server=self.name(hello), models=hello.models)]

    def name(self, hello: Hello) -> str | None:
        if not hello.acme:
            raise ProtocolError("This is no Acme")
        return f"Acme {hello.acme}"
