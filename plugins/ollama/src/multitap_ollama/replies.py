"""Requests within an operation, and their whole answers as structs."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from multitap.events import Failed
from multitap.framing import JsonDecoder
from multitap.work import HttpCall, HttpReply, Json, fetch

__all__ = ("ask",)

V = TypeVar("V")


def ask(
    shape: type[V], method: str, path: str, body: object = None
) -> Generator[HttpCall, HttpReply, V]:
    """Inside ``Steps``: ``tags = yield from ask(Tags, "GET", "/api/tags")``; it changes nothing."""
    call = HttpCall(
        method=method, path=path, body=None if body is None else Json(body), idempotent=True
    )
    reply = yield from fetch(call)
    decoder = JsonDecoder(shape, lambda value: [value])
    item = [*decoder.feed(reply.body), *decoder.finish()][-1]
    if isinstance(item, Failed):
        raise item.error
    return item
