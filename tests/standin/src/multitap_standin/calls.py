"""A request whose answer is one JSON value."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from multitap.dialects.openai.errors import explain_openai
from multitap.framing import JsonDecoder
from multitap.work import Exchange, HttpCall, Json

T = TypeVar("T")
V = TypeVar("V")


def json_exchange(
    method: str, path: str, shape: type[V], record: Callable[[V], Iterable[T]], body: Any = None
) -> Exchange[T]:
    """Ask for one JSON value and make results of it; asking again does no harm."""
    data = None if body is None else Json(body)
    return Exchange(
        call=HttpCall(method=method, path=path, body=data, idempotent=True),
        decoder=lambda head: JsonDecoder(shape, record),
        explain=explain_openai,
    )
