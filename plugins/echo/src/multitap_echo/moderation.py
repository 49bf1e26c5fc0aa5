"""Moderation: flags the words of a short list."""

from __future__ import annotations

from multitap.capabilities.moderation import Judgement, ModerationRequest
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_echo.local import local
from multitap_echo.words import vocabulary

WORDS = {"harassment": {"idiot", "stupid"}, "violence": {"kill", "murder"}}


class EchoModeration:
    """A text is flagged if it has a word of the list; case does not matter."""

    def moderate(self, request: ModerationRequest, /) -> LocalExchange[Judgement]:
        """One judgement for each text."""
        return local(lambda: map(_judged, request.texts))


def _judged(text: str) -> Judgement:
    found = {name: bool(bad & vocabulary(text)) for name, bad in WORDS.items()}
    scores = {name: float(flagged) for name, flagged in found.items()}
    return Judgement(flagged=any(found.values()), categories=found, scores=scores)


@hookimpl
def multitap_moderation(backend: Backend) -> EchoModeration:
    """Flag words."""
    return EchoModeration()
