"""What can go wrong on the way to a server, as typed errors; the words are the same everywhere.

No function here takes a header, a body or a query string, so that none can end up in a message.
"""

from __future__ import annotations

import errno
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

    from multitap.policy.clocks import Clocks

__all__ = (
    "aborted",
    "closed",
    "connect_failed",
    "connection_lost",
    "expired",
    "is_out_of_descriptors",
    "name_unknown",
    "not_on_this_loop",
    "out_of_descriptors",
    "over_limit",
    "pool_full",
    "proxy_refused",
    "proxy_unreachable",
    "slow_consumer",
    "tls_failed",
    "tls_reason",
    "truncated",
    "violation",
)

AWAY = 1.0
"""Seconds past a deadline in which a program that does read has long seen it."""

_WAITED_FOR = {
    "connect_timeout": "No connection",
    "first_byte_timeout": "No answer",
    "slow_peer": "No whole head of an answer",
    "stall_timeout": "Nothing moved",
}


def expired(kind: str, phase: str, limit: float, clocks: Clocks) -> Timeout:
    """The error of a wait that ran out: the deadline's, if that has passed, else the clock's."""
    if clocks.deadline is not None and clocks.now() >= clocks.deadline - 0.001:
        return DeadlineExceeded("The time for the whole call is over", phase=phase)
    return Timeout(f"{_WAITED_FOR[kind]} for {limit:g} s", kind=kind, phase=phase)


def slow_consumer(clocks: Clocks) -> LocalError | None:
    """The error of a reader that was away when the time of the whole call ran out, if it was.

    Who waits for bytes sees the deadline as it comes; only a reader sees it so late.
    """
    late = 0.0 if clocks.deadline is None else clocks.now() - clocks.deadline
    if late < AWAY:
        return None
    return LocalError(
        f"The answer was not read on until {late:.0f} s after the time for the whole call was over",
        hint="Read the stream faster, or pass a longer timeout=.",
        kind="slow_consumer",
    )


def connect_failed(where: str, reason: str, phase: str = "connect") -> ProviderDown:
    """No connection: refused or unreachable; or nobody knows the name's address now."""
    return ProviderDown(f"Cannot connect to {where}: {reason}", kind="connect_failed", phase=phase)


def name_unknown(where: str) -> ProviderDown:
    """The host's name does not exist."""
    error = ProviderDown(
        f"Cannot connect to {where}: there is no such name", kind="name_unknown", phase="resolve"
    )
    error.retryable = False
    return error


def is_out_of_descriptors(error: OSError) -> bool:
    """Does the error say that this process, or this machine, has too many files open?"""
    return error.errno in (errno.EMFILE, errno.ENFILE)


def out_of_descriptors() -> LocalError:
    """No socket can be opened, whatever the backend does."""
    return LocalError(
        "This machine has no file descriptor left for a connection",
        hint="Close files and connections, or raise the limit (`ulimit -n`).",
        kind="descriptors",
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
        hint="Is it running? Check proxy in llm.toml, or HTTPS_PROXY and the like.",
        phase="connect",
    )


def tls_failed(where: str, reason: str) -> TLSFailed:
    """The handshake failed for a reason that trying again does not cure."""
    return TLSFailed(f"No secure connection to {where}: {reason}", kind="tls_failed", phase="tls")


def tls_reason(error: ssl.SSLError) -> str:
    """What is wrong with a certificate or a handshake, in OpenSSL's words."""
    words = getattr(error, "verify_message", None) or getattr(error, "reason", None)
    return str(words or "the handshake failed").replace("_", " ").lower()


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
    kind = "connection_lost" if reset else None
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


def not_on_this_loop() -> LocalError:
    """The connections are those of another event loop, perhaps of one that is closed."""
    return LocalError(
        "The connections belong to another event loop",
        hint="Use each carrier, and each HTTP client, on one event loop only.",
    )
