"""Catalog over LM Studio's own API: version 1, and 0 where the app is older than 0.4.

``/v1/models`` knows the names alone, and which of them depends on the app's settings.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import attrs

from multitap.capabilities.catalog import Model
from multitap.dialects.openai.errors import explain_openai
from multitap.errors import ModelNotFound, ProtocolError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Operation, Out, Steps
from multitap_lmstudio.models import NativeRow, OldRow, listed, listed_old, rows_of
from multitap_lmstudio.replies import ask, is_unknown_route

__all__ = ("LmStudioCatalog", "all_models", "multitap_catalog", "native_rows")

Asking = Generator[Any, Any, Any]


@attrs.frozen
class LmStudioCatalog:
    """The downloaded models of one LM Studio, loaded or not."""

    backend: str

    def models(self) -> Operation[Model]:
        """Every model."""

        def steps() -> Steps[Model]:
            yield Out((yield from all_models()))

        return Operation(steps, explain_openai)

    def describe(self, model: str, /) -> Operation[Model]:
        """One model, out of the list; the id of an instance is a name as well."""

        def steps() -> Steps[Model]:
            for found in (yield from all_models()):
                if model == found.id or model in found.meta.get("instances", "").split(", "):
                    yield Out([found])
                    return
            raise ModelNotFound(
                f"LM Studio has no model {model!r}",
                hint=f"Run `multitap pull {self.backend}:{model}`;"
                f" `multitap models {self.backend}` shows what is there.",
                model=model,
            )

        return Operation(steps, explain_openai)


def native_rows() -> Asking:
    """The rows of version 1; an app that has none of it is a ``ProtocolError``."""
    answer = yield from ask("GET", "/api/v1/models")
    if not isinstance(answer.get("models"), list):
        raise ProtocolError("The list of models has no models", kind="bad_payload", phase="parse")
    return [row for row in rows_of(NativeRow, answer["models"]) if row.key]


def all_models() -> Asking:
    """Every model, as the newest version of the API that is there tells it."""
    try:
        return [listed(row) for row in (yield from native_rows())]
    except ProtocolError as error:
        if not is_unknown_route(error):
            raise
    answer = yield from ask("GET", "/api/v0/models")
    return [listed_old(row) for row in rows_of(OldRow, answer.get("data")) if row.id]


@hookimpl
def multitap_catalog(backend: Backend) -> LmStudioCatalog:
    """List the models of an LM Studio."""
    return LmStudioCatalog(backend.id)
