"""The models of an Atlas server, what is done with them, and whose the key is."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from multitap.capabilities.catalog import Model
from multitap.capabilities.lifecycle import Progress
from multitap.capabilities.provider import Validation
from multitap.errors import EngineError, ModelNotFound
from multitap.framing import NdjsonDecoder
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange, Head, HttpCall, Operation, Out, Steps, fetch
from multitap_atlas.calls import ask, explain


class Sheet(msgspec.Struct):
    """One model."""

    id: str | None = None
    pages: int | None = None
    can: list[str] | None = None
    open: bool | None = None


class Sheets(msgspec.Struct):
    """What ``GET /models`` answers."""

    models: list[Sheet] | None = None


class Carried(msgspec.Struct):
    """One line of ``PUT /models/{id}``."""

    doing: str | None = None
    bytes: int | None = None
    of: int | None = None
    fault: str | None = None


class Owner(msgspec.Struct):
    """What ``GET /me`` answers."""

    name: str | None = None
    left: float | None = None
    server: str | None = None


def read_sheets(reply: Sheets) -> Iterator[Model]:
    """One result for each model; what the server does not say is unknown."""
    for sheet in reply.models or ():
        if sheet.id:
            can = None if sheet.can is None else frozenset(sheet.can)
            yield Model(
                id=sheet.id, context_length=sheet.pages, capabilities=can, loaded=sheet.open
            )


def read_carried(line: Carried) -> Iterator[Progress]:
    """How far it is; a fault ends it."""
    if line.fault is not None:
        raise EngineError(line.fault)
    if line.doing:
        yield Progress(status=line.doing, completed=line.bytes, total=line.of)


def carrying(head: Head) -> NdjsonDecoder[Carried, Progress]:
    """One for each attempt."""
    return NdjsonDecoder(Carried, read_carried)


def _path(model: str) -> str:
    return f"/models/{quote(model, safe='')}"


class AtlasModels:
    """Stateless; one for each backend."""

    def models(self) -> Exchange[Model]:
        """The list over ``GET /models``."""
        return ask("GET", "/models", Sheets, read_sheets)

    def pull(self, model: str, /) -> Exchange[Progress]:
        """A download, a line at a time."""
        call = HttpCall(method="PUT", path=_path(model))
        return Exchange(call=call, decoder=carrying, explain=explain)

    def load(self, model: str, /) -> Exchange[Progress]:
        """One call; it answers when the model is there."""
        return ask("POST", f"{_path(model)}/open", Carried, read_carried)

    def unload(self, model: str, /) -> Exchange[Progress]:
        """One call; a model that is not loaded is no error."""
        return ask("POST", f"{_path(model)}/close", Carried, read_carried)

    def validate(self, model: str | None, /) -> Operation[Validation]:
        """The key over ``GET /me``, and the model by the list, where one is named."""

        def steps() -> Steps[Validation]:
            reply = yield from fetch(HttpCall(method="GET", path="/me"))
            me = msgspec.json.decode(reply.body, type=Owner)
            if model is not None:
                listed = yield from fetch(HttpCall(method="GET", path="/models"))
                sheets = msgspec.json.decode(listed.body, type=Sheets).models or ()
                if model not in {sheet.id for sheet in sheets}:
                    raise ModelNotFound(f"Atlas has no {model}")
            yield Out([Validation(server=me.server, account=me.name, remaining=me.left)])

        return Operation(steps, explain)


@hookimpl
def multitap_catalog(backend: Backend) -> AtlasModels:
    """The list over ``GET /models``."""
    return AtlasModels()


@hookimpl
def multitap_lifecycle(backend: Backend) -> AtlasModels:
    """Pull, load and unload over ``/models/{id}``."""
    return AtlasModels()


@hookimpl
def multitap_provider(backend: Backend) -> AtlasModels:
    """Validate over ``GET /me``."""
    return AtlasModels()
