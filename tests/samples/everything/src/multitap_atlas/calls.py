"""What all of Atlas's calls share: JSON in, one JSON value out, and its errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from multitap.dialects.replies import class_for_status, reply_facts, reply_text
from multitap.errors import BackendError
from multitap.framing import JsonDecoder
from multitap.work import Body, Exchange, HttpCall, HttpReply

T = TypeVar("T")
V = TypeVar("V")


class Refusal(msgspec.Struct):
    """The body of a 4xx or 5xx answer."""

    fault: str | None = None


def explain(reply: HttpReply) -> BackendError:
    """``{"fault": …}``, or whatever stands in its way."""
    try:
        fault = msgspec.json.decode(reply.body, type=Refusal).fault
    except ValueError:
        fault = None
    return class_for_status(reply.status)(fault or reply_text(reply), **reply_facts(reply))


def ask(
    method: str, path: str, shape: type[V], read: Callable[[V], Iterable[T]], body: Body = None
) -> Exchange[T]:
    """One call whose answer is one JSON value; it may be sent twice."""
    call = HttpCall(method=method, path=path, body=body, idempotent=True)
    return Exchange(call=call, decoder=lambda head: JsonDecoder(shape, read), explain=explain)
