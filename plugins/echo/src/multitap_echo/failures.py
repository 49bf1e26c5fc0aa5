"""The errors that ``/fail`` knows, by the name of their kind."""

from __future__ import annotations

from multitap import errors

_CLASSES: tuple[type[errors.BackendError], ...] = (
    errors.ProviderDown,
    errors.Timeout,
    errors.RateLimited,
    errors.Overloaded,
    errors.QuotaExceeded,
    errors.AuthenticationError,
    errors.ModelNotFound,
    errors.ContextOverflow,
    errors.Refused,
    errors.ContentFiltered,
    errors.ProtocolError,
    errors.TruncatedStream,
    errors.EngineError,
)

FAILURES = {cls("").kind: cls for cls in _CLASSES}


def failure(kind: str) -> errors.BackendError:
    """The error of a kind; a ``BadRequest`` where there is no such kind."""
    return FAILURES.get(kind, errors.BadRequest)(f"The echo was told to fail: {kind}")
