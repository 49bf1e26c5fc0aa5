"""Rerank: documents in order of relevance, scored from 0 to 1."""

from __future__ import annotations

import attrs

from multitap.capabilities.rerank import Ranked, Ranking, RerankRequest, sigmoid
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_llamacpp.calls import Models, ask, one_result
from multitap_llamacpp.embedding import usage_of
from multitap_llamacpp.engine import Report

__all__ = ("LlamaRerank", "multitap_rerank")


@attrs.frozen
class LlamaRerank:
    """Scores each document beside the query; the model's logits go through the sigmoid."""

    models: Models

    def rerank(self, request: RerankRequest, /) -> LocalExchange[Ranking]:
        """All documents in one call; a pair longer than the context is ``ContextOverflow``."""
        return one_result(lambda report: self._rerank(request, report))

    def _rerank(self, request: RerankRequest, report: Report) -> Ranking:
        model = self.models.find(request.model)
        body = {"query": request.query, "documents": list(request.documents)}
        with self.models.lease(model, "rerank", report) as loaded:
            answer = ask(loaded.native.handle_rerank, body, request.model)
        results = (Ranked(r["index"], sigmoid(r["relevance_score"])) for r in answer["results"])
        return Ranking(results=tuple(results), usage=usage_of(answer), model=request.model)


@hookimpl
def multitap_rerank(backend: Backend) -> LlamaRerank:
    """Rank documents with a GGUF reranker in this process."""
    return LlamaRerank(Models.of(backend))
