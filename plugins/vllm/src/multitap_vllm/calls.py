"""Requests whose answer is one JSON value: alone, or within an operation."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from multitap.events import Failed
from multitap.framing import JsonDecoder
from multitap.work import Exchange, HttpCall, HttpReply, Json, fetch
from multitap_vllm.errors import explain_vllm

__all__ = ("ask", "exchange")

T = TypeVar("T")
V = TypeVar("V")


def exchange(
    path: str, body: dict[str, Any], shape: type[V], read: Callable[[V], T]
) -> Exchange[T]:
    """Post a body and make one result of the answer; asking again does no harm."""
    return Exchange(
        call=HttpCall(method="POST", path=path, body=Json(body), idempotent=True),
        decoder=lambda head: JsonDecoder(shape, lambda value: [read(value)]),
        explain=explain_vllm,
    )


def ask(shape: type[V], path: str) -> Generator[HttpCall, HttpReply, V]:
    """Inside ``Steps``: ``version = yield from ask(Version, "/version")``."""
    reply = yield from fetch(HttpCall(method="GET", path=path))
    decoder = JsonDecoder(shape, lambda value: [value])
    item = [*decoder.feed(reply.body), *decoder.finish()][-1]
    if isinstance(item, Failed):
        raise item.error
    return item
