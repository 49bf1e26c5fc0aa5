"""Requests within an operation, and their whole answers as structs."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from multitap.events import Failed
from multitap.framing import JsonDecoder
from multitap.work import HttpCall, HttpReply, Json, fetch

__all__ = ("ask", "read_json")

V = TypeVar("V")


def ask(
    shape: type[V], method: str, path: str, body: object = None
) -> Generator[HttpCall, HttpReply, V]:
    """Inside ``Steps``: ``tags = yield from ask(Tags, "GET", "/api/tags")``; it changes nothing."""
    data = None if body is None else Json(body)
    call = HttpCall(method=method, path=path, body=data, idempotent=True)
    return read_json(shape, (yield from fetch(call)))


def read_json(shape: type[V], reply: HttpReply) -> V:
    """The value of a whole answer; one that is no such value is a ``ProtocolError``.

    >>> read_json(dict, HttpReply(200, {}, b'{"version": "1.0"}'))
    {'version': '1.0'}
    """
    decoder = JsonDecoder(shape, lambda value: [value])
    item = [*decoder.feed(reply.body), *decoder.finish()][-1]
    if isinstance(item, Failed):
        raise item.error
    return item
