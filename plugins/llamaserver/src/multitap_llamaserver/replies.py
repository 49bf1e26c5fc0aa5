"""Requests within an operation, and their whole answers as structs."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from multitap.events import Failed
from multitap.framing import JsonDecoder
from multitap.work import HttpCall, HttpReply, Json, fetch

__all__ = ("ask", "read")

V = TypeVar("V")


def ask(
    shape: type[V], method: str, path: str, body: object = None
) -> Generator[HttpCall, HttpReply, V]:
    """Inside ``Steps``: ``rows = yield from ask(Rows, "GET", "/v1/models")``."""
    data = None if body is None else Json(body)
    call = HttpCall(method=method, path=path, body=data, idempotent=True)
    return read(shape, (yield from fetch(call)))


def read(shape: type[V], reply: HttpReply) -> V:
    """The value of an answer; one that is no such value is a ``ProtocolError``."""
    decoder = JsonDecoder(shape, lambda value: [value])
    item = [*decoder.feed(reply.body), *decoder.finish()][-1]
    if isinstance(item, Failed):
        raise item.error
    return item
