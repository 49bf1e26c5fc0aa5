"""Catalog: ``/v1/models`` lists, and ``/props`` tells of a model that runs.

What a model is for is not among those facts. A server that does not embed, or rank, says so with
status 501 before it looks at the request, so one that lacks its texts is sent to ask: it costs
nothing, and is never carried out. A router's models that are not loaded are not asked, because
that would load them.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

import attrs

from multitap.capabilities.catalog import Model
from multitap.dialects.asking import ask
from multitap.errors import BackendError, ModelNotFound
from multitap.hookspecs import Backend, hookimpl
from multitap.work import HttpCall, HttpReply, Json, Operation, Out, Steps, fetch
from multitap_llamaserver.adapters import adapters_of
from multitap_llamaserver.errors import explain_llamaserver
from multitap_llamaserver.models import Props, Row, Rows, listed, template_abilities

__all__ = ("LlamaServerCatalog", "find_row", "multitap_catalog", "seen")

Asking = Generator[HttpCall, HttpReply, Any]


@attrs.frozen
class LlamaServerCatalog:
    """The one model of a server, or the models of a router."""

    backend: str

    def models(self) -> Operation[Model]:
        """Every model, as it becomes known."""

        def steps() -> Steps[Model]:
            rows = yield from ask(Rows, "GET", "/v1/models")
            for row in rows.named:
                yield Out([(yield from seen(row))[0]])

        return Operation(steps, partial(explain_llamaserver, backend=self.backend))

    def describe(self, model: str, /) -> Operation[Model]:
        """One model; where it is loaded, ``meta`` has its chat template and its LoRA adapters."""

        def steps() -> Steps[Model]:
            rows = yield from ask(Rows, "GET", "/v1/models")
            found, props = yield from seen(find_row(rows, model, self.backend))
            more = (yield from _more(model, props)) if props else {}
            yield Out([attrs.evolve(found, meta={**found.meta, **more})])

        return Operation(steps, partial(explain_llamaserver, backend=self.backend))


def find_row(rows: Rows, name: str, backend: str) -> Row:
    """The model of this name, or alias; ``ModelNotFound`` names those that are there."""
    for row in rows.named:
        if row.is_called(name):
            return row
    known = ", ".join(row.id or "" for row in rows.named[:8]) or "none"
    raise ModelNotFound(
        f"This llama-server has no model {name!r}; it has: {known}",
        hint=f"Run `multitap models {backend}`, or start llama-server with this model.",
        model=name,
    )


def seen(row: Row) -> Asking:
    """The model, and its ``Props`` if it could be asked."""
    if row.state != "loaded":
        return listed(row), None
    props = yield from _answered(ask(Props, "GET", f"/props{row.query}"))
    abilities = None
    if (yield from _takes(row, f"/v1/rerank{row.query}")):
        abilities = frozenset({"rerank"})
    elif (yield from _takes(row, f"/v1/embeddings{row.query}")):
        abilities = frozenset({"embedding"})
    elif props is not None:
        abilities = template_abilities(row, props)
    return listed(row, props, abilities), props


def _more(model: str, props: Props) -> Asking:
    adapters = (yield from _answered(adapters_of(model))) or []
    scaled = ", ".join(f"{adapter.name}={adapter.scale:g}" for adapter in adapters)
    facts = {"chat_template": props.chat_template, "adapters": scaled}
    return {name: value for name, value in facts.items() if value}


def _takes(row: Row, path: str) -> Asking:
    """Would it rank, or embed? 501: no; 400: the request lacks something."""
    call = HttpCall(method="POST", path=path, body=Json({"model": row.id}), idempotent=True)
    try:
        yield from fetch(call)
    except BackendError as error:
        if error.status is None or error.status in (401, 403, 503):
            raise
        return error.status == 400
    return False


def _answered(asking: Asking) -> Asking:
    """What is answered, or ``None`` where the server refuses this one question."""
    try:
        return (yield from asking)
    except BackendError as error:
        if error.status is None or error.status in (401, 403, 503):
            raise
        return None


@hookimpl
def multitap_catalog(backend: Backend) -> LlamaServerCatalog:
    """List the models of a llama-server."""
    return LlamaServerCatalog(backend.id)
