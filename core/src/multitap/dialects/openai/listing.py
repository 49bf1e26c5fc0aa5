"""Catalog over ``GET /v1/models``.

OpenAI tells the id alone, and when and by whom a model was made; a server that tells more has a
subclass of ``ModelRow`` and a function that makes a ``Model`` of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from functools import cache
from typing import Any, Optional

import attrs
import msgspec

from multitap.capabilities.catalog import Model
from multitap.dialects.openai.asking import json_exchange
from multitap.dialects.openai.errors import explain_openai
from multitap.errors import ModelNotFound
from multitap.work import Backend, Exchange, Explain

__all__ = ("ModelRow", "ModelsListing", "model_of")


class ModelRow(msgspec.Struct):
    """One model; ``max_model_len`` is in the answers of several servers."""

    id: str | None = None
    created: float | None = None
    owned_by: str | None = None
    max_model_len: int | None = None


def model_of(row: Any) -> Model:
    """What a row tells; ``owned_by`` is in ``meta``.

    >>> model_of(ModelRow(id="m", created=0)).modified_at is None
    True
    """
    return Model(
        id=row.id,
        context_length=row.max_model_len,
        modified_at=_instant(row.created),
        meta={"owned_by": row.owned_by} if row.owned_by else {},
    ).sourced("probed")


@cache
def _reply_of(row: type[ModelRow]) -> type[Any]:
    """The struct of a list of such rows; ``data`` is ``null`` where a server has no model."""
    return msgspec.defstruct("Reply", [("data", Optional[list[row]], None)])  # type: ignore[valid-type]


def _instant(seconds: float | None) -> datetime | None:
    """When it was made; 0 is what a server says that does not know."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc) if seconds else None
    except (ValueError, OverflowError, OSError):
        return None


@attrs.frozen
class ModelsListing:
    """The models of one server.

    Args:
        backend: The configured instance.
        path: Where the list is, after the endpoint.
        explain: Turns a refusal into an error.
        row: The struct of a row.
        model: Makes a ``Model`` of a row; ``None`` leaves it out.
        headers: Sent with each request.
    """

    backend: Backend
    path: str = "/v1/models"
    explain: Explain = explain_openai
    row: type[ModelRow] = ModelRow
    model: Callable[[Any], Model | None] = model_of
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    def models(self) -> Exchange[Model]:
        """Every model that has an id, in the server's order."""
        return self._ask(self._listed)

    def describe(self, model: str, /) -> Exchange[Model]:
        """One model, out of the same list: not every server has a path for one alone."""

        def record(reply: Any) -> Iterable[Model]:
            found = [known for known in self._listed(reply) if known.id == model]
            if not found:
                raise ModelNotFound(
                    f"There is no model {model!r}",
                    hint=f"Run `multitap models {self.backend.id}` to see what there is.",
                )
            return found[:1]

        return self._ask(record)

    def _ask(self, record: Callable[[Any], Iterable[Model]]) -> Exchange[Model]:
        reply = _reply_of(self.row)
        return json_exchange(
            "GET", self.path, reply, record, headers=self.headers, explain=self.explain
        )

    def _listed(self, reply: Any) -> list[Model]:
        models = [self.model(row) for row in reply.data or () if row.id]
        return [model for model in models if model is not None]
