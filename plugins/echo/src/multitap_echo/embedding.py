"""Embedding: counts words by hash, so that texts that share words are near each other."""

from __future__ import annotations

import math
from typing import ClassVar
from zlib import crc32

from multitap.capabilities.embedding import EmbeddingRequest, Embeddings, Vectors
from multitap.errors import BadRequest
from multitap.events import Usage
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_echo.local import local
from multitap_echo.words import vocabulary, words


class EchoEmbedding:
    """Vectors of length 1, the same ones on every machine."""

    options: ClassVar[frozenset[str]] = frozenset({"dimensions"})

    def __init__(self, backend: Backend) -> None:
        self._dimensions: int = backend.settings.get("dimensions", 64)

    def embed(self, request: EmbeddingRequest, /) -> LocalExchange[Embeddings]:
        """One vector for each text."""
        wanted = request.dimensions
        width = self._dimensions if wanted is None else wanted
        if width < 1:
            raise BadRequest(f"An embedding cannot have {width} dimensions")
        return local(lambda: [_embeddings(request, width)])


def _embeddings(request: EmbeddingRequest, width: int) -> Embeddings:
    vectors = Vectors.from_rows(_vector(text, width) for text in request.texts)
    count = sum(len(words(text)) for text in request.texts)
    return Embeddings(vectors=vectors, usage=Usage.reported(count, 0), model=request.model)


def _vector(text: str, width: int) -> list[float]:
    counts = [0.0] * width
    for word in vocabulary(text) or {text}:
        counts[crc32(word.encode()) % width] += 1.0
    length = math.hypot(*counts)
    return [count / length for count in counts]


@hookimpl
def multitap_embedding(backend: Backend) -> EchoEmbedding:
    """Embed texts as hashed bags of words."""
    return EchoEmbedding(backend)
