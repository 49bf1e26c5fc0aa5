"""A request whose answer is one JSON value."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from multitap.dialects.openai.errors import explain_openai
from multitap.events import Usage
from multitap.framing import JsonDecoder
from multitap.work import Exchange, HttpCall, Json

T = TypeVar("T")
V = TypeVar("V")


class Counts(msgspec.Struct):
    """Tokens, as servers count them."""

    prompt_tokens: int | None = None
    total_tokens: int | None = None

    def usage(self) -> Usage:
        """The same in our words."""
        return Usage.reported(self.prompt_tokens, None, total_tokens=self.total_tokens)


def json_exchange(
    method: str, path: str, shape: type[V], record: Callable[[V], Iterable[T]], body: Any = None
) -> Exchange[T]:
    """Ask for one JSON value and make results of it; asking again does no harm."""
    call = HttpCall(
        method=method, path=path, body=None if body is None else Json(body), idempotent=True
    )
    return Exchange(call=call, decoder=lambda head: JsonDecoder(shape, record), explain=explain_openai)
