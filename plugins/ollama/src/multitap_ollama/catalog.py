"""Catalog: ``/api/tags`` lists, ``/api/ps`` says what is loaded, ``/api/show`` what each can do.

The list alone does not know what a model of its own template can do, so each is asked for itself:
the ``SHOWN_AT_MOST`` newest ones, one after the other; what the others can do stays unknown, and
``describe`` tells it. A model that cannot be shown is listed with its ``problem``.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

import attrs

from multitap.capabilities.catalog import Model
from multitap.dialects.asking import ask
from multitap.errors import BackendError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import HttpCall, HttpReply, Operation, Out, Steps
from multitap_ollama.errors import explain_ollama
from multitap_ollama.models import Entry, Models, Shown, listed, shown
from multitap_ollama.requests import LoadSettings

__all__ = ("SHOWN_AT_MOST", "OllamaCatalog", "multitap_catalog")

SHOWN_AT_MOST = 128


@attrs.frozen
class OllamaCatalog:
    """The models of one server."""

    backend: str
    settings: LoadSettings

    def models(self) -> Operation[Model]:
        """Every model, as it becomes known."""
        return self._operation(self._list)

    def describe(self, model: str, /) -> Operation[Model]:
        """One model, by one request; whether it is loaded stays unknown."""

        def steps() -> Steps[Model]:
            yield Out([(yield from self._shown(Model(id=model)))])

        return self._operation(steps)

    def _operation(self, steps: Any) -> Operation[Model]:
        return Operation(steps, partial(explain_ollama, backend=self.backend))

    def _list(self) -> Steps[Model]:
        tags = yield from ask(Models, "GET", "/api/tags")
        loaded = yield from self._loaded()
        for place, entry in enumerate(tags.named()):
            model = listed(entry, (loaded or {}).get(entry.id), known=loaded is not None)
            if place < SHOWN_AT_MOST:
                model = yield from self._shown_if(model)
            yield Out([model])

    def _loaded(self) -> Generator[HttpCall, HttpReply, dict[str, Entry] | None]:
        try:
            running = yield from ask(Models, "GET", "/api/ps")
        except BackendError as error:
            if not _answered(error):
                raise
            return None
        return {entry.id: entry for entry in running.named()}

    def _shown_if(self, model: Model) -> Generator[HttpCall, HttpReply, Model]:
        try:
            return (yield from self._shown(model))
        except BackendError as error:
            if not _answered(error):
                raise
            return attrs.evolve(model, problem=error.message)

    def _shown(self, model: Model) -> Generator[HttpCall, HttpReply, Model]:
        answer = yield from ask(Shown, "POST", "/api/show", {"model": model.id})
        return shown(model, answer, self.settings.num_ctx)


def _answered(error: BackendError) -> bool:
    """A refusal is about one question; without any answer there is no server to go on with."""
    return error.status is not None or error.phase == "parse"


@hookimpl
def multitap_catalog(backend: Backend) -> OllamaCatalog:
    """List the models of an Ollama server."""
    return OllamaCatalog(backend.id, LoadSettings.of(backend))
