"""Embedding over ``/v1/embeddings``, as base64. A text that is too long is ``ContextOverflow``."""

from __future__ import annotations

from typing import ClassVar

import attrs

from multitap.capabilities.embedding import EmbeddingRequest, Embeddings
from multitap.dialects.openai.embeddings import TextEmbeddings
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange
from multitap_vllm.calls import patient
from multitap_vllm.errors import explain_vllm

__all__ = ("VllmEmbedding", "multitap_embedding")


@attrs.frozen
class VllmEmbedding:
    """Embeds with the model of one server; ``input_type`` is not known to it."""

    options: ClassVar[frozenset[str]] = frozenset({"dimensions"})

    texts: TextEmbeddings

    def embed(self, request: EmbeddingRequest, /) -> Exchange[Embeddings]:
        """All texts in one request; only some models have fewer ``dimensions``."""
        return patient(self.texts.embed(request))


@hookimpl
def multitap_embedding(backend: Backend) -> VllmEmbedding:
    """Embed texts with a vLLM server."""
    return VllmEmbedding(TextEmbeddings(backend, explain=explain_vllm))
