"""What httpx raises, as the errors that every carrier has; what it logs, without keys."""

from __future__ import annotations

import logging
import re
import ssl
from typing import TYPE_CHECKING, NoReturn

import httpx  # noqa: TID253 - imported by the carrier over httpx alone

from multitap.engine import faults
from multitap.errors import ConfigError, MultitapError
from multitap.redaction import redact

if TYPE_CHECKING:
    from multitap.engine.httpx_attempt import Attempt

__all__ = ("FOREIGN", "raise_named")

_NOT_THERE = {"Network unreachable", "Host unreachable", "Connection refused", "TTL expired"}
_LOGGERS = ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "proxy", "socks")))
FOREIGN = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict)


def raise_named(error: BaseException, attempt: Attempt) -> NoReturn:
    """Every exception of httpx as one of ours, and of what speaks SOCKS; others as they are."""
    if isinstance(error, FOREIGN):
        raise _fault(error, attempt) from error
    if isinstance(error, RuntimeError) and "loop is closed" in str(error):
        raise faults.not_on_this_loop() from error
    ours = isinstance(error, MultitapError) or not isinstance(error, Exception)
    if attempt.phase == "connect" and not ours:
        raise faults.proxy_refused(attempt.proxy, None) from error
    raise error


def _fault(error: Exception, attempt: Attempt) -> Exception:
    if isinstance(error, httpx.TimeoutException):
        return _timed_out(error, attempt)
    if attempt.phase == "connect":
        return _socks_refused(str(error), attempt)
    if isinstance(error, httpx.ProxyError):
        return faults.proxy_refused(attempt.proxy, _status(error))
    if isinstance(error, httpx.ConnectError):
        return _not_connected(error, attempt)
    if isinstance(error, (httpx.NetworkError, httpx.StreamError)):
        return _lost(attempt, reset=True)
    if isinstance(error, httpx.RemoteProtocolError):
        gone = "disconnected" in str(error) or "closed connection" in str(error)
        return _lost(attempt, reset=False) if gone else faults.violation("httpx cannot read it")
    return ConfigError("httpx cannot send this request")


def _timed_out(error: httpx.TimeoutException, attempt: Attempt) -> Exception:
    if isinstance(error, httpx.PoolTimeout):
        return faults.pool_full(attempt.where)
    if isinstance(error, httpx.ConnectTimeout) or attempt.phase == "connect":
        return faults.expired("connect_timeout", "connect", attempt.connect, attempt.clocks)
    if isinstance(error, httpx.WriteTimeout):
        return faults.expired("stall_timeout", "send", attempt.clocks.write, attempt.clocks)
    if attempt.phase == "wait":
        return faults.expired("first_byte_timeout", "wait", attempt.first_byte, attempt.clocks)
    return faults.expired("stall_timeout", "stream", attempt.idle, attempt.clocks)


def _not_connected(error: httpx.ConnectError, attempt: Attempt) -> Exception:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return faults.tls_failed(attempt.where, faults.tls_reason(cause))
        if isinstance(cause, OSError) and faults.is_out_of_descriptors(cause):
            return faults.out_of_descriptors()
        cause = cause.__cause__ or cause.__context__
    if attempt.proxy is not None:
        return faults.proxy_unreachable(attempt.proxy)
    return faults.connect_failed(attempt.where, "refused, unreachable, or there is no such name")


def _socks_refused(said: str, attempt: Attempt) -> Exception:
    """By what the proxy replied; the words for that are httpcore's own."""
    reply = said.partition("could not connect: ")[2].rstrip(".")
    if reply in _NOT_THERE:
        return faults.connect_failed(attempt.where, f"{reply.lower()}, says the proxy")
    credentials = said.startswith("Invalid username") or "NO ACCEPTABLE METHODS" in said
    return faults.proxy_refused(attempt.proxy, None, credentials=credentials)


def _status(error: httpx.ProxyError) -> int | None:
    """The proxy's answer to CONNECT; its further words may hold anything."""
    found = re.match(r"\d{3}\b", str(error))
    return int(found[0]) if found else None


def _lost(attempt: Attempt, *, reset: bool) -> Exception:
    if attempt.phase == "wait":
        return faults.connection_lost(attempt.where, "wait")
    return faults.truncated(attempt.where, reset=reset)


def _without_keys(record: logging.LogRecord) -> bool:
    """Answers are logged with all their headers, in which a server may have sent a key back."""
    said = record.getMessage()
    shown = redact(said)
    if shown != said:
        record.msg, record.args = shown, ()
    return True


for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_without_keys)
