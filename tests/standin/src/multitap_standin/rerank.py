"""Rerank over ``/v1/rerank``."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from multitap.capabilities.rerank import Ranked, Ranking, RerankRequest
from multitap.dialects.openai.asking import json_exchange
from multitap.dialects.openai.chat import UsageFacts, read_usage
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange


class Row(msgspec.Struct):
    """One document's place and score."""

    index: int | None = None
    relevance_score: float | None = None


class Reply(msgspec.Struct):
    """What the server answers."""

    results: list[Row] | None = None
    model: str | None = None
    usage: UsageFacts | None = None


class StandInRerank:
    """Ranks; the scores are the server's own."""

    def rerank(self, request: RerankRequest, /) -> Exchange[Ranking]:
        """All documents; the runtime sorts and cuts."""
        body = {
            "model": request.model,
            "query": request.query,
            "documents": list(request.documents),
        }
        return json_exchange("POST", "/v1/rerank", Reply, _ranking, body)


def _ranking(reply: Reply) -> Iterable[Ranking]:
    rows = [(row.index, row.relevance_score) for row in reply.results or ()]
    yield Ranking(
        results=tuple(Ranked(i, score) for i, score in rows if i is not None and score is not None),
        usage=read_usage(reply.usage or UsageFacts()),
        model=reply.model,
    )


@hookimpl
def multitap_rerank(backend: Backend) -> StandInRerank:
    """Rank over HTTP."""
    return StandInRerank()
