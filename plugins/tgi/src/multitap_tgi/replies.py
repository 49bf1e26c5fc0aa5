"""What TGI says of itself."""

from __future__ import annotations

from collections.abc import Generator

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

    @property
    def server(self) -> str:
        """Name and version."""
        return " ".join(filter(None, ("Text Generation Inference", self.version)))


def info() -> Generator[HttpCall, HttpReply, Info]:
    """Inside ``Steps``: what the server runs; it says so also where its engine is gone."""
    return (yield from ask(Info, "GET", "/info"))
