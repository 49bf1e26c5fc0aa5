"""Embedding, rerank, tokens and moderation: what is made of texts."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from multitap.capabilities.embedding import EmbeddingRequest, Embeddings, Vectors
from multitap.capabilities.moderation import Judgement, ModerationRequest
from multitap.capabilities.rerank import Ranked, Ranking, RerankRequest
from multitap.capabilities.tokenize import (
    DetokenizeRequest,
    TokenizeRequest,
    Tokens,
    TokenText,
)
from multitap.errors import ProtocolError
from multitap.events import Usage
from multitap.work import Exchange
from multitap_acme.asking import Asking, Spent

# ---- embedding -----------------------------------------------------------------------------------


class Row(msgspec.Struct):
    place: int
    numbers: list[float]


class Rows(msgspec.Struct):
    rows: list[Row]
    spent: Spent | None = None


class AcmeEmbedding(Asking):
    options = frozenset({"dimensions"})

    def embed(self, request: EmbeddingRequest, /) -> Exchange[Embeddings]:
        return self.ask(
            "POST", "/embed", Rows, lambda found: [self.read(request, found)], self.body(request)
        )

    def body(self, request: EmbeddingRequest) -> dict[str, Any]:
        size = {} if request.dimensions is None else {"size": request.dimensions}
        return {"model": request.model, "texts": self.texts(request), **size}

    def texts(self, request: EmbeddingRequest) -> list[str]:
        return list(request.texts)

    def read(self, request: EmbeddingRequest, found: Rows) -> Embeddings:
        rows = self.counted(self.sorted(found.rows), len(request.texts))
        return Embeddings(vectors=self.vectors(rows), usage=self.usage(found), model=request.model)

    def sorted(self, rows: list[Row]) -> list[Row]:
        return sorted(rows, key=lambda row: row.place)

    def counted(self, rows: list[Row], wanted: int) -> list[Row]:
        if len(rows) != wanted:
            raise ProtocolError(f"{wanted} texts gave {len(rows)} vectors")
        return rows

    def vectors(self, rows: list[Row]) -> Vectors:
        return Vectors.from_rows(row.numbers for row in rows)

    def usage(self, found: Rows) -> Usage:
        return Usage.reported(found.spent.read if found.spent else None, None)


# ---- rerank --------------------------------------------------------------------------------------


class Scored(msgspec.Struct):
    place: int
    score: float


class Scores(msgspec.Struct):
    scores: list[Scored]
    spent: Spent | None = None


class AcmeRerank(Asking):
    def rerank(self, request: RerankRequest, /) -> Exchange[Ranking]:
        body = {"model": request.model, **self.texts(request)}
        return self.ask("POST", "/rank", Scores, lambda found: [self.read(request, found)], body)

    def texts(self, request: RerankRequest) -> dict[str, Any]:
        return {"query": request.query, "documents": list(request.documents)}

    def read(self, request: RerankRequest, found: Scores) -> Ranking:
        rows = [self.checked(row) for row in found.scores]
        ranked = [Ranked(row.place, row.score) for row in rows]
        results = self.kept(request, self.distinct(request, ranked))
        return Ranking(results=tuple(results), usage=self.usage(found), model=request.model)

    def checked(self, row: Scored) -> Scored:
        if not math.isfinite(row.score):
            raise ProtocolError(f"A score is {row.score}")
        return row

    def distinct(self, request: RerankRequest, ranked: list[Ranked]) -> list[Ranked]:
        places = [each.index for each in ranked]
        if len(set(places)) < len(places) or not set(places) <= set(range(len(request.documents))):
            raise ProtocolError(f"The server ranked {places}")
        return ranked

    def kept(self, request: RerankRequest, ranked: list[Ranked]) -> list[Ranked]:
        return ranked

    def usage(self, found: Scores) -> Usage:
        return Usage.reported(found.spent.read if found.spent else None, None)


# ---- tokens --------------------------------------------------------------------------------------


class Split(msgspec.Struct):
    ids: list[int]
    pieces: list[str] | None = None


class Joined(msgspec.Struct):
    text: str


class AcmeTokenizer(Asking):
    shape: Any = Split

    def tokenize(self, request: TokenizeRequest, /) -> Exchange[Tokens]:
        body = {"text": self.text(request), **self.special(request)}
        return self.ask("POST", "/split", self.shape, lambda found: [self.split(found)], body)

    def text(self, request: TokenizeRequest) -> str:
        return request.text

    def special(self, request: TokenizeRequest) -> dict[str, Any]:
        return {"special": request.special}

    def split(self, found: Any) -> Tokens:
        pieces = None if found.pieces is None else tuple(map(self.piece, found.pieces))
        return Tokens(ids=tuple(found.ids), pieces=pieces)

    def piece(self, piece: str) -> bytes:
        return piece.encode()

    def detokenize(self, request: DetokenizeRequest, /) -> Exchange[TokenText]:
        body = {"ids": list(request.ids)}
        return self.ask("POST", "/join", Joined, lambda found: [self.joined(found)], body)

    def joined(self, found: Joined) -> TokenText:
        return TokenText(found.text)


# ---- moderation ----------------------------------------------------------------------------------


class Verdict(msgspec.Struct):
    place: int
    bad: dict[str, float]


class Verdicts(msgspec.Struct):
    verdicts: list[Verdict]


class AcmeModeration(Asking):
    def moderate(self, request: ModerationRequest, /) -> Exchange[Judgement]:
        body = {"texts": self.texts(request)}
        return self.ask("POST", "/judge", Verdicts, lambda found: self.read(request, found), body)

    def texts(self, request: ModerationRequest) -> list[str]:
        return list(request.texts)

    def read(self, request: ModerationRequest, found: Verdicts) -> list[Judgement]:
        rows = self.counted(self.sorted(found.verdicts), len(request.texts))
        return [self.judgement(row) for row in rows]

    def sorted(self, rows: list[Verdict]) -> list[Verdict]:
        return sorted(rows, key=lambda row: row.place)

    def counted(self, rows: list[Verdict], wanted: int) -> list[Verdict]:
        if len(rows) != wanted:
            raise ProtocolError(f"{wanted} texts gave {len(rows)} verdicts")
        return rows

    def judgement(self, row: Verdict) -> Judgement:
        flags = {self.name(name): score >= 0.5 for name, score in row.bad.items()}
        scores = {self.name(name): self.score(score) for name, score in row.bad.items()}
        return Judgement(flagged=any(flags.values()), categories=flags, scores=scores)

    def name(self, name: str) -> str:
        return name

    def score(self, score: float) -> float:
        return min(1.0, max(0.0, score))
