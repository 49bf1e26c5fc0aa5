"""What is said to a proxy that opens a tunnel, without any I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multitap.engine import faults
from multitap.engine.direct.http1 import Response
from multitap.errors import BackendError

if TYPE_CHECKING:
    from multitap.engine.direct.way import Way
    from multitap.policy.clocks import Limits

__all__ = ("Tunnel",)


class Tunnel:
    """One ``CONNECT``: the bytes to send, and what the proxy answers."""

    def __init__(self, way: Way, limits: Limits) -> None:
        assert way.proxy is not None
        self._proxy = way.proxy
        self._response = Response(str(way), "HEAD", limits)  # what follows the head is not its own
        origin = way.origin
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        place = f"{host}:{origin.port}"
        lines = [f"CONNECT {place} HTTP/1.1", f"host: {place}", *self._proxy.headers, "\r\n"]
        self.request = "\r\n".join(lines).encode("latin-1")

    def feed(self, data: bytes) -> bool:
        """Take what came, ``b""`` at the end; ``True``: the tunnel is open.

        Raises:
            ProxyFailed: It will not, or is no proxy.
        """
        try:
            if data:
                self._response.feed(data)
            else:
                self._response.end()
        except BackendError as error:
            raise faults.proxy_refused(self._proxy.shown, None) from error
        head = self._response.head
        if head is not None and not 200 <= head.status < 300:
            raise faults.proxy_refused(self._proxy.shown, head.status)
        return head is not None
