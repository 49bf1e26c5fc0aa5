"""Rerank over ``/v1/rerank``, which a reranker has, and an embedder too.

Scores are from 0 to 1, whatever the model. Most rerankers give just that; those without an
activation give logits, and an embedder gives cosines, which nothing in the answer tells. So the
setting ``rerank_scores`` does, and a score that cannot be what it says is refused. A pair that is
longer than the context is ``ContextOverflow``: nothing is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import msgspec

from multitap.capabilities.rerank import Ranked, Ranking, RerankRequest, sigmoid
from multitap.dialects.openai.chat import UsageFacts, read_usage
from multitap.errors import ProtocolError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange
from multitap_vllm.calls import exchange

__all__ = ("VllmRerank", "multitap_rerank")

ROUNDING = 1e-3  # by which a cosine in half precision may be more than 1


class Row(msgspec.Struct, gc=False):
    """A document's place in the request, and its score; its text, which comes too, is not read."""

    index: int | None = None
    relevance_score: float | None = None


class Reply(msgspec.Struct):
    """What the server answers, the best first."""

    results: list[Row] | None = None
    model: str | None = None
    usage: UsageFacts | None = None


def from_cosine(cosine: float) -> float:
    """0 for opposite vectors, 0.5 for unrelated ones.

    >>> from_cosine(-1.0), from_cosine(0.0), from_cosine(1.0)
    (0.0, 0.5, 1.0)
    """
    return (1 + cosine) / 2


SCORES: Mapping[str, Callable[[float], float]] = {
    "probability": float,
    "cosine": from_cosine,
    "logit": sigmoid,
}


@attrs.frozen
class VllmRerank:
    """Ranks with the model of one server; ``score`` makes a score from 0 to 1 of a number."""

    score: Callable[[float], float] = float

    def rerank(self, request: RerankRequest, /) -> Exchange[Ranking]:
        """All documents in one call; the server is told how many are wanted, and sends no more."""
        body: dict[str, Any] = {
            "model": request.model,
            "query": request.query,
            "documents": list(request.documents),
        }
        if request.top_n:
            body["top_n"] = request.top_n
        return exchange("/v1/rerank", body, Reply, lambda reply: self._ranking(request, reply))

    def _ranking(self, request: RerankRequest, reply: Reply) -> Ranking:
        ranked = tuple(self._ranked(row, len(request.documents)) for row in reply.results or ())
        wanted = min(request.top_n or len(request.documents), len(request.documents))
        if len({row.index for row in ranked}) != len(ranked) or len(ranked) < wanted:
            raise ProtocolError(
                f"{wanted} documents gave {len(ranked)} scores, not one each", kind="rerank_invalid"
            )
        usage = read_usage(reply.usage or UsageFacts())
        return Ranking(results=ranked, usage=usage, model=reply.model or request.model)

    def _ranked(self, row: Row, documents: int) -> Ranked:
        if row.index is None or row.relevance_score is None or not 0 <= row.index < documents:
            raise ProtocolError(f"A ranked document is {row!r}", kind="rerank_invalid")
        score = self.score(row.relevance_score)
        if not -ROUNDING <= score <= 1 + ROUNDING:
            raise ProtocolError(
                f"vLLM scores a document {row.relevance_score:g}, which is not what it should be",
                hint="Set rerank_scores in llm.toml: cosine for an embedder, or logit.",
                kind="scores_unknown",
            )
        return Ranked(row.index, min(max(score, 0.0), 1.0))


@hookimpl
def multitap_rerank(backend: Backend) -> VllmRerank:
    """Rank documents with a vLLM server."""
    return VllmRerank(SCORES[backend.settings.get("rerank_scores", "probability")])
