"""Embeddings of finches: how many of which vowel."""

from __future__ import annotations

from multitap.capabilities.embedding import EmbeddingRequest, Embeddings, Vectors
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Emit, LocalExchange


class FinchVectors:
    """Stateless; one for each backend."""

    def embed(self, request: EmbeddingRequest, /) -> LocalExchange[Embeddings]:
        """Five numbers for each text."""

        def run(emit: Emit[Embeddings]) -> None:
            rows = [[text.count(vowel) for vowel in "aeiou"] for text in request.texts]
            emit([Embeddings(vectors=Vectors.from_rows(rows))])

        return LocalExchange(run)


@hookimpl
def multitap_embedding(backend: Backend) -> FinchVectors:
    """Vectors of a finch."""
    return FinchVectors()
