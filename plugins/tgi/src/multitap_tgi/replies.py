"""What TGI says of itself, and Text Embeddings Inference (TEI) likewise."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import msgspec

from multitap.dialects.asking import ask
from multitap.work import HttpCall, HttpReply

__all__ = ("Info", "info")


class Info(msgspec.Struct):
    """The answer of ``/info``: the one model that this process runs."""

    model_id: str | None = None
    model_sha: str | None = None
    model_pipeline_tag: str | None = None
    max_input_tokens: int | None = None
    max_total_tokens: int | None = None
    version: str | None = None
    model_type: Any = None
    max_input_length: int | None = None
    max_client_batch_size: int | None = None

    @property
    def kind(self) -> str | None:
        """What TEI's model does: ``embedding``, ``reranker``, ``classifier``; of TGI ``None``."""
        found = self.model_type
        return next(iter(found), None) if isinstance(found, dict) else None

    @property
    def server(self) -> str:
        """Name and version."""
        name = "Generation" if self.kind is None else "Embeddings"
        return " ".join(filter(None, (f"Text {name} Inference", self.version)))


def info() -> Generator[HttpCall, HttpReply, Info]:
    """Inside ``Steps``: what the server runs; it says so also where its engine is gone."""
    return (yield from ask(Info, "GET", "/info"))
