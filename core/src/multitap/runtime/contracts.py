"""What each capability gives: a plugin that gives something else is named, and nothing breaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from multitap.capabilities.catalog import Model
from multitap.capabilities.embedding import Embeddings
from multitap.capabilities.image import ImageOutput
from multitap.capabilities.lifecycle import Progress, Slot
from multitap.capabilities.moderation import Judgement
from multitap.capabilities.provider import Validation
from multitap.capabilities.rerank import Ranking
from multitap.capabilities.speech import Voice
from multitap.capabilities.tokenize import Tokens, TokenText
from multitap.capabilities.transcription import TranscriptionOutput
from multitap.events import AudioData, Event, Failed, Notice

__all__ = ("CONTRACTS", "Contract")


class Contract:
    """A filter that lets results of some classes through, and raises ``TypeError`` for others.

    >>> Contract("rerank", Ranking).feed(["a"])
    Traceback (most recent call last):
    TypeError: as result of rerank it gave str, not Ranking
    """

    def __init__(self, capability: str, *kinds: type) -> None:
        self._capability = capability
        self._kinds = kinds
        self._known = frozenset((*kinds, Notice, Failed))

    def feed(self, items: Sequence[Any], /) -> Sequence[Any]:
        """The same results."""
        if not self._known.issuperset(map(type, items)):
            strange = [item for item in items if not isinstance(item, tuple(self._known))]
            if strange:
                kind, names = type(strange[0]).__name__, [each.__name__ for each in self._kinds]
                wanted = " or ".join(names) if len(names) < 4 else "an event"
                raise TypeError(f"as result of {self._capability} it gave {kind}, not {wanted}")
        return items

    def finish(self) -> Sequence[Any]:
        """Nothing is held."""
        return ()


_KINDS: dict[str, tuple[type, ...]] = {
    "chat": get_args(Event),
    "embedding": (Embeddings,),
    "rerank": (Ranking,),
    "tokenize": (Tokens, TokenText),
    "transcription": get_args(TranscriptionOutput),
    "speech": (AudioData, Voice),
    "moderation": (Judgement,),
    "image": get_args(ImageOutput),
    "catalog": (Model,),
    "lifecycle": (Progress, Model, Slot),
    "provider": (Validation,),
}

CONTRACTS = {name: (Contract(name, *kinds),) for name, kinds in _KINDS.items()}
"""By capability; of others nothing is known."""
