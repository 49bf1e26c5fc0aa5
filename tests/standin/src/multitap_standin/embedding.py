"""Embedding over ``/v1/embeddings``."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import attrs
import msgspec

from multitap.capabilities.embedding import EmbeddingRequest, Embeddings, Vectors
from multitap.dialects.openai.chat import UsageFacts, read_usage
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange
from multitap_standin.calls import json_exchange


class Row(msgspec.Struct):
    """One vector: numbers, or base64 of little-endian float32."""

    index: int | None = None
    embedding: list[float] | str | None = None


class Reply(msgspec.Struct):
    """What the server answers."""

    data: list[Row] | None = None
    model: str | None = None
    usage: UsageFacts | None = None


@attrs.frozen
class StandInEmbedding:
    """Embeds; ``encoding`` in ``llm.toml`` says how vectors travel."""

    encoding: str

    def embed(self, request: EmbeddingRequest, /) -> Exchange[Embeddings]:
        """One vector for each text."""
        body: dict[str, Any] = {"model": request.model, "input": list(request.texts)}
        body["encoding_format"] = self.encoding
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        return json_exchange("POST", "/v1/embeddings", Reply, _embeddings, body)


def _embeddings(reply: Reply) -> Iterable[Embeddings]:
    rows = sorted(reply.data or (), key=lambda row: row.index or 0)
    yield Embeddings(
        vectors=Vectors.from_rows(_numbers(row.embedding) for row in rows),
        usage=read_usage(reply.usage or UsageFacts()),
        model=reply.model,
    )


def _numbers(embedding: list[float] | str | None) -> Any:
    if isinstance(embedding, str):
        return memoryview(base64.b64decode(embedding)).cast("f")
    return embedding or ()


@hookimpl
def multitap_embedding(backend: Backend) -> StandInEmbedding:
    """Embed over HTTP."""
    return StandInEmbedding(backend.settings.get("encoding", "float"))
