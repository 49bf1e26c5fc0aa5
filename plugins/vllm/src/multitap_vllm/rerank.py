"""Rerank over ``/v1/rerank``, which a reranker has, and an embedder too.

The scores are the server's: from 0 to 1 of a reranker; of an embedder the cosine of two vectors,
from -1 to 1. A pair that is longer than the context is ``ContextOverflow``: nothing is cut.
"""

from __future__ import annotations

from typing import Any

import msgspec

from multitap.capabilities.rerank import Ranked, Ranking, RerankRequest
from multitap.dialects.openai.chat import UsageFacts, read_usage
from multitap.errors import ProtocolError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange
from multitap_vllm.calls import exchange

__all__ = ("VllmRerank", "multitap_rerank")


class Row(msgspec.Struct, gc=False):
    """A document's place in the request, and its score; its text, which comes too, is not read."""

    index: int | None = None
    relevance_score: float | None = None


class Reply(msgspec.Struct):
    """What the server answers, the best first."""

    results: list[Row] | None = None
    model: str | None = None
    usage: UsageFacts | None = None


class VllmRerank:
    """Ranks with the model of one server."""

    def rerank(self, request: RerankRequest, /) -> Exchange[Ranking]:
        """All documents in one call; the server is told how many are wanted, and sends no more."""
        body: dict[str, Any] = {
            "model": request.model,
            "query": request.query,
            "documents": list(request.documents),
        }
        if request.top_n:
            body["top_n"] = request.top_n
        return exchange("/v1/rerank", body, Reply, lambda reply: _ranking(request, reply))


def _ranking(request: RerankRequest, reply: Reply) -> Ranking:
    ranked = tuple(_ranked(row, len(request.documents)) for row in reply.results or ())
    wanted = min(request.top_n or len(request.documents), len(request.documents))
    if len({row.index for row in ranked}) != len(ranked) or len(ranked) < wanted:
        raise ProtocolError(
            f"{wanted} documents gave {len(ranked)} scores, not one each", kind="rerank_invalid"
        )
    usage = read_usage(reply.usage or UsageFacts())
    return Ranking(results=ranked, usage=usage, model=reply.model or request.model)


def _ranked(row: Row, documents: int) -> Ranked:
    if row.index is None or row.relevance_score is None or not 0 <= row.index < documents:
        raise ProtocolError(f"A ranked document is {row!r}", kind="rerank_invalid")
    return Ranked(row.index, row.relevance_score)


@hookimpl
def multitap_rerank(backend: Backend) -> VllmRerank:
    """Rank documents with a vLLM server."""
    return VllmRerank()
