"""Embedding over ``/api/embed``.

``/v1/embeddings`` could send base64, which is smaller and faster to read, but it drops
``truncate`` on its way and so cuts a text that is too long without a word. ``/api/embed`` refuses
it, which is a ``ContextOverflow`` here. Its numbers are written so that they are the same float32
when they are read again.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Generic

import attrs
import msgspec

from multitap.capabilities.embedding import (
    EmbeddingRequest,
    Embeddings,
    Row,
    Vectors,
    check_width,
)
from multitap.dialects.numbers import Vector, VectorsDecoder
from multitap.errors import BadRequest
from multitap.events import Usage
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange, HttpCall, Json
from multitap_ollama.errors import explain_ollama
from multitap_ollama.requests import SILENCE, LoadSettings

__all__ = ("OllamaEmbedding", "multitap_embedding")


class Reply(msgspec.Struct, Generic[Vector], gc=False):
    """What the server answers."""

    embeddings: list[Vector] | None = None
    prompt_eval_count: int | None = None


@attrs.frozen
class OllamaEmbedding:
    """Embeds with the models of one server; ``input_type`` is not known to it."""

    options: ClassVar[frozenset[str]] = frozenset({"dimensions"})

    backend: str
    settings: LoadSettings

    def embed(self, request: EmbeddingRequest, /) -> Exchange[Embeddings]:
        """All texts in one call; one that is longer than the context is ``ContextOverflow``."""
        call = HttpCall(
            method="POST",
            path="/api/embed",
            body=Json(self._body(request)),
            idempotent=True,
            first_byte=SILENCE,
        )
        return Exchange(
            call=call,
            decoder=lambda head: VectorsDecoder(
                Reply, "embeddings", lambda reply: [_embeddings(request, reply)]
            ),
            explain=partial(explain_ollama, backend=self.backend),
        )

    def _body(self, request: EmbeddingRequest) -> dict[str, Any]:
        body: dict[str, Any] = {"model": request.model, "input": list(request.texts)}
        if request.dimensions is not None:
            if request.dimensions < 1:
                raise BadRequest(f"An embedding cannot have {request.dimensions} dimensions")
            body["dimensions"] = request.dimensions
        loading = self.settings.body()
        loading.pop("shift", None)  # nothing is generated
        return {**body, "truncate": False, **loading}


def _embeddings(request: EmbeddingRequest, reply: Reply[Row]) -> Embeddings:
    rows = [(None, row) for row in reply.embeddings or []]
    vectors = Vectors.from_numbered(rows, len(request.texts))
    check_width(vectors, request.dimensions)
    count = reply.prompt_eval_count
    usage = Usage.reported(count, None, total_tokens=count)
    return Embeddings(vectors=vectors, usage=usage, model=request.model)


@hookimpl
def multitap_embedding(backend: Backend) -> OllamaEmbedding:
    """Embed texts with an Ollama server."""
    return OllamaEmbedding(backend.id, LoadSettings.of(backend))
