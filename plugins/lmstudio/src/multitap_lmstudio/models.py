"""What LM Studio tells of a model, as Multitap's ``Model``: over its API of version 1, or of 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from multitap.capabilities.catalog import Model

__all__ = ("Instance", "NativeRow", "OldRow", "listed", "listed_old", "rows_of")


class Config(msgspec.Struct):
    """What an instance was loaded with."""

    context_length: int | None = None


class Instance(msgspec.Struct):
    """A model in memory; a second one of the same model has another id."""

    id: str | None = None
    config: Config | None = None


class Quantization(msgspec.Struct):
    """How the weights are written."""

    name: str | None = None


class Abilities(msgspec.Struct):
    """What a model can do."""

    vision: bool | None = None
    trained_for_tool_use: bool | None = None
    reasoning: Any = None


class NativeRow(msgspec.Struct):
    """One model of ``/api/v1/models``; ``key`` is its name in requests."""

    key: str | None = None
    type: str | None = None
    publisher: str | None = None
    display_name: str | None = None
    architecture: str | None = None
    quantization: Quantization | None = None
    size_bytes: int | None = None
    params_string: str | None = None
    loaded_instances: list[Instance] | None = None
    max_context_length: int | None = None
    format: str | None = None
    capabilities: Abilities | None = None

    @property
    def instances(self) -> list[str]:
        """The ids of those in memory."""
        return [found.id for found in self.loaded_instances or () if found.id]

    @property
    def context_length(self) -> int | None:
        """Of the first instance; without any, what the model was made for."""
        for found in self.loaded_instances or ():
            if found.config is not None and found.config.context_length:
                return found.config.context_length
        return self.max_context_length or None


class OldRow(msgspec.Struct):
    """One model of ``/api/v0/models``."""

    id: str | None = None
    type: str | None = None
    publisher: str | None = None
    arch: str | None = None
    compatibility_type: str | None = None
    quantization: str | None = None
    state: str | None = None
    max_context_length: int | None = None
    loaded_context_length: int | None = None
    capabilities: list[str] | None = None


def rows_of(shape: type[Any], values: object) -> list[Any]:
    """The rows that can be read; one that cannot does not hide the others."""
    rows = []
    for value in values if isinstance(values, list) else ():
        try:
            rows.append(msgspec.convert(value, shape))
        except msgspec.ValidationError:
            continue
    return rows


def listed(row: NativeRow) -> Model:
    """A model as version 1 tells it.

    >>> listed(NativeRow(key="acme/m", type="embedding", max_context_length=512)).capabilities
    frozenset({'embedding'})
    """
    facts = {
        "display_name": row.display_name,
        "publisher": row.publisher,
        "architecture": row.architecture,
        "quantization": row.quantization and row.quantization.name,
        "parameters": row.params_string,
        "format": row.format,
        "trained_context": row.max_context_length,
        "instances": ", ".join(row.instances),
    }
    return Model(
        id=row.key or "",
        capabilities=_capabilities(row),
        context_length=row.context_length,
        size=row.size_bytes or None,
        loaded=bool(row.loaded_instances),
        meta=_texts(facts),
    ).sourced("probed")


def listed_old(row: OldRow) -> Model:
    """A model as version 0 tells it."""
    names = {"llm": {"chat"}, "vlm": {"chat", "vision"}, "embeddings": {"embedding"}}
    found = set(names.get(row.type or "", ()))
    if "tool_use" in (row.capabilities or ()):
        found.add("tools")
    facts = {
        "publisher": row.publisher,
        "architecture": row.arch,
        "quantization": row.quantization,
        "format": row.compatibility_type,
        "trained_context": row.max_context_length,
    }
    return Model(
        id=row.id or "",
        capabilities=frozenset(found) or None,
        context_length=row.loaded_context_length or row.max_context_length or None,
        loaded=None if row.state is None else row.state == "loaded",
        meta=_texts(facts),
    ).sourced("probed")


def _capabilities(row: NativeRow) -> frozenset[str] | None:
    if row.type == "embedding":
        return frozenset({"embedding"})
    if row.type != "llm":
        return None
    can = row.capabilities or Abilities()
    found = {"vision": can.vision, "tools": can.trained_for_tool_use, "thinking": can.reasoning}
    return frozenset({"chat", *(name for name, known in found.items() if known)})


def _texts(facts: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in facts.items() if value}
