"""How a backend is reached: which carrier moves its bytes, and through which proxy.

``proxy`` of a section is a URL, ``none``, which is the default, or ``system``: what the environment
(``HTTPS_PROXY``, ``NO_PROXY`` and so on) or the operating system says, looked up for each request.
``carrier`` is ``direct``, ``httpx`` or ``auto``: direct, unless there is a proxy. One that speaks
SOCKS needs the extra ``socks``.

>>> print(route_of(Section(name="a", provider="a", proxy="http://me:pw@p:3128"), "http://h"))
httpx, through the proxy http://***@p:3128
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import attrs

from multitap.config.sections import Section
from multitap.config.values import SOCKS, check_proxy, is_loopback, without_credentials
from multitap.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("Route", "client_route", "route_of", "system_proxy")


@attrs.frozen
class Route:
    """The carrier, and the proxy's URL with its credentials, which are never shown."""

    carrier: Literal["direct", "httpx"]
    proxy: str | None = attrs.field(
        default=None, repr=lambda url: repr(url and without_credentials(url))
    )

    @property
    def shown_proxy(self) -> str | None:
        """The proxy without its credentials."""
        return self.proxy and without_credentials(self.proxy)

    def __str__(self) -> str:
        return (
            f"{self.carrier}, through the proxy {self.shown_proxy}" if self.proxy else self.carrier
        )


def route_of(section: Section, endpoint: str) -> Route:
    """The way to a backend.

    Raises:
        ConfigError: The system names a proxy that cannot be used, or what speaks SOCKS is missing.
    """
    proxy = section.proxy
    if proxy == "system":
        proxy = system_proxy(endpoint)
    if proxy is None or proxy == "none":
        return Route("httpx" if section.carrier == "httpx" else "direct")
    if proxy.lower().startswith(SOCKS) and find_spec("socksio") is None:
        raise ConfigError(
            f"[{section.name}] has a SOCKS proxy, and the package for that is not installed",
            hint="Run `pip install 'multitap[socks]'`.",
            key=f"{section.name}.proxy",
        )
    return Route("httpx", proxy)


def client_route(section: Section) -> Route:
    """The way by a client that the application brings, which has proxies of its own.

    Raises:
        ConfigError: The section names a proxy, which that client would not use.
    """
    if section.proxy not in (None, "none"):
        raise ConfigError(
            f"[{section.name}] has a proxy, and the client that was passed does not use it",
            hint="Give the proxy to the client and remove it from llm.toml, or pass no client.",
            key=f"{section.name}.proxy",
        )
    return Route("direct" if section.carrier == "direct" else "httpx")


def system_proxy(endpoint: str, proxies: Mapping[str, str] | None = None) -> str | None:
    """The proxy that the environment or the system has for an endpoint; none for this machine.

    Raises:
        ConfigError: It is no URL of a proxy; its value is not shown.
    """
    from urllib.request import getproxies, proxy_bypass

    url = urlsplit(endpoint)
    known = getproxies() if proxies is None else proxies
    name = url.scheme if url.scheme in known else "all"
    if name not in known or is_loopback(endpoint) or proxy_bypass(url.netloc):
        return None
    proxy = known[name] if re.match(r"\w+://", known[name]) else f"http://{known[name]}"
    try:
        check_proxy(proxy)
    except ValueError as error:
        hint = f'Correct {name}_proxy, or write proxy = "none" in the backend\'s section.'
        raise ConfigError(f"The proxy of the system, {name}_proxy, {error}", hint=hint) from None
    return proxy
