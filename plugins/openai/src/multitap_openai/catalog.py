"""Catalog over ``/v1/models``: names, and little more, as OpenAI tells no more."""

from __future__ import annotations

from multitap.dialects.openai.listing import ModelsListing
from multitap.hookspecs import Backend, hookimpl
from multitap_openai.errors import explain
from multitap_openai.server import Server

__all__ = ("multitap_catalog",)


@hookimpl
def multitap_catalog(backend: Backend) -> ModelsListing:
    """List the models of OpenAI, or of a server that speaks its API."""
    server = Server.of(backend)
    return ModelsListing(
        backend, path=server.path("/models"), explain=explain, headers=server.headers
    )
