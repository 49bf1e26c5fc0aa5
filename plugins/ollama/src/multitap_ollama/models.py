"""What Ollama tells of a model, as Multitap's ``Model``.

Names come from whoever made the model: here they are data, and nothing is done with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from multitap.capabilities.catalog import Model

__all__ = ("Entry", "Models", "Shown", "instant", "listed", "running", "shown")

_OURS = {"completion": "chat"}
"""The names that differ; all others are the same words in both."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")
_NUM_CTX = re.compile(r"^num_ctx[ \t]+(\d+)[ \t]*$", re.MULTILINE)


class Details(msgspec.Struct):
    """Of a model's file; empty texts where Ollama does not know."""

    parent_model: str | None = None
    format: str | None = None
    family: str | None = None
    parameter_size: str | None = None
    quantization_level: str | None = None
    context_length: int | None = None


class Entry(msgspec.Struct):
    """One model of ``/api/tags``, or of ``/api/ps``, whose ``size`` is in memory."""

    name: str | None = None
    model: str | None = None
    modified_at: str | None = None
    size: int | None = None
    digest: str | None = None
    details: Details | None = None
    remote_model: str | None = None
    remote_host: str | None = None
    expires_at: str | None = None
    size_vram: int | None = None
    context_length: int | None = None

    @property
    def id(self) -> str:
        """The name to call it by."""
        return self.name or self.model or ""


class Models(msgspec.Struct):
    """The answer of ``/api/tags`` and of ``/api/ps``."""

    models: list[Entry] | None = None

    def named(self) -> list[Entry]:
        """Those that can be called by a name."""
        return [entry for entry in self.models or () if entry.id]


class Shown(msgspec.Struct):
    """The answer of ``/api/show``."""

    capabilities: list[str] | None = None
    model_info: dict[str, Any] | None = None
    parameters: str | None = None
    details: Details | None = None
    modified_at: str | None = None
    remote_model: str | None = None
    remote_host: str | None = None

    @property
    def trained(self) -> int | None:
        """The longest context that the model was made for."""
        info = self.model_info or {}
        length = info.get(f"{info.get('general.architecture')}.context_length")
        return length if isinstance(length, int) and length > 0 else None


def listed(entry: Entry, loaded: Entry | None, *, known: bool) -> Model:
    """A model of the list, before it was asked for itself.

    Args:
        entry: Its row of ``/api/tags``.
        loaded: Its row of ``/api/ps``, if it has one.
        known: Could the server say what is loaded?
    """
    trained = entry.details.context_length if entry.details else None
    return Model(
        id=entry.id,
        context_length=(loaded.context_length if loaded else None) or trained or None,
        size=entry.size,
        digest=entry.digest or None,
        modified_at=instant(entry.modified_at),
        loaded=loaded is not None if known else None,
        meta=_meta(entry, entry.details),
    ).sourced("probed")


def shown(model: Model, answer: Shown, num_ctx: int | None) -> Model:
    """The model with what it tells of itself.

    Its context is the one in force where it is loaded; else what it was trained for, or less where
    ``num_ctx``, of the backend or of the model's own file, says so. The backend's is declared.
    """
    trained = answer.trained or model.context_length
    wanted = num_ctx or _own_num_ctx(answer.parameters)
    context = min(filter(None, (trained, wanted)), default=None)
    in_force = model.context_length if model.loaded else None
    declared = num_ctx is not None and context == num_ctx != trained and not in_force
    return Model(
        id=model.id,
        capabilities=_capabilities(answer.capabilities),
        context_length=in_force or context,
        size=model.size,
        digest=model.digest,
        modified_at=model.modified_at or instant(answer.modified_at),
        loaded=model.loaded,
        meta={**_meta(answer, answer.details), **model.meta},
        sources={"context_length": "declared"} if declared else {},
    ).sourced("probed")


def running(entry: Entry) -> Model:
    """A model in memory: its context is the one in force; its memory is in ``meta``."""
    memory = {"memory": entry.size, "vram": entry.size_vram, "expires_at": entry.expires_at}
    return Model(
        id=entry.id,
        context_length=entry.context_length or None,
        digest=entry.digest or None,
        loaded=True,
        meta={
            **_meta(entry, entry.details),
            **{name: str(value) for name, value in memory.items() if value is not None},
        },
    ).sourced("probed")


def instant(text: str | None) -> datetime | None:
    """Go's time, of nanoseconds, to the microsecond.

    >>> instant("2026-11-21T09:26:28.464817591Z").isoformat()
    '2026-11-21T09:26:28.464817+00:00'
    """
    found = _TIME.fullmatch(text or "")
    if found is None:
        return None
    fraction, zone = (found[2] or "")[:6].ljust(6, "0"), found[3].replace("Z", "+00:00")
    try:
        return datetime.fromisoformat(f"{found[1]}.{fraction}{zone}")
    except ValueError:  # a month of 13, or the year that Go writes for "never"
        return None


def _own_num_ctx(parameters: str | None) -> int | None:
    found = _NUM_CTX.search(parameters or "")
    return int(found[1]) if found else None


def _capabilities(names: Iterable[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(_OURS.get(name, name) for name in names)


def _meta(row: Entry | Shown, details: Details | None) -> Mapping[str, str]:
    facts = {"remote_model": row.remote_model, "remote_host": row.remote_host}
    names = ("parent_model", "format", "family", "parameter_size", "quantization_level")
    facts |= {name: getattr(details, name, None) for name in names}
    return {name: value for name, value in facts.items() if value}
