"""A request whose answer is one JSON value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from multitap.dialects.openai.errors import explain_openai
from multitap.framing import JsonDecoder
from multitap.work import Exchange, Explain, HttpCall, Json

__all__ = ("json_exchange",)

T = TypeVar("T")
V = TypeVar("V")


def json_exchange(
    method: str,
    path: str,
    shape: type[V],
    record: Callable[[V], Iterable[T]],
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    explain: Explain = explain_openai,
    decoder: type[JsonDecoder[V, T]] = JsonDecoder,
) -> Exchange[T]:
    """Ask for one JSON value and make results of it; asking again does no harm.

    Args:
        method: Of HTTP.
        path: After the endpoint.
        shape: The struct of the answer.
        record: Turns the struct into results.
        body: Sent as JSON; ``None``: nothing is sent.
        headers: Sent besides.
        explain: Turns a refusal into an error.
        decoder: Reads the value.
    """
    call = HttpCall(
        method=method,
        path=path,
        headers=headers or {},
        body=None if body is None else Json(body),
        idempotent=True,
    )
    return Exchange(call=call, decoder=lambda head: decoder(shape, record), explain=explain)
