"""Rerank: the share of the query's words that a document has."""

from __future__ import annotations

from multitap.capabilities.rerank import Ranked, Ranking, RerankRequest, sort_ranked
from multitap.events import Usage
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_echo.local import local
from multitap_echo.words import vocabulary, words


class EchoRerank:
    """Scores from 0 (no word in common) to 1 (all words of the query)."""

    def rerank(self, request: RerankRequest, /) -> LocalExchange[Ranking]:
        """One ranking of all documents."""
        return local(lambda: [_ranking(request)])


def _ranking(request: RerankRequest) -> Ranking:
    query = vocabulary(request.query)
    shared = [len(query & vocabulary(document)) for document in request.documents]
    scores = [Ranked(index, count / max(1, len(query))) for index, count in enumerate(shared)]
    count = sum(len(words(text)) for text in (request.query, *request.documents))
    usage = Usage.reported(count, 0)
    return Ranking(results=sort_ranked(scores), usage=usage, model=request.model)


@hookimpl
def multitap_rerank(backend: Backend) -> EchoRerank:
    """Rank by shared words."""
    return EchoRerank()
