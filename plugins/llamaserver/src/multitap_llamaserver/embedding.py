"""Embedding over ``/v1/embeddings``, with a server that was started with ``--embeddings``.

llama-server ignores ``dimensions``, so another number than the model's own is ``NotSupported``.
"""

from __future__ import annotations

from functools import partial

from multitap.dialects.openai.embeddings import TextEmbeddings
from multitap.hookspecs import Backend, hookimpl
from multitap_llamaserver.errors import explain_llamaserver

__all__ = ("multitap_embedding",)


@hookimpl
def multitap_embedding(backend: Backend) -> TextEmbeddings:
    """Embed texts with a llama-server."""
    return TextEmbeddings(backend, explain=partial(explain_llamaserver, backend=backend.id))
