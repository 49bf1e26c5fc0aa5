"""Where a backend is, and the bytes of a request to it."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import attrs

from multitap.errors import ConfigError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

    from multitap.engine.carrier import Request

__all__ = ("Origin", "check_headers", "head_of", "may_resend", "secure_context", "with_body")

_PATH = re.compile(r"/(?!/)[!-~]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_OURS = frozenset({"connection", "content-length", "host", "transfer-encoding"})
_IDEMPOTENT = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PUT"})
_HAS_BODY = frozenset({"PATCH", "POST", "PUT"})


# ---- where ---------------------------------------------------------------------------------------


@attrs.frozen
class Origin:
    """Where a backend is: its scheme, host and port, and the prefix of all its paths.

    Of a server at a Unix socket ``socket`` is the path; its host is called ``localhost``.
    """

    scheme: str
    host: str
    port: int
    prefix: str = ""
    socket: str | None = None

    @classmethod
    def parse(cls, endpoint: str) -> Origin:
        """Read an endpoint such as ``http://localhost:8000/api`` or ``unix:///run/llm.sock:/api``.

        Raises:
            ConfigError: It is no such address, or holds more than one.
        """
        if endpoint.startswith("unix:"):
            return cls._at_a_socket(endpoint)
        try:
            url = urlsplit(endpoint)
            host, port = url.hostname or "", url.port
            host = host if host.isascii() else host.encode("idna").decode()
        except ValueError:  # a UnicodeError is one
            raise ConfigError("The endpoint is not an address") from None
        if url.scheme not in ("http", "https") or not host:
            raise ConfigError("The endpoint must look like http://host:port")
        if "@" in url.netloc or url.query or url.fragment:
            raise ConfigError("The endpoint must have neither a user, nor a query, nor a fragment")
        port = port or (443 if url.scheme == "https" else 80)
        return cls(url.scheme, host, port, _prefix(url.path))

    @classmethod
    def _at_a_socket(cls, endpoint: str) -> Origin:
        path, _, prefix = endpoint.removeprefix("unix://").partition(":")
        if not endpoint.startswith("unix:///") or not path.strip("/"):
            raise ConfigError("The endpoint must look like unix:///run/llm.sock")
        return cls("http", "localhost", 80, _prefix(prefix), unquote(path))

    @property
    def secure(self) -> bool:
        """Is it reached over TLS?"""
        return self.scheme == "https"

    @property
    def local(self) -> bool:
        """Is it this machine, by name or by number?"""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")

    @property
    def authority(self) -> str:
        """Host and port as the ``Host`` header has them: the usual port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL that its paths follow; ``str`` is what it is called in a message."""
        return f"{self.scheme}://{self.authority}"

    def __str__(self) -> str:
        return f"unix://{self.socket}" if self.socket else self.url

    def target(self, path: str) -> str:
        """The path of one request, below the endpoint's own.

        Raises:
            ConfigError: ``path`` leads elsewhere, or holds what no path may hold.
        """
        if not _leads_below(path):
            raise ConfigError("A call's path must be relative to the endpoint, such as /api/chat")
        return self.prefix + path


@lru_cache(maxsize=256)  # asked for every call
def _leads_below(path: str) -> bool:
    segments = path.partition("?")[0].split("/")
    strange = "\\" in path or "#" in path or {".", ".."} & set(segments)
    return bool(_PATH.fullmatch(path)) and not strange


def _prefix(path: str) -> str:
    prefix = path.rstrip("/")
    if prefix and not _PATH.fullmatch(prefix):
        raise ConfigError("The endpoint's path holds a character that no URL may hold")
    return prefix


def secure_context(ca_file: str | None = None) -> ssl.SSLContext:
    """TLS for HTTP/1.1, as the system's certificate authorities have it, and those of a file.

    Raises:
        ConfigError: The file cannot be read, or holds no certificate.
    """
    import ssl

    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except ssl.SSLError:
            raise ConfigError(f"ca_file holds no certificate in PEM: {ca_file}") from None
        except OSError as error:
            raise ConfigError(f"ca_file cannot be read: {ca_file}: {error.strerror}") from None
    return context


# ---- what to send --------------------------------------------------------------------------------


def head_of(origin: Origin, request: Request, before: str = "", more: Sequence[str] = ()) -> bytes:
    """Request line and headers, all but the length of the body.

    Args:
        origin: Where it goes.
        request: What is asked.
        before: What a proxy wants before the path.
        more: Headers for the proxy.

    Raises:
        ConfigError: A header could not be sent safely; its value is not shown.
    """
    method = request.call.method
    if not _TOKEN.fullmatch(method):
        raise ConfigError("A call's method must be a word such as GET")
    target = before + origin.target(request.call.path)
    lines = [f"{method} {target} HTTP/1.1", f"host: {origin.authority}", *more]
    names = {name.lower() for name in request.headers}
    if "accept-encoding" not in names:
        lines.append("accept-encoding: identity")
    check_headers(request.headers)
    lines.extend(f"{name}: {value}" for name, value in request.headers.items())
    return "\r\n".join([*lines, ""]).encode("latin-1")


def with_body(head: bytes, request: Request) -> bytes:
    """Head and body; a body in files follows by itself."""
    body = request.body
    if not (body or request.call.method in _HAS_BODY):
        return head + b"\r\n"
    head = b"%bcontent-length: %d\r\n\r\n" % (head, len(body))
    return head + body if isinstance(body, bytes) else head


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse what could end a header's line, or is not the call's to set.

    Raises:
        ConfigError: It names the header; its value is not shown.
    """
    for name, value in headers.items():
        _check_header(name, value)


def _check_header(name: str, value: str) -> None:
    if not _is_for_a_call(name):
        raise ConfigError(f"The header {name!r} cannot be set by a call")
    if not _VALUE.fullmatch(value):
        raise ConfigError(
            f"The value of the header {name!r} holds a character that it may not hold"
        )


@lru_cache(maxsize=256)  # asked for every call
def _is_for_a_call(name: str) -> bool:
    return bool(_TOKEN.fullmatch(name)) and name.lower() not in _OURS


def may_resend(request: Request, *, sent: bool) -> bool:
    """May a request that got no byte of an answer go out once more, on a new connection?

    Only if it cannot have run, because it was not ``sent`` to its end, or may run twice.
    """
    idempotent = request.call.idempotent
    if idempotent is None:
        idempotent = request.call.method in _IDEMPOTENT
    return idempotent or not sent
