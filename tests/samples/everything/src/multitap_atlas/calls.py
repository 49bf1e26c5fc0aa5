"""What all of Atlas's calls share: JSON in, one JSON value out, and its errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from multitap.dialects.replies import class_for_status, reply_facts, reply_json, reply_text
from multitap.errors import BackendError
from multitap.framing import JsonDecoder
from multitap.work import Body, Exchange, HttpCall, HttpReply

T = TypeVar("T")
V = TypeVar("V")


def explain(reply: HttpReply) -> BackendError:
    """``{"fault": …}``, or whatever stands in its way."""
    body: Any = reply_json(reply)
    fault = body.get("fault") if isinstance(body, dict) else None
    return class_for_status(reply.status)(fault or reply_text(reply), **reply_facts(reply))


def ask(
    method: str, path: str, shape: type[V], read: Callable[[V], Iterable[T]], body: Body = None
) -> Exchange[T]:
    """One call whose answer is one JSON value; it may be sent twice."""
    call = HttpCall(method=method, path=path, body=body, idempotent=True)
    return Exchange(call=call, decoder=lambda head: JsonDecoder(shape, read), explain=explain)
