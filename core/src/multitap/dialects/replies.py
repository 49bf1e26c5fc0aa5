"""What every dialect reads in a refusal: its class by status, its headers, and its text."""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING, Any

import msgspec

from multitap.errors import (
    AuthenticationError,
    BackendError,
    BadRequest,
    EngineError,
    ModelNotFound,
    NotSupported,
    Overloaded,
    ProtocolError,
    ProviderDown,
    QuotaExceeded,
    RateLimited,
    Timeout,
)
from multitap.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from multitap.work import HttpReply

__all__ = ("class_for_status", "reply_facts", "reply_json", "reply_text", "retry_after")

_BY_STATUS: dict[int, type[BackendError]] = {
    401: AuthenticationError,
    402: QuotaExceeded,
    403: AuthenticationError,
    404: ModelNotFound,
    405: ProtocolError,
    408: Timeout,
    429: RateLimited,
    501: NotSupported,
    503: Overloaded,
    529: Overloaded,
}
_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id")
_TITLE = re.compile(r"(?is)<title[^>]*>(.*?)</title>")


def class_for_status(status: int | None, *, in_stream: bool = False) -> type[BackendError]:
    """The class that a status means; a server's own fault within a stream is the engine's.

    >>> class_for_status(429).__name__, class_for_status(500).__name__
    ('RateLimited', 'ProviderDown')
    """
    found = _BY_STATUS.get(status or 0)
    if found is not None:
        return found
    if status is not None and 400 <= status < 500:
        return BadRequest
    return EngineError if in_stream else ProviderDown


def reply_facts(reply: HttpReply) -> dict[str, Any]:
    """Status, request id and retry time, as keyword arguments of a ``BackendError``."""
    request_id = next((reply.headers[n] for n in _REQUEST_IDS if reply.headers.get(n)), None)
    wait = retry_after(reply.headers)
    return {"status": reply.status, "request_id": request_id, "retry_after": wait}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, by ``retry-after-ms`` or ``retry-after`` (seconds, or a date).

    >>> retry_after({"retry-after-ms": "1500"}), retry_after({"retry-after": "soon"})
    (1.5, None)
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _seconds(value)
    if seconds is not None or not value:
        return seconds
    until, now = _date(value), _date(headers.get("date") or "")
    if until is None:
        return None
    return max(0.0, until.timestamp() - (now.timestamp() if now else time.time()))


def _seconds(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _date(value: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None


def reply_json(reply: HttpReply) -> Any:
    """The body as JSON, or ``None`` where it is none."""
    try:
        return msgspec.json.decode(reply.body)
    except (ValueError, RecursionError):
        return None


def reply_text(reply: HttpReply) -> str:
    """The body in one line; of a page only its title.

    >>> from multitap.work import HttpReply
    >>> reply_text(HttpReply(502, {}, b"<html><title>Bad Gateway</title><p>nginx"))
    'Bad Gateway'
    """
    text = reply.body.decode("utf-8", "replace")
    if text.lstrip().startswith("<"):
        title = _TITLE.search(text)
        return excerpt(title[1]) if title else "an HTML page"
    return excerpt(text)
