"""What Atlas makes of texts: vectors, an order, tokens and judgements."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from multitap.capabilities.embedding import EmbeddingRequest, Embeddings, Vectors
from multitap.capabilities.moderation import Judgement, ModerationRequest
from multitap.capabilities.rerank import Ranked, Ranking, RerankRequest
from multitap.capabilities.tokenize import DetokenizeRequest, TokenizeRequest, Tokens, TokenText
from multitap.events import Usage
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange, Json
from multitap_atlas.calls import ask


class Rows(msgspec.Struct):
    """What ``POST /vectors`` answers."""

    rows: list[list[float]] | None = None
    read: int | None = None


class Scores(msgspec.Struct):
    """What ``POST /order`` answers: a score for each text, in the request's order."""

    scores: list[float] | None = None


class Pieces(msgspec.Struct):
    """What ``POST /split`` and ``POST /join`` answer."""

    ids: list[int] | None = None
    text: str | None = None


class Verdict(msgspec.Struct):
    """One text: how bad it is, by kind."""

    scores: dict[str, float] | None = None


class Verdicts(msgspec.Struct):
    """What ``POST /judge`` answers."""

    verdicts: list[Verdict] | None = None


def read_rows(reply: Rows) -> Iterator[Embeddings]:
    """One result; unequal rows, NaN and infinity are refused on the way."""
    vectors = Vectors.from_rows(reply.rows or [])
    yield Embeddings(vectors=vectors, usage=Usage.reported(reply.read, None))


def read_scores(reply: Scores) -> Iterator[Ranking]:
    """One result, in any order: the runtime sorts it."""
    ranked = (Ranked(place, score) for place, score in enumerate(reply.scores or ()))
    yield Ranking(results=tuple(ranked))


def read_verdicts(reply: Verdicts) -> Iterator[Judgement]:
    """One result for each text; more than a half is bad."""
    for verdict in reply.verdicts or ():
        scores = verdict.scores or {}
        bad = {kind: score > 0.5 for kind, score in scores.items()}
        yield Judgement(flagged=any(bad.values()), categories=bad, scores=scores)


class AtlasTexts:
    """Stateless; one for each backend."""

    def embed(self, request: EmbeddingRequest, /) -> Exchange[Embeddings]:
        """Vectors over ``POST /vectors``."""
        asked = {"size": request.dimensions, "kind": request.input_type}
        known = {name: value for name, value in asked.items() if value is not None}
        body = Json({"model": request.model, "texts": list(request.texts), **known})
        return ask("POST", "/vectors", Rows, read_rows, body)

    def rerank(self, request: RerankRequest, /) -> Exchange[Ranking]:
        """Scores over ``POST /order``."""
        texts = list(request.documents)
        body = Json({"model": request.model, "query": request.query, "texts": texts})
        return ask("POST", "/order", Scores, read_scores, body)

    def tokenize(self, request: TokenizeRequest, /) -> Exchange[Tokens]:
        """Ids over ``POST /split``."""
        body = Json({"model": request.model, "text": request.text, "around": request.special})
        return ask("POST", "/split", Pieces, lambda p: [Tokens(ids=tuple(p.ids or ()))], body)

    def detokenize(self, request: DetokenizeRequest, /) -> Exchange[TokenText]:
        """A text over ``POST /join``."""
        body = Json({"model": request.model, "ids": list(request.ids)})
        return ask("POST", "/join", Pieces, lambda p: [TokenText(p.text or "")], body)

    def moderate(self, request: ModerationRequest, /) -> Exchange[Judgement]:
        """Verdicts over ``POST /judge``."""
        body = Json({"model": request.model, "texts": list(request.texts)})
        return ask("POST", "/judge", Verdicts, read_verdicts, body)


@hookimpl
def multitap_embedding(backend: Backend) -> AtlasTexts:
    """Vectors over ``POST /vectors``."""
    return AtlasTexts()


@hookimpl
def multitap_rerank(backend: Backend) -> AtlasTexts:
    """Scores over ``POST /order``."""
    return AtlasTexts()


@hookimpl
def multitap_tokenize(backend: Backend) -> AtlasTexts:
    """Ids and texts over ``POST /split`` and ``POST /join``."""
    return AtlasTexts()


@hookimpl
def multitap_moderation(backend: Backend) -> AtlasTexts:
    """Verdicts over ``POST /judge``."""
    return AtlasTexts()
