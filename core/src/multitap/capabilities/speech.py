"""Speech: text in, sound out, the first of it before the last is made."""

from __future__ import annotations

from typing import Protocol

import attrs

from multitap.events import AudioData
from multitap.work import Work

__all__ = ("SpeechModel", "SpeechRequest", "Voice")


@attrs.frozen(kw_only=True)
class SpeechRequest:
    """Text to speak.

    Attributes:
        voice: A name of ``voices()``; ``None``: the model's own.
        format: A media subtype: ``wav``, ``mp3``, ``pcm``, …
        speed: 1.0 is the voice's own pace.
    """

    model: str
    text: str = attrs.field(repr=False)
    voice: str | None = None
    format: str = "wav"
    speed: float | None = None
    instructions: str | None = None


@attrs.frozen(kw_only=True)
class Voice:
    """A voice; ``name`` goes into the request, ``title`` is for people."""

    name: str
    title: str
    languages: tuple[str, ...] = ()


class SpeechModel(Protocol):
    """Implemented by a plugin; stateless and safe to share between threads."""

    def speak(self, request: SpeechRequest, /) -> Work[AudioData]:
        """Pieces of one sound, in order; each says its type and sample rate."""
        ...

    def voices(self, model: str, /) -> Work[Voice]:
        """The voices of a model, one result each."""
        ...
