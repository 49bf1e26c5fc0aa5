"""What can go wrong on the way to a server, as typed errors; the words are the same everywhere.

No function here takes a header, a body or a query string, so that none can end up in a message.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from multitap.errors import (
    BackendError,
    DeadlineExceeded,
    LocalError,
    Overloaded,
    ProtocolError,
    ProviderDown,
    ProxyFailed,
    Timeout,
    TLSFailed,
    TruncatedStream,
)

if TYPE_CHECKING:
    import ssl

__all__ = (
    "aborted",
    "closed",
    "connect_failed",
    "connection_lost",
    "expired",
    "over_limit",
    "pool_full",
    "proxy_refused",
    "proxy_unreachable",
    "seconds_left",
    "tls_failed",
    "tls_reason",
    "truncated",
    "violation",
)

_WAITED_FOR = {
    "connect_timeout": "No connection",
    "first_byte_timeout": "No answer",
    "stall_timeout": "Nothing moved",
}


def seconds_left(limit: float, deadline: float | None) -> float:
    """The shorter of a clock and what is left until the deadline; zero or less: it has passed."""
    return limit if deadline is None else min(limit, deadline - time.monotonic())


def expired(kind: str, phase: str, limit: float, deadline: float | None) -> Timeout:
    """The error of a wait that ran out: the deadline's, if that has passed, else the clock's."""
    if deadline is not None and time.monotonic() >= deadline - 0.001:
        return DeadlineExceeded("The time for the whole call is over", phase=phase)
    return Timeout(f"{_WAITED_FOR[kind]} for {limit:g} s", kind=kind, phase=phase)


def connect_failed(where: str, reason: str) -> ProviderDown:
    """No connection: refused, unreachable, or the name is unknown."""
    return ProviderDown(
        f"Cannot connect to {where}: {reason}", kind="connect_failed", phase="connect"
    )


def proxy_refused(
    proxy: str | None, status: int | None, *, credentials: bool = False
) -> ProxyFailed:
    """The proxy would not let the request through; ``proxy`` is without its credentials."""
    name = f"The proxy {proxy}" if proxy else "The proxy"
    wants = credentials or status == 407
    said = "wants a user and a password that it knows" if wants else "refused to connect"
    answer = f" ({status})" if status else ""
    return ProxyFailed(f"{name} {said}{answer}", phase="connect", status=status)


def proxy_unreachable(proxy: str) -> ProxyFailed:
    """No connection to the proxy itself."""
    return ProxyFailed(
        f"Cannot connect to the proxy {proxy}",
        hint="Is it running? Check proxy in llm.toml.",
        phase="connect",
    )


def tls_failed(where: str, reason: str) -> TLSFailed:
    """The handshake failed for a reason that trying again does not cure."""
    return TLSFailed(f"No secure connection to {where}: {reason}", kind="tls_failed", phase="tls")


def tls_reason(error: ssl.SSLError) -> str:
    """What is wrong with a certificate or a handshake, in OpenSSL's words."""
    words = getattr(error, "verify_message", None) or error.reason or "the handshake failed"
    return str(words).replace("_", " ").lower()


def connection_lost(where: str, phase: str) -> ProviderDown:
    """The connection went away before the first byte of an answer."""
    return ProviderDown(
        f"{where} closed the connection without an answer",
        hint="The request may have run; look at the server's log before sending it again.",
        kind="connection_lost",
        phase=phase,
    )


def truncated(where: str, *, reset: bool) -> TruncatedStream:
    """The connection went away inside an answer: with a reset, or as if all were well."""
    kind = "connection_lost" if reset else "stream_truncated"
    return TruncatedStream(
        f"{where} broke off in the middle of an answer", kind=kind, phase="stream"
    )


def violation(what: str) -> ProtocolError:
    """The answer is not HTTP/1.1 as it should be."""
    return ProtocolError(f"The server broke HTTP: {what}", kind="protocol_violation", phase="parse")


def over_limit(what: str) -> ProtocolError:
    """The answer is larger than one is ready to take."""
    return ProtocolError(f"The answer is too large: {what}", kind="limit_exceeded", phase="parse")


def aborted(phase: str) -> BackendError:
    """What a call that was given up raises in the thread or task that was waiting for it."""
    return ProviderDown("The call was given up", kind="aborted", phase=phase)


def pool_full(where: str) -> Overloaded:
    """All connections that a carrier may have are in use."""
    return Overloaded(f"All connections to {where} are in use", kind="queue_full", phase="queue")


def closed() -> LocalError:
    """The carrier was closed, with the runtime that it belonged to."""
    return LocalError("This carrier is closed", hint="Make a new Runtime.")
