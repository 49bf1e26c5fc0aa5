"""Moderation over ``POST /v1/moderations``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import msgspec

from multitap.capabilities.moderation import Judgement, ModerationRequest
from multitap.dialects.openai.asking import json_exchange
from multitap.dialects.openai.errors import explain_openai, openai_error
from multitap.work import Backend, Exchange, Explain

__all__ = ("TextModerations",)


class Result(msgspec.Struct, gc=False):
    """What is wrong with one text; categories that do not apply may be null."""

    flagged: bool | None = None
    categories: dict[str, bool | None] | None = None
    category_scores: dict[str, float | None] | None = None


class Reply(msgspec.Struct, gc=False):
    """What the server answers."""

    results: list[Result] | None = None
    error: Any = None


@attrs.frozen
class TextModerations:
    """Judges texts with the models of one server.

    Args:
        backend: The configured instance.
        path: Where texts are judged, after the endpoint.
        explain: Turns a refusal into an error.
        headers: Sent with each request.
    """

    backend: Backend
    path: str = "/v1/moderations"
    explain: Explain = explain_openai
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    def moderate(self, request: ModerationRequest, /) -> Exchange[Judgement]:
        """All texts in one request."""
        body = {"model": request.model, "input": list(request.texts)}
        return json_exchange(
            "POST",
            self.path,
            Reply,
            _judgements,
            body,
            headers=self.headers,
            explain=self.explain,
        )


def _judgements(reply: Reply) -> Iterator[Judgement]:
    if reply.error:  # there are servers that refuse with status 200
        raise openai_error(reply.error)
    for result in reply.results or ():
        categories = {n: bad for n, bad in (result.categories or {}).items() if bad is not None}
        scores = {n: s for n, s in (result.category_scores or {}).items() if s is not None}
        flagged = any(categories.values()) if result.flagged is None else result.flagged
        yield Judgement(flagged=flagged, categories=categories, scores=scores)
