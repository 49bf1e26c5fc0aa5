"""Requests within an operation, and their whole answers as structs."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import msgspec

from multitap.events import Failed
from multitap.framing import JsonDecoder
from multitap.work import HttpCall, HttpReply, fetch

__all__ = ("Info", "ask", "info")

V = TypeVar("V")


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


def ask(call: HttpCall, shape: type[V]) -> Generator[HttpCall, HttpReply, V]:
    """Inside ``Steps``: the answer of a request that changes nothing."""
    reply = yield from fetch(call)
    decoder = JsonDecoder(shape, lambda value: [value])
    item = [*decoder.feed(reply.body), *decoder.finish()][-1]
    if isinstance(item, Failed):
        raise item.error
    return item


def info() -> Generator[HttpCall, HttpReply, Info]:
    """Inside ``Steps``: what the server runs; it says so also where its engine is gone."""
    return (yield from ask(HttpCall(method="GET", path="/info"), Info))
