"""OpenAI's refusals: what the dialect reads, and how long to wait by the rate-limit headers.

>>> from multitap.work import HttpReply
>>> body = b'{"error": {"message": "Slow down", "code": "rate_limit_exceeded"}}'
>>> headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m30s"}
>>> explain(HttpReply(429, headers, body)).retry_after
90.0
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from multitap.dialects.openai.errors import explain_openai
from multitap.errors import BackendError, RateLimited
from multitap.headers import duration

if TYPE_CHECKING:
    from multitap.work import HttpReply

__all__ = ("explain",)

_COUNTED = ("requests", "tokens")


def explain(reply: HttpReply) -> BackendError:
    """The typed error of a 4xx or 5xx answer."""
    error = explain_openai(reply)
    if isinstance(error, RateLimited) and error.retry_after is None:
        error.retry_after = _until_reset(reply.headers)
    return error


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """Until that is full again of which nothing is left; which that is may be unsaid."""
    spent = [n for n in _COUNTED if headers.get(f"x-ratelimit-remaining-{n}") == "0"]
    waits = [duration(headers.get(f"x-ratelimit-reset-{n}", "")) for n in spent or _COUNTED]
    return max((wait for wait in waits if wait is not None), default=None)
