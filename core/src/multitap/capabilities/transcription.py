"""Transcription: sound in, text out, whole or as it is heard."""

from __future__ import annotations

from typing import Literal, Protocol, Union

import attrs

from multitap.events import Usage
from multitap.work import File, Work

__all__ = (
    "Segment",
    "Transcript",
    "TranscriptDelta",
    "TranscriptionModel",
    "TranscriptionOutput",
    "TranscriptionRequest",
)


@attrs.frozen(kw_only=True)
class TranscriptionRequest:
    """Sound to write down.

    Attributes:
        audio: The file; a path is opened by the engine.
        language: ISO 639-1, where it is known.
        prompt: Words that help with names and spelling.
        timestamps: Also report segments, or words, with their times.
        translate: Write it down in English.
        stream: Whether the caller reads it as it comes.
    """

    model: str
    audio: File
    language: str | None = None
    prompt: str | None = None
    temperature: float | None = None
    timestamps: Literal["segment", "word"] | None = None
    translate: bool = False
    stream: bool = False


@attrs.frozen
class TranscriptDelta:
    """A piece of the text, as it is heard."""

    text: str


@attrs.frozen
class Segment:
    """A stretch of sound and its text; times in seconds from the start."""

    start: float
    end: float
    text: str


@attrs.frozen(kw_only=True)
class Transcript:
    """The whole: the last output of the work."""

    text: str
    language: str | None = None
    duration: float | None = None
    segments: tuple[Segment, ...] = ()
    usage: Usage = attrs.field(factory=Usage)


TranscriptionOutput = Union[TranscriptDelta, Segment, Transcript]


class TranscriptionModel(Protocol):
    """Implemented by a plugin; stateless and safe to share between threads."""

    def transcribe(self, request: TranscriptionRequest, /) -> Work[TranscriptionOutput]:
        """Pieces as they come, then one ``Transcript``."""
        ...
