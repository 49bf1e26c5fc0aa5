"""Moderation over ``/v1/moderations``."""

from __future__ import annotations

from multitap.dialects.openai.moderations import TextModerations
from multitap.hookspecs import Backend, hookimpl
from multitap_openai.errors import explain
from multitap_openai.server import Server

__all__ = ("multitap_moderation",)


@hookimpl
def multitap_moderation(backend: Backend) -> TextModerations:
    """Judge texts with OpenAI, or a server that speaks its API."""
    server = Server.of(backend)
    return TextModerations(
        backend, path=server.path("/moderations"), explain=explain, headers=server.headers
    )
