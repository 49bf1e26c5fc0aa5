"""Requests whose answer is one JSON value: alone, and within an operation."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

from multitap.events import Failed
from multitap.framing import JsonDecoder
from multitap.work import Exchange, Explain, HttpCall, HttpReply, Json, fetch

__all__ = ("ask", "json_exchange", "read")

T = TypeVar("T")
V = TypeVar("V")


def json_exchange(
    path: str, body: Any, shape: type[V], record: Callable[[V], Iterable[T]], explain: Explain
) -> Exchange[T]:
    """Post a JSON value, and make results of the one that comes back; twice does no harm."""
    return Exchange(
        call=HttpCall(method="POST", path=path, body=Json(body), idempotent=True),
        decoder=lambda head: JsonDecoder(shape, record),
        explain=explain,
    )


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
