"""Rerank over ``/v1/rerank``: llama-server gives logits, which become scores from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import attrs
import msgspec

from multitap.capabilities.rerank import Ranked, Ranking, RerankRequest, sigmoid
from multitap.dialects.openai.asking import json_exchange
from multitap.dialects.openai.chunks import UsageFacts, read_usage
from multitap.errors import ProtocolError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange
from multitap_llamaserver.errors import explain_llamaserver

__all__ = ("LlamaServerRerank", "multitap_rerank")


class Row(msgspec.Struct):
    """One document's place, and its logit."""

    index: int | None = None
    relevance_score: float | None = None


class Reply(msgspec.Struct):
    """What the server answers."""

    results: list[Row] | None = None
    usage: UsageFacts | None = None


@attrs.frozen
class LlamaServerRerank:
    """Ranks with a server that was started with ``--reranking``."""

    backend: str

    def rerank(self, request: RerankRequest, /) -> Exchange[Ranking]:
        """All documents in one call; a pair that is too long is ``ContextOverflow``."""
        body = {"model": request.model, "query": request.query}
        return json_exchange(
            "POST",
            "/v1/rerank",
            Reply,
            partial(_ranking, request),
            {**body, "documents": list(request.documents)},
            explain=partial(explain_llamaserver, backend=self.backend),
        )


def _ranking(request: RerankRequest, reply: Reply) -> Iterable[Ranking]:
    rows = [(row.index, row.relevance_score) for row in reply.results or ()]
    results = tuple(Ranked(i, sigmoid(s)) for i, s in rows if i is not None and s is not None)
    if sorted(row.index for row in results) != list(range(len(request.documents))):
        raise ProtocolError(
            f"{len(request.documents)} documents gave {len(results)} scores", kind="rerank_invalid"
        )
    usage = read_usage(reply.usage or UsageFacts())
    return (Ranking(results=results, usage=usage, model=request.model),)


@hookimpl
def multitap_rerank(backend: Backend) -> LlamaServerRerank:
    """Rank documents with a llama-server."""
    return LlamaServerRerank(backend.id)
