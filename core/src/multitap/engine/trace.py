"""What is sent and what comes back, made fit to be shown: no key in it, and not too long."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from multitap.engine.carrier import Request
from multitap.extensions import WireAnswer, WireRequest
from multitap.redaction import MASK, is_telling, redact
from multitap.work import Backend, Head

__all__ = ("cleaner", "shown_headers", "wire_answer", "wire_request")

LONGEST_BODY = 16 * 1024
SLACK = 4096
"""Of a key that stands where the body is cut nothing is shown."""


def wire_request(backend: Backend, request: Request, keys: Collection[str]) -> WireRequest:
    """One request as it is sent; ``keys`` are the names of the headers that the backend's key made.

    What the carrier adds, such as ``host`` and ``content-length``, is not in it.
    """
    body = request.body if isinstance(request.body, bytes) else None
    return WireRequest(
        method=request.call.method,
        url=cleaner(backend)(backend.endpoint + request.call.path),
        headers=shown_headers(backend, request.headers, keys),
        body=None if body is None else _shown_body(backend, body),
        size=len(request.body),
    )


def wire_answer(backend: Backend, head: Head, body: bytes, size: int) -> WireAnswer:
    """One answer as far as it was read; ``body`` may be its beginning alone."""
    return WireAnswer(
        status=head.status,
        headers=shown_headers(backend, head.headers),
        body=_shown_body(backend, body),
        size=size,
    )


def _shown_body(backend: Backend, body: bytes) -> str:
    text = body[: LONGEST_BODY + SLACK].decode("utf-8", "replace")
    return cleaner(backend)(text)[:LONGEST_BODY]


def shown_headers(
    backend: Backend, headers: Mapping[str, str], keys: Collection[str] = ()
) -> Mapping[str, str]:
    """The headers, ``***`` in place of what is a key by its origin, its name or its value."""
    clean = cleaner(backend)
    hidden = {name.lower() for name in keys}
    return {
        name: MASK if name.lower() in hidden or is_telling(name) else clean(value)
        for name, value in headers.items()
    }


def cleaner(backend: Backend) -> Callable[[str], str]:
    """What takes out of a text all that is known, and what the backend's own key knows of."""
    own: Callable[[str], str] | None = getattr(backend.auth, "redact", None)
    return redact if own is None else lambda text: redact(own(text))
