"""Catalog: what models a backend has, and what each can do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import attrs

from multitap.work import Work

__all__ = ("Catalog", "DescribesModels", "Model")


@attrs.frozen(kw_only=True)
class Model:
    """One model of a backend. ``None`` is unknown, never "no" and never zero.

    Attributes:
        id: The name to use in a request, without the backend.
        backend: The backend's id; the runtime fills it in.
        capabilities: Names such as ``chat``, ``embedding``, ``tools``, ``vision``, ``thinking``;
            ``None``: the backend does not say.
        context_length: Most tokens of prompt and answer together.
        max_output_tokens: Most tokens of an answer.
        size: Bytes on disk.
        digest: The content's hash, as the backend writes it.
        modified_at: With its time zone; to the microsecond.
        loaded: Is it in memory now?
        problem: Why it cannot be used as it is, in one sentence.
        meta: Anything else, as text.
    """

    id: str
    backend: str = ""
    capabilities: frozenset[str] | None = None
    context_length: int | None = None
    max_output_tokens: int | None = None
    size: int | None = None
    digest: str | None = None
    modified_at: datetime | None = None
    loaded: bool | None = None
    problem: str | None = None
    meta: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def ref(self) -> str:
        """The model's reference: ``backend:id``."""
        return f"{self.backend}:{self.id}" if self.backend else self.id

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: what is known."""
        facts: dict[str, Any] = {"ref": self.ref, **attrs.asdict(self, recurse=False)}
        facts["meta"] = dict(self.meta) or None
        if self.capabilities is not None:
            facts["capabilities"] = sorted(self.capabilities)
        if self.modified_at is not None:
            facts["modified_at"] = self.modified_at.isoformat()
        return {name: value for name, value in facts.items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Model:
        """From the JSON form.

        >>> model = Model(id="tiny", context_length=256)
        >>> Model.from_dict(model.to_dict()) == model
        True
        """
        facts = {f.name: data[f.name] for f in attrs.fields(cls) if f.name in data}
        if facts.get("capabilities") is not None:
            facts["capabilities"] = frozenset(facts["capabilities"])
        if "modified_at" in facts:
            facts["modified_at"] = datetime.fromisoformat(facts["modified_at"])
        return cls(**facts)


class Catalog(Protocol):
    """Implemented by a plugin; stateless and safe to share between threads."""

    def models(self) -> Work[Model]:
        """Every model of the backend, one result each; ``backend`` is left empty."""
        ...


class DescribesModels(Protocol):
    """Optional, beside ``Catalog``: a question about one model, without the whole list."""

    def describe(self, model: str, /) -> Work[Model]:
        """The model, as exactly one result; one that is not there is ``ModelNotFound``."""
        ...
