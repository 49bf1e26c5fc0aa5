"""How the invented server is asked for anything but chat: one JSON value, and one back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec

from multitap.dialects.replies import class_for_status, reply_facts, reply_json, reply_text
from multitap.errors import BackendError, QuotaExceeded
from multitap.framing import JsonDecoder
from multitap.hookspecs import Backend
from multitap.work import Exchange, Head, HttpCall, HttpReply, Json, Stage


class Spent(msgspec.Struct):
    """What an answer cost."""

    read: int | None = None


class Asking:
    """Stateless; one for each backend."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def ask(
        self,
        method: str,
        path: str,
        shape: Any,
        record: Callable[[Any], Iterable[Any]],
        body: Any = None,
    ) -> Exchange[Any]:
        sent = Json(body) if isinstance(body, dict) else body
        return Exchange(
            call=HttpCall(method=method, path=path, body=sent, idempotent=True),
            decoder=partial(self.decoder, shape, record),
            explain=self.explain,
        )

    def decoder(self, shape: Any, record: Any, head: Head) -> Stage[bytes, Any]:
        return JsonDecoder(shape, record)

    def explain(self, reply: HttpReply) -> BackendError:
        said = reply_json(reply)
        fault = said.get("fault") if isinstance(said, dict) else None
        text = fault if isinstance(fault, str) and fault else reply_text(reply)
        return self.fault(text, reply)

    def fault(self, text: str, reply: HttpReply) -> BackendError:
        facts = reply_facts(reply)
        if text == "No credit":
            return QuotaExceeded(text, **facts)
        return class_for_status(reply.status)(text or f"Status {reply.status}", **facts)
