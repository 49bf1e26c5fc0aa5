"""Which server a backend is: whose rules hold, where its paths begin, which headers it gets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs

from multitap.work import Backend

__all__ = ("Server",)

_OPENAI_HOSTS = re.compile(r"(?:.+\.)?openai\.(?:com|azure\.com)")
_VERSION = re.compile(r"/v\d+[a-z0-9]*(?:/|$)")
_HEADERS = {"organization": "OpenAI-Organization", "project": "OpenAI-Project"}


@attrs.frozen
class Server:
    """One configured instance.

    Attributes:
        rules: ``openai``, or ``compatible``: what OpenAI demands alone is not asked of others.
        prefix: What stands between the endpoint and a path, such as ``/v1``.
        headers: Sent with each request.
    """

    backend: Backend
    rules: Literal["openai", "compatible"]
    prefix: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, backend: Backend) -> Server:
        """From a backend's endpoint and settings.

        >>> Server.of(Backend(id="a", provider="openai", endpoint="https://a.example/v4")).prefix
        ''
        """
        parts = urlsplit(backend.endpoint)
        host = parts.hostname or ""
        rules: Any = backend.settings.get("server")
        if rules is None:
            rules = "openai" if _OPENAI_HOSTS.fullmatch(host) else "compatible"
        prefix = backend.settings.get("prefix")
        if prefix is None:
            prefix = "" if _VERSION.search(parts.path) else "/v1"
        headers = {h: v for name, h in _HEADERS.items() if (v := backend.settings.get(name))}
        return cls(backend, rules, _with_slash(prefix), headers)

    @property
    def responds(self) -> bool:
        """Do chats go over ``/v1/responses``?"""
        return self.backend.settings.get("api") == "responses"

    def path(self, path: str) -> str:
        """The path of a request, after the endpoint."""
        return self.prefix + path


def _with_slash(prefix: str) -> str:
    inner = prefix.strip("/")
    return f"/{inner}" if inner else ""
