"""Moderation: texts in, what is wrong with each out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import attrs

from multitap.work import Work

__all__ = ("Judgement", "ModerationModel", "ModerationRequest")


@attrs.frozen(kw_only=True)
class ModerationRequest:
    """Texts to judge."""

    model: str
    texts: tuple[str, ...] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Judgement:
    """One text: flagged or not, by category, with scores from 0 to 1 where the backend gives them.

    >>> bool(Judgement(flagged=True))
    True
    """

    flagged: bool
    categories: Mapping[str, bool] = attrs.field(factory=dict)
    scores: Mapping[str, float] = attrs.field(factory=dict)

    def __bool__(self) -> bool:
        return self.flagged


class ModerationModel(Protocol):
    """Implemented by a plugin; stateless and safe to share between threads."""

    def moderate(self, request: ModerationRequest, /) -> Work[Judgement]:
        """One result for each text, in order."""
        ...
