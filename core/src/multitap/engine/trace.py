"""What is sent and what comes back, made fit to be shown: no key in it, and not too long."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from multitap.engine.carrier import Request
from multitap.extensions import WireRequest
from multitap.work import Backend

__all__ = ("shown_headers", "wire_request")

LONGEST_BODY = 16 * 1024
SLACK = 4096
"""Of a key that stands where the body is cut nothing is shown."""

_TELLING = re.compile(
    r"(^|[-_])(authorization|cookies?|(api|access|secret)?[-_]?keys?|secrets?|passwords?|tokens?)$"
    r"|^set-cookie",
    re.IGNORECASE,
)


def wire_request(backend: Backend, request: Request, keys: Collection[str]) -> WireRequest:
    """One request as it is sent; ``keys`` are the names of the headers that the backend's key made.

    What the carrier adds, such as ``host`` and ``content-length``, is not in it.
    """
    redact = _redact(backend)
    body = request.body if isinstance(request.body, bytes) else None
    shown = None
    if body is not None:
        shown = redact(body[: LONGEST_BODY + SLACK].decode("utf-8", "replace"))[:LONGEST_BODY]
    return WireRequest(
        method=request.call.method,
        url=redact(backend.endpoint + request.call.path),
        headers=shown_headers(backend, request.headers, keys),
        body=shown,
        size=len(request.body),
    )


def shown_headers(
    backend: Backend, headers: Mapping[str, str], keys: Collection[str] = ()
) -> Mapping[str, str]:
    """The headers, ``***`` in place of what is a key by its origin, its name or its value."""
    redact = _redact(backend)
    hidden = {name.lower() for name in keys}
    return {
        name: "***" if name.lower() in hidden or _TELLING.search(name) else redact(value)
        for name, value in headers.items()
    }


def _redact(backend: Backend) -> Callable[[str], str]:
    redact: Callable[[str], str] = getattr(backend.auth, "redact", str)
    return redact
