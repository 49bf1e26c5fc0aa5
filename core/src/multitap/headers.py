"""What the headers of an answer tell, in every dialect: how long to wait, which request it was."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from multitap.redaction import redact

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ("request_id", "retry_after")

_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id")


def request_id(headers: Mapping[str, str]) -> str | None:
    """The server's own name of the request; header names are in lower case."""
    found = (headers[name] for name in _REQUEST_IDS if headers.get(name))
    return next(map(redact, found), None)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, by ``retry-after-ms`` or ``retry-after`` (seconds, or a date).

    A hint that makes no sense is none.

    >>> retry_after({"retry-after-ms": "1500"}), retry_after({"retry-after": "soon"})
    (1.5, None)
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _seconds(value)
    return seconds if seconds is not None or not value else _until(value, headers.get("date", ""))


def _seconds(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _until(value: str, now: str) -> float | None:
    """By the server's own clock where it tells the time."""
    until, sent = _date(value), _date(now)
    if until is None:
        return None
    return max(0.0, until.timestamp() - (sent.timestamp() if sent else time.time()))


def _date(value: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(value)
    except (OverflowError, TypeError, ValueError):
        return None
