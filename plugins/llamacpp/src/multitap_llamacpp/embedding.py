"""Embedding: one vector of length 1 for each text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import attrs

from multitap.capabilities.embedding import EmbeddingRequest, Embeddings, Vectors
from multitap.errors import NotSupported
from multitap.events import Usage
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_llamacpp.calls import Models, ask, one_result
from multitap_llamacpp.engine import Report

__all__ = ("LlamaEmbedding", "multitap_embedding")


@attrs.frozen
class LlamaEmbedding:
    """Embeds with the model's own pooling, or with the mean where it has none."""

    options: ClassVar[frozenset[str]] = frozenset({"dimensions"})

    models: Models

    def embed(self, request: EmbeddingRequest, /) -> LocalExchange[Embeddings]:
        """All texts in one call; one that is longer than the context is ``ContextOverflow``."""
        if request.dimensions is not None:
            raise NotSupported(
                "llama.cpp gives vectors of the model's own width",
                hint="Leave dimensions out.",
                model=request.model,
            )
        return one_result(lambda report: self._embed(request, report))

    def _embed(self, request: EmbeddingRequest, report: Report) -> Embeddings:
        model = self.models.find(request.model)
        with self.models.lease(model, "embedding", report) as loaded:
            body = {"input": list(request.texts)}
            answer = ask(loaded.native.handle_embeddings, body, request.model)
        rows = [(row["index"], _unit(row["embedding"])) for row in answer["data"]]
        vectors = Vectors.from_numbered(rows, len(request.texts))
        return Embeddings(vectors=vectors, usage=usage_of(answer), model=request.model)


def _unit(row: Sequence[float]) -> Sequence[float]:
    if None in row:  # NaN, as the engine writes it
        return row
    length = math.sqrt(math.fsum(x * x for x in row))
    return [x / length for x in row] if length > 0 else row


def usage_of(answer: dict[str, Any]) -> Usage:
    """The tokens that were read."""
    counts = answer.get("usage") or {}
    return Usage.reported(
        counts.get("prompt_tokens"), None, total_tokens=counts.get("total_tokens")
    )


@hookimpl
def multitap_embedding(backend: Backend) -> LlamaEmbedding:
    """Embed texts with a GGUF model in this process."""
    return LlamaEmbedding(Models.of(backend))
