"""Embedding over ``/v1/embeddings``; whether base64 can be asked for is not documented."""

from __future__ import annotations

from multitap.dialects.openai.embeddings import TextEmbeddings
from multitap.hookspecs import Backend, hookimpl

__all__ = ("multitap_embedding",)


@hookimpl
def multitap_embedding(backend: Backend) -> TextEmbeddings:
    """Embed texts with an LM Studio."""
    return TextEmbeddings(backend, encoding=None)
