"""Catalog: what models a backend has, and what each can do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Protocol, get_args

import attrs
from attrs.validators import deep_mapping, in_

from multitap.prices import Pricing
from multitap.work import Work

__all__ = ("FEATURES", "MODEL_TYPES", "SOURCED", "Catalog", "DescribesModels", "Model", "Source")

Source = Literal["declared", "probed", "observed"]
"""``declared``: by a table of the plugin, or by ``llm.toml``. ``probed``: the server was asked, or
the model's file read. ``observed``: seen in a backend's answer to something else."""

SOURCED = ("capabilities", "context_length", "max_output_tokens", "pricing")
"""The facts of a model of which it matters where they come from; all others are the server's."""

MODEL_TYPES: Mapping[str, str] = {
    "llm": "chat",
    "text-embedding": "embedding",
    "rerank": "rerank",
    "speech2text": "transcription",
    "moderation": "moderation",
    "tts": "speech",
}
"""Types of models as Dify names them, and the capability that each is."""

FEATURES: Mapping[str, str] = {
    "tool-call": "tools",
    "multi-tool-call": "parallel_tools",
    "stream-tool-call": "streamed_tools",
    "agent-thought": "thinking",
    "vision": "vision",
    "document": "documents",
    "video": "video",
    "audio": "audio",
    "structured-output": "structured_output",
    "polling": "polling",
}
"""Features of models as Dify names them, and the name of each in ``Model.capabilities``."""


@attrs.frozen(kw_only=True)
class Model:
    """One model of a backend. ``None`` is unknown, never "no" and never zero.

    Attributes:
        id: The name to use in a request, without the backend.
        backend: The backend's id; the runtime fills it in.
        capabilities: Names such as ``chat``, ``embedding``, ``tools``, ``vision``, ``thinking``
            (see ``FEATURES``); ``None``: the backend does not say.
        context_length: Most tokens of prompt and answer together.
        max_output_tokens: Most tokens of an answer.
        size: Bytes on disk.
        digest: The content's hash, as the backend writes it.
        modified_at: With its time zone; to the microsecond.
        loaded: Is it in memory now?
        pricing: What its tokens cost.
        problem: Why it cannot be used as it is, in one sentence.
        meta: Anything else, as text.
        sources: Where a fact of ``SOURCED`` comes from, by its name.
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
    pricing: Pricing | None = None
    problem: str | None = None
    meta: Mapping[str, str] = attrs.field(factory=dict)
    sources: Mapping[str, Source] = attrs.field(
        factory=dict, validator=deep_mapping(in_(SOURCED), in_(get_args(Source)))
    )

    @property
    def ref(self) -> str:
        """The model's reference: ``backend:id``."""
        return f"{self.backend}:{self.id}" if self.backend else self.id

    def sourced(self, source: Source) -> Model:
        """This model, with where its facts come from of which that is not said yet.

        >>> Model(id="tiny", context_length=256).sourced("probed").sources
        {'context_length': 'probed'}
        """
        known = {name: source for name in SOURCED if getattr(self, name) is not None}
        return attrs.evolve(self, sources={**known, **self.sources})

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: what is known."""
        facts: dict[str, Any] = {"ref": self.ref, **attrs.asdict(self, recurse=False)}
        facts["meta"] = dict(self.meta) or None
        facts["sources"] = dict(self.sources) or None
        if self.capabilities is not None:
            facts["capabilities"] = sorted(self.capabilities)
        if self.pricing is not None:
            facts["pricing"] = self.pricing.to_dict()
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
        if facts.get("pricing") is not None:
            facts["pricing"] = Pricing.from_dict(facts["pricing"])
        if facts.get("modified_at") is not None:
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
