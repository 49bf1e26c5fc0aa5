"""Rerank: a query and documents in, the documents in order of relevance out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

import attrs

from multitap.events import Notice, Usage
from multitap.work import Work

__all__ = ("Ranked", "Ranking", "RerankModel", "RerankRequest", "sigmoid", "sort_ranked")


@attrs.frozen(kw_only=True)
class RerankRequest:
    """Documents to rank.

    Attributes:
        top_n: Keep the best so many; ``None``: all.
        threshold: Keep scores of at least this; ``None``: all.
    """

    model: str
    query: str = attrs.field(repr=False)
    documents: tuple[str, ...] = attrs.field(repr=False)
    top_n: int | None = None
    threshold: float | None = None


@attrs.frozen
class Ranked:
    """One document: its place in the request, and its score (from 0 to 1, more is better)."""

    index: int
    score: float


@attrs.frozen(kw_only=True)
class Ranking:
    """Documents, the most relevant first.

    Attributes:
        model: The model that the server says it used.
        warnings: What is not just as it was asked for; the runtime fills it in, with what the work
            told before its result.
    """

    results: tuple[Ranked, ...]
    usage: Usage = attrs.field(factory=Usage)
    model: str | None = None
    warnings: tuple[Notice, ...] = ()


class RerankModel(Protocol):
    """Implemented by a plugin; stateless and safe to share between threads."""

    def rerank(self, request: RerankRequest, /) -> Work[Ranking]:
        """Work with one result. The runtime sorts it and applies ``top_n`` and ``threshold``."""
        ...


def sigmoid(logit: float) -> float:
    """From any number, as a model gives it, to a score between 0 and 1, in the same order.

    >>> sigmoid(0.0), sigmoid(-1000.0), sigmoid(1000.0)
    (0.5, 0.0, 1.0)
    """
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    grown = math.exp(logit)
    return grown / (1 + grown)


def sort_ranked(
    results: Iterable[Ranked], top_n: int | None = None, threshold: float | None = None
) -> tuple[Ranked, ...]:
    """The best first, ties in the request's order, cut as asked.

    >>> sort_ranked([Ranked(0, 0.1), Ranked(1, 0.9)], top_n=1)
    (Ranked(index=1, score=0.9),)
    """
    kept = [r for r in results if threshold is None or r.score >= threshold]
    return tuple(sorted(kept, key=lambda r: (-r.score, r.index))[:top_n])
