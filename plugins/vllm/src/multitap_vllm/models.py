"""What vLLM's list of models says, as ``Model``: one base model under its names, and its LoRAs."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from multitap.capabilities.catalog import Model
from multitap.errors import ProtocolError

__all__ = ("ROUTES", "Models", "Row", "found")

ROUTES = {
    "chat": "/v1/chat/completions",
    "embedding": "/v1/embeddings",
    "rerank": "/v1/rerank",
}
"""The route of each capability, which a server has only if its model can do it."""


class Row(msgspec.Struct):
    """One name that the server answers to."""

    id: str | None = None
    owned_by: str | None = None
    root: str | None = None
    parent: str | None = None
    max_model_len: int | None = None


class Models(msgspec.Struct):
    """The answer of ``/v1/models``."""

    data: list[Row] | None = None

    def named(self) -> dict[str, Row]:
        """The rows, by the name to use in a request; an answer without ``data`` is no list."""
        if self.data is None:
            raise ProtocolError("The server answered without a list of models")
        return {row.id: row for row in self.data if row.id}


def found(models: Models, routes: Collection[str]) -> Iterator[Model]:
    """The models; ``routes`` are the capabilities that the server has a route for.

    A LoRA has the context of the model that it is laid on. ``meta`` says where a fact comes from:
    ``declared`` in the list, or ``probed``.

    >>> row = Row(id="tiny", root="org/tiny", max_model_len=1024)
    >>> [model] = found(Models([row]), ["chat"])
    >>> model.context_length, model.meta["context_length_from"], sorted(model.capabilities)
    (1024, 'declared', ['chat', 'tokenize'])
    """
    rows = models.named()
    for name, row in rows.items():
        base = rows.get(row.parent or "", row)
        length = row.max_model_len or base.max_model_len
        facts = {
            "root": row.root,
            "parent": row.parent,
            "context_length_from": "declared" if length else None,
            "capabilities_from": "probed" if routes else None,
        }
        yield Model(
            id=name,
            capabilities=frozenset({*routes, "tokenize"}) if routes else None,
            context_length=length,
            loaded=True,
            meta={key: value for key, value in facts.items() if value},
        )
