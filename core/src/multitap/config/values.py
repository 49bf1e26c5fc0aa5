"""Values of settings: from what is written to what the type asks for."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multitap.redaction import conceal
from multitap.rules import check_type

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from multitap.config.sources import Source

__all__ = (
    "SOCKS",
    "base_url",
    "check_endpoint",
    "check_proxy",
    "conceal_credentials",
    "is_loopback",
    "is_unix_socket",
    "parse_toml",
    "typed",
    "without_credentials",
)

SOCKS = ("socks5", "socks5h")
"""Schemes of proxies that speak SOCKS; either looks up the backend's name itself."""

_ENDPOINTS = "http://127.0.0.1:11434 or unix:///run/llm.sock"
_UNIX = re.compile(r"unix://(/[^\s/:?#@]+)+(:/[^\s:?#@]*)?")


def parse_toml(text: str) -> dict[str, Any]:
    """The document; ``ValueError`` with the parser's message where it is none."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("too many brackets within each other") from None


def typed(kind: str, value: Any, source: Source) -> Any:
    """The value as its type; ``ValueError`` says, without showing the value, what is expected.

    Environment and command line hold texts, which are read: ``80000``, ``true``, ``a,b``.

    >>> from multitap.config.sources import Source
    >>> typed("integer", "80000", Source("environment"))
    80000
    """
    if isinstance(value, str) and source.is_text:
        value = _READERS.get(kind, str)(value)
    check_type(kind, value)
    return _absolute(value, source) if kind == "path" else value


def _absolute(value: str | os.PathLike[str], source: Source) -> str:
    try:
        path = Path(value).expanduser()
    except RuntimeError:
        raise ValueError("starts with ~, and no home folder is known") from None
    return str((source.folder / path).absolute())


def check_endpoint(endpoint: str) -> None:
    """``ValueError`` unless it is a plain http(s) URL, or a Unix socket's.

    The URL, which may hold a key, is not shown.

    >>> check_endpoint("http://127.0.0.1:11434"), check_endpoint("unix:///run/llm.sock:/v1")
    (None, None)
    """
    if endpoint.startswith("unix:"):
        if not _UNIX.fullmatch(endpoint):
            raise ValueError("has to look like unix:///run/llm.sock, or unix:///run/llm.sock:/v1")
        return
    if "@" in _checked_url(endpoint, _ENDPOINTS).netloc:
        raise ValueError("must not hold credentials: they belong into api_key")


def check_proxy(proxy: str) -> None:
    """``ValueError`` unless it is the URL of an HTTP or SOCKS proxy, or one of the words for none.

    It may hold a user and a password, percent-encoded; it is not shown.

    >>> check_proxy("http://me:secret@proxy.example:3128"), check_proxy("system")
    (None, None)
    """
    if proxy in ("none", "system"):
        return
    example = 'http://proxy.example:3128, socks5://proxy.example:1080, "system" or "none"'
    url = _checked_url(proxy, example, ("http", "https", *SOCKS))
    if url.path not in ("", "/"):
        raise ValueError("must have no path; a / in a password is written %2F")
    if url.netloc.count("@") > 1 or not proxy.isascii():
        raise ValueError("holds a character that has to be percent-encoded")


def without_credentials(url: str) -> str:
    """The URL with ``***`` for its user and password.

    >>> without_credentials("http://me:secret@proxy.example:3128")
    'http://***@proxy.example:3128'
    """
    return re.sub(r"(?<=//).*@", "***@", url, flags=re.DOTALL)


def conceal_credentials(url: str) -> None:
    """A user and a password in a URL are shown nowhere from now on, as written and decoded."""
    from urllib.parse import unquote

    found = re.search(r"(?<=//)[^/]*(?=@)", url)
    user, colon, password = (found[0] if found else "").partition(":")
    for value in (f"{user}{colon}{password}", password or user):
        conceal(value)
        conceal(unquote(value))


def _checked_url(
    text: str, example: str, schemes: Sequence[str] = ("http", "https")
) -> SplitResult:
    from urllib.parse import urlsplit

    if not re.fullmatch(r"[^\s\x00-\x20\x7f]+", text):
        raise ValueError("has blanks or control characters in it")
    conceal_credentials(text)
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ValueError("is no URL: its host or port is wrong") from None
    if url.scheme not in schemes or not host:
        raise ValueError(f"has to be a URL such as {example}")
    if "?" in text or "#" in text:
        raise ValueError("must have neither a query nor a fragment")
    return url


@lru_cache(maxsize=256)  # asked for every call
def is_loopback(endpoint: str) -> bool:
    """Does the URL lead to this machine by its very spelling?

    >>> is_loopback("http://127.0.0.1:8000"), is_loopback("http://localhost.example")
    (True, False)
    """
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    if is_unix_socket(endpoint):
        return True
    host = urlsplit(endpoint).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_unix_socket(endpoint: str) -> bool:
    """Does the URL name a Unix socket?"""
    return endpoint.startswith("unix:///")


def base_url(endpoint: str, suffixes: Iterable[str] = ()) -> str:
    """The endpoint without a trailing slash, a dialect's ``/v1``, or one of the suffixes.

    >>> base_url("http://127.0.0.1:8000/v1/"), base_url("http://127.0.0.1:11434/api", ["/api"])
    ('http://127.0.0.1:8000', 'http://127.0.0.1:11434')
    >>> base_url("unix:///run/llm.sock:/v1")
    'unix:///run/llm.sock'
    """
    if is_unix_socket(endpoint):  # the path of the socket is left alone
        socket, _, prefix = endpoint.removeprefix("unix://").partition(":")
        rest = base_url(f"http://localhost{prefix}", suffixes).removeprefix("http://localhost")
        return f"unix://{socket}:{rest}" if rest else f"unix://{socket}"
    ends = "|".join(re.escape(suffix.strip("/")) for suffix in ("v1", *suffixes))
    return re.sub(rf"(?<=[^/:])/+(?:{ends})$", "", endpoint.rstrip("/"))


def _integer(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        return text


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _boolean(text: str) -> Any:
    words = {"true": True, "1": True, "yes": True, "on": True}
    words |= {"false": False, "0": False, "no": False, "off": False}
    return words.get(text.strip().lower(), text)


def _list(text: str) -> Any:
    if text.lstrip().startswith("["):
        return _toml_value(text)
    return [word.strip() for word in text.split(",") if word.strip()]


def _toml_value(text: str) -> Any:
    try:
        return parse_toml(f"value = {text}")["value"]
    except ValueError:
        raise ValueError("is not written as TOML writes it") from None


_READERS: Mapping[str, Callable[[str], Any]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "list": _list,
    "table": _toml_value,
}
