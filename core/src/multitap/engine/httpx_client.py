"""What the carriers over httpx make with it: clients of their own, requests, bodies in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx  # noqa: TID253 - imported by the carrier over httpx alone

from multitap.engine.direct.pool import IDLE_SECONDS, MAX_CONNECTIONS
from multitap.engine.origin import Origin, secure_context
from multitap.errors import ConfigError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterator

    from multitap.engine.httpx_attempt import Attempt

__all__ = ("async_pieces", "client_options", "origin_of", "pieces", "request_of")

_LIMITS = httpx.Limits(
    max_connections=MAX_CONNECTIONS,
    max_keepalive_connections=MAX_CONNECTIONS,
    keepalive_expiry=IDLE_SECONDS,
)


def origin_of(endpoint: str, client: object | None) -> Origin:
    """Where an endpoint is; ``ConfigError``: the client that was passed has no way there."""
    origin = Origin.parse(endpoint)
    if origin.socket is not None and client is not None:
        raise ConfigError(
            "The endpoint is a Unix socket, to which the client that was passed has no way",
            hint="Give the client a transport with uds=, and http://localhost as the endpoint; "
            "or pass no client.",
        )
    return origin


def client_options(
    origin: Origin, proxy: str | None, ca_file: str | None, transport: Callable[..., Any]
) -> dict[str, Any]:
    """Of a client of its own."""
    if origin.socket is not None:
        return {"trust_env": False, "transport": transport(uds=origin.socket, limits=_LIMITS)}
    tls = secure_context(ca_file)
    through = None if proxy is None else httpx.Proxy(proxy, ssl_context=_tls_to(proxy, tls))
    return {"limits": _LIMITS, "trust_env": False, "verify": tls, "proxy": through}


def _tls_to(proxy: str, context: ssl.SSLContext) -> ssl.SSLContext | None:
    return context if proxy.lower().startswith("https:") else None


def request_of(
    attempt: Attempt, client: httpx.Client | httpx.AsyncClient, **extensions: Any
) -> httpx.Request:
    """The request as httpx takes it."""
    # The client adds what its user gave it: headers, cookies, parameters.
    return client.build_request(
        attempt.request.call.method,
        attempt.url,
        headers=attempt.headers,
        content=attempt.content(on_a_loop=isinstance(client, httpx.AsyncClient)),
        extensions={"timeout": attempt.timeouts, **extensions},
    )


def pieces(response: httpx.Response) -> Iterator[bytes]:
    """The body as it comes; a mock's answer may be there as a whole already."""
    return iter((response.content,)) if response.is_stream_consumed else response.iter_raw()


async def async_pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    """The same on an event loop."""
    if response.is_stream_consumed:
        yield response.content
        return
    async for data in response.aiter_raw():
        yield data
