"""``MULTITAP_DEBUG=llm``: each request and each answer as one line of JSON, without keys.

The lines go to standard error, or to the handlers that the logger ``multitap.llm`` has been given.
They hold prompts and answers; of headers only those that are known to be harmless.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from multitap.errors import BackendError, MultitapError
from multitap.extensions import AttemptEnd, CallEnd, CallInfo, WireAnswer, WireRequest
from multitap.redaction import MASK, redact
from multitap.registry.extensions import Observed

__all__ = ("DEBUGGING",)

_HARMLESS = frozenset(
    {"accept", "accept-encoding", "content-encoding", "content-length", "content-type", "date"}
    | {"request-id", "retry-after", "retry-after-ms", "server", "transfer-encoding", "user-agent"}
    | {"openai-processing-ms", "x-request-id"}
)
_HARMLESS_BEGINNINGS = ("x-ratelimit-", "anthropic-ratelimit-")


class JsonLines:
    """The observer that writes them."""

    def __init__(self) -> None:
        self._attempts: dict[str, int] = {}

    def call_started(self, call: CallInfo, /) -> None:
        """Nothing is written of it."""

    def attempt_started(self, call: CallInfo, number: int, /) -> None:
        """It is named in the lines to come."""
        self._attempts[call.id] = number

    def request_sent(self, call: CallInfo, request: WireRequest, /) -> None:
        """Write the request."""
        path, query, _ = request.url.partition("?")
        facts = {"method": request.method, "url": path + (query and f"?{MASK}")}
        self._write("request", call, {**facts, **_content(request)})

    def response_started(self, call: CallInfo, status: int, headers: Mapping[str, str], /) -> None:
        """Nothing is written before its end."""

    def response_ended(self, call: CallInfo, answer: WireAnswer, /) -> None:
        """Write the answer, or what came of it."""
        self._write("response", call, {"status": answer.status, **_content(answer)})

    def attempt_ended(self, call: CallInfo, end: AttemptEnd, /) -> None:
        """Write why it failed, which may be without any answer."""
        if end.error is not None:
            facts = {"error": _error(end.error), "seconds": end.seconds, "retry_in": end.delay}
            self._write("failure", call, facts)

    def call_ended(self, call: CallInfo, end: CallEnd, /) -> None:
        """Nothing is left of it."""
        self._attempts.pop(call.id, None)

    def _write(self, event: str, call: CallInfo, facts: Mapping[str, Any]) -> None:
        time = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        where = {"capability": call.capability, "backend": call.backend, "model": call.model}
        names = {"call": call.id, "attempt": self._attempts.get(call.id), **where}
        _say(redact(json.dumps({"time": time, "event": event, **names, **facts})))


def _content(sent: WireRequest | WireAnswer) -> dict[str, Any]:
    headers = {name: _shown(name, value) for name, value in sent.headers.items()}
    return {"headers": headers, "body": _body(sent.body), "size": sent.size}


def _shown(name: str, value: str) -> str:
    low = name.lower()
    return value if low in _HARMLESS or low.startswith(_HARMLESS_BEGINNINGS) else MASK


def _body(text: str | None) -> Any:
    """The value of what is JSON as a whole, and any other text as it is."""
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return text


def _error(error: MultitapError) -> Mapping[str, Any]:
    if isinstance(error, BackendError):
        return error.to_dict()
    return {"class": type(error).__name__, "message": error.message, "hint": error.hint}


def _say(line: str) -> None:
    logger = logging.getLogger("multitap.llm")
    if logger.handlers:  # who asks by the variable need not set a level as well
        logger.handle(logger.makeRecord(logger.name, logging.DEBUG, "", 0, line, (), None))
    elif sys.stderr is not None:
        sys.stderr.write(f"{line}\n")


DEBUGGING = Observed(JsonLines(), "multitap")
