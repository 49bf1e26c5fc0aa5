"""How a backend is reached: which carrier moves its bytes, and through which proxy.

``proxy`` of a section is a URL, ``none``, or ``system``, which is the default: what the environment
(``HTTPS_PROXY``, ``NO_PROXY`` and so on) or the operating system says, looked up for each request,
and never for this machine. ``carrier`` is ``direct``, ``httpx`` or ``auto``: direct, unless there
is a proxy that speaks SOCKS, which needs httpx and the extra ``socks``.

>>> print(route_of(Section(name="a", provider="a", proxy="http://me:pw@p:3128"), "http://h"))
direct, through the proxy http://***@p:3128
"""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import urlsplit

import attrs

from multitap.config.sections import Section
from multitap.config.values import SOCKS, check_proxy, is_loopback, without_credentials
from multitap.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("FoundProxy", "Route", "client_route", "is_fixed", "route_of", "system_proxy")


@attrs.frozen(cache_hash=True)
class Route:
    """The carrier, the proxy and the authorities of a backend.

    Attributes:
        carrier: What moves the bytes.
        proxy: The proxy's URL with its credentials, which are never shown.
        proxy_source: Where that was found, such as ``HTTPS_PROXY``; ``None``: in the section.
        ca_file: Certificate authorities in PEM that are trusted beside the system's.
    """

    carrier: Literal["direct", "httpx"]
    proxy: str | None = attrs.field(
        default=None, repr=lambda url: repr(url and without_credentials(url))
    )

    proxy_source: str | None = None
    ca_file: str | None = None

    @property
    def shown_proxy(self) -> str | None:
        """The proxy without its credentials."""
        return self.proxy and without_credentials(self.proxy)

    def __str__(self) -> str:
        source = f" ({self.proxy_source})" if self.proxy_source else ""
        through = f", through the proxy {self.shown_proxy}{source}" if self.proxy else ""
        return self.carrier + through


def route_of(section: Section, endpoint: str) -> Route:
    """The way to a backend.

    Raises:
        ConfigError: The system names a proxy that cannot be used, or what speaks SOCKS is missing.
    """
    found = _proxy(section, endpoint)
    straight: Literal["direct", "httpx"] = "httpx" if section.carrier == "httpx" else "direct"
    if found is None:
        return Route(straight, ca_file=section.ca_file)
    if not found.url.lower().startswith(SOCKS):
        return Route(straight, found.url, found.source, section.ca_file)
    _check_socks(section, found)
    return Route("httpx", found.url, found.source, section.ca_file)


def is_fixed(section: Section, endpoint: str) -> bool:
    """Does the way to a backend depend on nothing but its section?"""
    return section.proxy not in (None, "system") or is_loopback(endpoint)


def _proxy(section: Section, endpoint: str) -> FoundProxy | None:
    if section.proxy == "none":
        return None
    if section.proxy in (None, "system"):
        return system_proxy(endpoint)
    return FoundProxy(section.proxy, None)


def _check_socks(section: Section, found: FoundProxy) -> None:
    whose = f"[{section.name}] has a SOCKS proxy{f', {found.source},' if found.source else ''}"
    if section.carrier == "direct":
        raise ConfigError(
            f"{whose} which needs httpx, and carrier is direct",
            hint='Remove carrier, or write proxy = "none".',
            key=f"{section.name}.carrier",
        )
    if find_spec("socksio") is None:
        raise ConfigError(
            f"{whose} and the package for that is not installed",
            hint="Run `pip install 'multitap[socks]'`, or write proxy = \"none\".",
            key=f"{section.name}.proxy",
        )


def client_route(section: Section) -> Route:
    """The way by a client that the application brings, which has proxies and TLS of its own.

    Raises:
        ConfigError: The section names a proxy or authorities, which that client would not use.
    """
    named = "proxy" if section.proxy not in (None, "none") else "ca_file"
    if getattr(section, named) not in (None, "none"):
        raise ConfigError(
            f"[{section.name}] has a {named}, and the client that was passed does not use it",
            hint=f"Give it to the client and remove {named} from llm.toml, or pass no client.",
            key=f"{section.name}.{named}",
        )
    return Route("httpx")


class FoundProxy(NamedTuple):
    """A proxy's URL, and where it was found; ``None``: in the section itself."""

    url: str
    source: str | None


def system_proxy(endpoint: str, proxies: Mapping[str, str] | None = None) -> FoundProxy | None:
    """The proxy that the environment or the system has for an endpoint; none for this machine.

    Raises:
        ConfigError: It is no URL of a proxy; its value is not shown.
    """
    if is_loopback(endpoint) or (proxies is None and _nobody_names_a_proxy()):
        return None
    from urllib.request import getproxies, proxy_bypass

    url = urlsplit(endpoint)
    known = getproxies() if proxies is None else proxies
    name = url.scheme if url.scheme in known else "all"
    if name not in known or proxy_bypass(url.netloc):
        return None
    proxy = known[name] if re.match(r"\w+://", known[name]) else f"http://{known[name]}"
    source = _variable(name)
    try:
        check_proxy(proxy)
    except ValueError as error:
        hint = f'Correct {source}, or write proxy = "none" in the backend\'s section.'
        raise ConfigError(f"The proxy of the system, {source}, {error}", hint=hint) from None
    return FoundProxy(proxy, source)


def _nobody_names_a_proxy() -> bool:
    """No variable does, and there is nobody else: to see that takes a fifth of a look-up."""
    others = sys.platform in ("darwin", "win32")
    return not others and not any(name[-6:].lower() == "_proxy" for name in os.environ)


def _variable(name: str) -> str:
    """Where the system's proxy of this name stands; the variable in small letters goes first."""
    names = (f"{name}_proxy", f"{name}_proxy".upper())
    return next((each for each in names if os.environ.get(each)), "the system's settings")
