"""Rerank over ``/rerank`` of Text Embeddings Inference (TEI): scores come from 0 to 1.

TEI takes 32 documents at once, or what it was started with. Where it refuses that many, it is asked
how many, and then for so many at a time: each document is ranked on its own, so nothing changes.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

import attrs
import msgspec

from multitap.capabilities.rerank import Ranked, Ranking, RerankRequest
from multitap.dialects.asking import read_json
from multitap.errors import BadRequest, ProtocolError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import HttpCall, HttpReply, Operation, Out, Steps, fetch
from multitap_tgi.replies import info
from multitap_tgi.tei import BATCH_TOO_LARGE, counted, explain_tei, tei_call

__all__ = ("TeiRerank", "multitap_rerank")


class Row(msgspec.Struct, gc=False):
    """A document's place in the request, and its score."""

    index: int | None = None
    score: float | None = None


@attrs.frozen
class Part:
    """What was said of some documents, the first of which has the place ``start``."""

    start: int
    rows: Sequence[Row]
    headers: Mapping[str, str]


@attrs.frozen
class TeiRerank:
    """Ranks with the one model of a server."""

    def rerank(self, request: RerankRequest, /) -> Operation[Ranking]:
        """All documents in one request, if it takes so many; nothing is cut."""

        def steps() -> Steps[Ranking]:
            try:
                parts = [(yield from _part(request, 0, len(request.documents)))]
            except BadRequest as error:
                if error.kind != BATCH_TOO_LARGE:
                    raise
                parts = yield from _in_parts(request)
            yield Out([_ranking(request, parts)])

        return Operation(steps, explain_tei)


def _in_parts(request: RerankRequest) -> Generator[HttpCall, HttpReply, list[Part]]:
    most = (yield from info()).max_client_batch_size or 1
    parts: list[Part] = []
    for start in range(0, len(request.documents), most):
        parts += [(yield from _part(request, start, most))]
    return parts


def _part(request: RerankRequest, start: int, most: int) -> Generator[HttpCall, HttpReply, Part]:
    texts = list(request.documents[start : start + most])
    body = {"query": request.query, "texts": texts, "truncate": False}
    reply = yield from fetch(tei_call("/rerank", body))
    return Part(start, read_json(list[Row], reply), reply.headers)


def _ranking(request: RerankRequest, parts: Sequence[Part]) -> Ranking:
    ranked = tuple(_ranked(row, part.start) for part in parts for row in part.rows)
    if sorted(one.index for one in ranked) != list(range(len(request.documents))):
        raise ProtocolError(
            f"{len(request.documents)} documents gave {len(ranked)} scores, not one each",
            kind="rerank_invalid",
        )
    usage = counted([part.headers for part in parts])
    return Ranking(results=ranked, usage=usage, model=request.model)


def _ranked(row: Row, start: int) -> Ranked:
    if row.index is None or row.score is None or not 0 <= row.score <= 1:
        raise ProtocolError(f"A ranked document is {row!r}", kind="rerank_invalid")
    return Ranked(start + row.index, row.score)


@hookimpl
def multitap_rerank(backend: Backend) -> TeiRerank:
    """Rank documents with a TEI server."""
    return TeiRerank()
