"""The way to a backend: straight, or through an HTTP proxy."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import attrs

from multitap.config.values import without_credentials
from multitap.engine import faults
from multitap.engine.origin import Origin, head_of, secure_context, with_body

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from multitap.engine.carrier import Request
    from multitap.policy.clocks import Clocks
    from multitap.work import Head

__all__ = ("Proxy", "Trust", "Way")

PROXY_WANTS_CREDENTIALS = 407
MOST_HEADS = 16


@attrs.frozen
class Proxy:
    """An HTTP proxy: where it is, what it is called in messages, and its credentials."""

    origin: Origin
    shown: str
    headers: Sequence[str] = attrs.field(default=(), repr=False)

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Read a URL such as ``http://me:p%40ss@proxy.example:3128``."""
        parts = urlsplit(url)
        origin = Origin.parse(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        headers: Sequence[str] = ()
        if user or password:
            credentials = b64encode(f"{user}:{password}".encode()).decode()
            headers = (f"proxy-authorization: Basic {credentials}",)
        return cls(origin, without_credentials(url), headers)


@attrs.frozen
class Way:
    """How a backend is reached.

    Plain requests are given to a proxy as they are; to a secure backend it opens a tunnel, and sees
    nothing of what goes through it.
    """

    origin: Origin
    proxy: Proxy | None = None
    _heads: dict[tuple[object, ...], bytes] = attrs.field(
        factory=dict, init=False, eq=False, repr=False
    )

    @classmethod
    def to(cls, endpoint: str, proxy: str | None) -> Way:
        """The way to an endpoint, perhaps through the proxy at a URL.

        Raises:
            ConfigError: The endpoint is not an address.
        """
        return cls(Origin.parse(endpoint), Proxy.parse(proxy) if proxy else None)

    def __str__(self) -> str:
        proxy = self.proxy
        return f"{self.origin} through the proxy {proxy.shown}" if proxy else str(self.origin)

    @property
    def first(self) -> Origin:
        """Where its connections lead: to the backend, or to the proxy."""
        return self.proxy.origin if self.proxy else self.origin

    @property
    def tunnel(self) -> bool:
        """Has the proxy to open a tunnel?"""
        return self.proxy is not None and self.origin.secure

    def wire(self, request: Request) -> bytes:
        """What is sent for a request, once the connection stands."""
        call = request.call
        same = (call.method, call.path, *request.headers.items())
        head = self._heads.get(same)
        if head is None:
            head = self._head(request)
            if len(self._heads) >= MOST_HEADS:
                self._heads.clear()
            self._heads[same] = head
        return with_body(head, request)

    def _head(self, request: Request) -> bytes:
        if self.proxy is None or self.tunnel:
            return head_of(self.origin, request)
        return head_of(self.origin, request, self.origin.url, self.proxy.headers)

    def check(self, head: Head) -> None:
        """Refuse an answer of the proxy itself that wants credentials."""
        if self.proxy and not self.tunnel and head.status == PROXY_WANTS_CREDENTIALS:
            raise faults.proxy_refused(self.proxy.shown, head.status)

    def not_opened(self, error: OSError, clocks: Clocks) -> Exception:
        """No time was left for a connection, or this machine had no room for it."""
        if faults.is_out_of_descriptors(error):
            return faults.out_of_descriptors()
        if isinstance(error, TimeoutError):
            return faults.expired("connect_timeout", "connect", clocks.opening, clocks)
        return self.unreachable(error.strerror or "no answer")

    def unreachable(self, reason: str) -> Exception:
        """No connection, to the backend or to the proxy."""
        if self.proxy is not None:
            return faults.proxy_unreachable(self.proxy.shown)
        return faults.connect_failed(str(self.origin), reason)


class Trust:
    """The certificate authorities that are trusted, read when they are first needed.

    Args:
        context: The application's own choice of them.
        ca_file: Else those of this file in PEM, beside the system's.
    """

    def __init__(self, context: ssl.SSLContext | None, ca_file: str | None) -> None:
        self._context = context
        self._ca_file = ca_file

    def on(self, way: Way) -> ssl.SSLContext | None:
        """What TLS needs on the way; ``None``: there is none.

        Raises:
            ConfigError: The file of authorities is not as it should be.
        """
        if self._context is None and (way.first.secure or way.tunnel):
            self._context = secure_context(self._ca_file)
        return self._context
