"""Catalog over ``/v1/models``."""

from __future__ import annotations

from multitap.dialects.openai.listing import ModelsListing
from multitap.hookspecs import Backend, hookimpl


@hookimpl
def multitap_catalog(backend: Backend) -> ModelsListing:
    """List the models of a server."""
    return ModelsListing(backend)
