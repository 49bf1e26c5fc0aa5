"""Catalog over ``/v1/models``."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from multitap.capabilities.catalog import Model
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange
from multitap_standin.calls import json_exchange


class Row(msgspec.Struct):
    """One model; ``max_model_len`` is vLLM's."""

    id: str | None = None
    max_model_len: int | None = None


class Reply(msgspec.Struct):
    """What the server answers."""

    data: list[Row] | None = None


class StandInCatalog:
    """Lists what the server has."""

    def models(self) -> Exchange[Model]:
        """One result for each model."""
        return json_exchange("GET", "/v1/models", Reply, _models)


def _models(reply: Reply) -> Iterable[Model]:
    for row in reply.data or ():
        if row.id:
            yield Model(id=row.id, context_length=row.max_model_len)


@hookimpl
def multitap_catalog(backend: Backend) -> StandInCatalog:
    """List the models of a server."""
    return StandInCatalog()
