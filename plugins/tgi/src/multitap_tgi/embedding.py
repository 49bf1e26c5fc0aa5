"""Embedding over ``/embed`` of Text Embeddings Inference (TEI), which TGI's makers run beside it.

``/v1/embeddings``, which TEI has too, cuts a long text in silence; ``/embed`` can be told not to.
Tokens are counted in a header.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from multitap.capabilities.embedding import EmbeddingRequest, Embeddings, Vectors, check_width
from multitap.errors import BadRequest, ProtocolError
from multitap.framing import JsonDecoder
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange, Head, Stage
from multitap_tgi.tei import counted, explain_tei, tei_call

__all__ = ("TeiEmbedding", "multitap_embedding")


@attrs.frozen
class TeiEmbedding:
    """Embeds with the one model of a server; ``input_type`` is not known to it."""

    options: ClassVar[frozenset[str]] = frozenset({"dimensions"})

    def embed(self, request: EmbeddingRequest, /) -> Exchange[Embeddings]:
        """All texts in one request; one that is longer than the context is ``ContextOverflow``."""

        def decoder(head: Head) -> Stage[bytes, Embeddings]:
            return JsonDecoder(list[list[float]], lambda rows: [_embeddings(request, rows, head)])

        return Exchange(
            call=tei_call("/embed", _body(request)), decoder=decoder, explain=explain_tei
        )


def _body(request: EmbeddingRequest) -> dict[str, Any]:
    body: dict[str, Any] = {"inputs": list(request.texts), "truncate": False}
    if request.dimensions is not None:
        if request.dimensions < 1:
            raise BadRequest(f"An embedding cannot have {request.dimensions} dimensions")
        body["dimensions"] = request.dimensions
    return body


def _embeddings(request: EmbeddingRequest, rows: list[list[float]], head: Head) -> Embeddings:
    if len(rows) != len(request.texts):
        raise ProtocolError(
            f"{len(request.texts)} texts gave {len(rows)} vectors", kind="embedding_invalid"
        )
    vectors = Vectors.from_rows(rows)
    check_width(vectors, request.dimensions)
    return Embeddings(vectors=vectors, usage=counted([head.headers]), model=request.model)


@hookimpl
def multitap_embedding(backend: Backend) -> TeiEmbedding:
    """Embed texts with a TEI server."""
    return TeiEmbedding()
