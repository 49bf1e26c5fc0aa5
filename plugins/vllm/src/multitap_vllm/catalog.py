"""Catalog: ``/v1/models`` lists, and a look at the routes tells what the model can do.

A vLLM has one model (under one or more names, and with its LoRAs), and only the routes that this
model can serve. So each route of ``ROUTES`` is asked for in the wrong way, by GET, which does no
work: it is there if the method is what is wrong (405).
"""

from __future__ import annotations

from collections.abc import Generator

import attrs
import msgspec

from multitap.capabilities.catalog import Model
from multitap.dialects.asking import ask
from multitap.dialects.openai.errors import explain_openai
from multitap.dialects.openai.identity import is_foreign
from multitap.errors import BackendError, ModelNotFound
from multitap.hookspecs import Backend, hookimpl
from multitap.work import HttpCall, HttpReply, Operation, Out, Steps, fetch
from multitap_vllm.models import ROUTES, Models, found

__all__ = ("VllmCatalog", "is_sleeping", "listed", "multitap_catalog")


class Sleep(msgspec.Struct):
    """The answer of ``/is_sleeping``."""

    is_sleeping: bool | None = None


@attrs.frozen
class VllmCatalog:
    """The models of one server; all are loaded, unless it was put to sleep."""

    def models(self) -> Operation[Model]:
        """Every name that the server answers to."""

        def steps() -> Steps[Model]:
            yield Out((yield from listed()))

        return Operation(steps, explain_openai)

    def describe(self, model: str, /) -> Operation[Model]:
        """One model, out of the list; vLLM has no question about one alone."""

        def steps() -> Steps[Model]:
            wanted = [each for each in (yield from listed()) if each.id == model]
            if not wanted:
                raise ModelNotFound(f"The server has no model {model!r}", model=model)
            yield Out(wanted)

        return Operation(steps, explain_openai)


def listed() -> Generator[HttpCall, HttpReply, list[Model]]:
    """Every model, and whether it is awake."""
    models = yield from ask(Models, "GET", "/v1/models")
    routes = []
    for capability, path in ROUTES.items():
        if (yield from _is_there(path)):
            routes.append(capability)
    loaded = not (yield from is_sleeping())
    return [attrs.evolve(model, loaded=loaded) for model in found(models, routes)]


def is_sleeping() -> Generator[HttpCall, HttpReply, bool]:
    """Is the memory of the graphics card free? A server that has no such route is awake."""
    try:
        return bool((yield from ask(Sleep, "GET", "/is_sleeping")).is_sleeping)
    except BackendError as error:
        if not is_foreign(error):
            raise
        return False


def _is_there(path: str) -> Generator[HttpCall, HttpReply, bool]:
    try:
        yield from fetch(HttpCall(method="GET", path=path))
    except BackendError as error:
        if error.status is None:  # there is no server to go on with
            raise
        return error.status == 405
    return False


@hookimpl
def multitap_catalog(backend: Backend) -> VllmCatalog:
    """List the models of a vLLM server."""
    return VllmCatalog()
