"""LoRA adapters that a llama-server was started with: their names, numbers and scales.

A name is that of the file without ``.gguf``. A request that gives scales takes those that it does
not give as 0, so all are always sent. One that gives none may get what was computed for the scales
of an earlier request, out of the server's cache; with all of them given, that does not happen.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

import msgspec

from multitap.dialects.asking import ask
from multitap.errors import BadRequest
from multitap.work import HttpCall, HttpReply

__all__ = ("Adapter", "adapters_of", "scales")


class Adapter(msgspec.Struct):
    """One row of ``/lora-adapters``; ``scale`` is how strongly it is applied if nothing is said."""

    id: int
    path: str = ""
    scale: float = 0.0

    @property
    def name(self) -> str:
        """How a request names it."""
        return PurePath(self.path.replace("\\", "/")).stem


def adapters_of(model: str) -> Generator[HttpCall, HttpReply, list[Adapter]]:
    """Inside ``Steps``: the adapters of a model."""
    return (yield from ask(list[Adapter], "GET", f"/lora-adapters?model={quote(model, safe='')}"))


def scales(wanted: Mapping[str, Any], adapters: Sequence[Adapter]) -> list[dict[str, Any]]:
    """How strongly each adapter is applied: as the server was started, or as is wanted.

    >>> scales({"law": 0.5}, [Adapter(0, "/a/style.gguf", 1.0), Adapter(1, "/a/law.gguf", 0.0)])
    [{'id': 0, 'scale': 1.0}, {'id': 1, 'scale': 0.5}]
    """
    names = [adapter.name for adapter in adapters]
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        raise BadRequest(
            f"There is no LoRA adapter {unknown[0]!r}; there are: {', '.join(names) or 'none'}",
            hint="Start llama-server with it: --lora FILE.gguf, or --lora-scaled FILE.gguf:SCALE.",
            kind="adapter_unknown",
        )
    return [{"id": a.id, "scale": wanted.get(a.name, a.scale)} for a in adapters]
