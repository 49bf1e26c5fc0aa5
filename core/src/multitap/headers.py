"""What the headers of an answer tell, in every dialect: how long to wait, which request it was."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from multitap.redaction import redact

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ("Allowance", "allowances", "duration", "request_id", "retry_after", "should_retry")

LONGEST_HINT = 86_400.0  # a day; what asks for more is no hint

_LIMITS = {name: f"x-ratelimit-limit-{name}" for name in ("requests", "tokens")}
_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id")


def request_id(headers: Mapping[str, str]) -> str | None:
    """The server's own name of the request; header names are in lower case."""
    for name in _REQUEST_IDS:
        if headers.get(name):
            return redact(headers[name])
    return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, by ``retry-after-ms``, ``retry-after`` (seconds, or a date), ``ratelimit``.

    A hint that makes no sense is none: one that is no number, below zero, or longer than a day.

    >>> retry_after({"retry-after-ms": "1500"}), retry_after({"retry-after": "soon"})
    (1.5, None)
    >>> retry_after({"ratelimit": '"default";r=0;t=7'})
    7.0
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _sensible(milliseconds / 1000)
    value = headers.get("retry-after")
    seconds = _seconds(value)
    if seconds is None:
        seconds = _until(value, headers.get("date", "")) if value else _reset(headers)
    return _sensible(seconds)


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """What the server itself says of trying again, by ``x-should-retry``."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


class Allowance(NamedTuple):
    """What a server grants in a span of time: of ``limit``, ``remaining``; full in ``reset`` s."""

    limit: float
    remaining: float
    reset: float


def allowances(headers: Mapping[str, str]) -> dict[str, Allowance]:
    """What is left of ``requests`` and ``tokens``, by OpenAI's ``x-ratelimit-`` headers.

    >>> names = ("limit", "remaining", "reset")
    >>> told = dict(zip((f"x-ratelimit-{n}-requests" for n in names), ("60", "59", "1m30s")))
    >>> allowances(told)
    {'requests': Allowance(limit=60.0, remaining=59.0, reset=90.0)}
    """
    found: dict[str, Allowance] = {}
    for name, header in _LIMITS.items():
        if header not in headers:
            continue
        limit = _seconds(headers[header])
        remaining = _seconds(headers.get(f"x-ratelimit-remaining-{name}"))
        reset = duration(headers.get(f"x-ratelimit-reset-{name}", ""))
        if limit and remaining is not None and reset is not None:
            found[name] = Allowance(limit, remaining, reset)
    return found


_PART = re.compile(r"(\d{1,9}(?:\.\d+)?)(ms|h|m|s)", re.ASCII)
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def duration(text: str) -> float | None:
    """Seconds of a duration as Go writes it.

    >>> duration("6m0s"), duration("1.5s"), duration("20ms"), duration("soon")
    (360.0, 1.5, 0.02, None)
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _reset(headers: Mapping[str, str]) -> float | None:
    """The IETF's fields: ``ratelimit: "name";r=0;t=7``, or ``ratelimit-reset: 7``."""
    told = re.search(r"(?:^|[;,\s])(?:t|reset)=(\d{1,9})", headers.get("ratelimit", ""), re.ASCII)
    return float(told[1]) if told else _seconds(headers.get("ratelimit-reset"))


def _sensible(seconds: float | None) -> float | None:
    return seconds if seconds is not None and seconds <= LONGEST_HINT else None


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
