"""Embedding over ``/v1/embeddings``."""

from __future__ import annotations

from multitap.dialects.openai.embeddings import TextEmbeddings
from multitap.hookspecs import Backend, hookimpl
from multitap_openai.errors import explain
from multitap_openai.server import Server

__all__ = ("multitap_embedding",)

MOST_TEXTS = 2048  # in one request to OpenAI


@hookimpl
def multitap_embedding(backend: Backend) -> TextEmbeddings:
    """Embed texts with OpenAI, or a server that speaks its API."""
    server = Server.of(backend)
    ours = server.rules == "openai"
    return TextEmbeddings(
        backend,
        path=server.path("/embeddings"),
        explain=explain,
        encoding=backend.settings.get("encoding") or ("base64" if ours else "float"),
        most_texts=MOST_TEXTS if ours else None,
        headers=server.headers,
    )
