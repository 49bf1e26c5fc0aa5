"""Embedding over ``/v1/embeddings``."""

from __future__ import annotations

from multitap.dialects.openai.embeddings import TextEmbeddings
from multitap.hookspecs import Backend, hookimpl


@hookimpl
def multitap_embedding(backend: Backend) -> TextEmbeddings:
    """Embed over HTTP; ``encoding`` in ``llm.toml`` says how vectors travel."""
    return TextEmbeddings(backend, encoding=backend.settings.get("encoding", "float"))
