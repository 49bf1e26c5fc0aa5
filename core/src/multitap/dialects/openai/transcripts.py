"""What transcriptions answer: one JSON value, or a stream in OpenAI's words or in vLLM's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from multitap.capabilities.transcription import (
    Segment,
    Transcript,
    TranscriptDelta,
    TranscriptionOutput,
    TranscriptionRequest,
)
from multitap.dialects.openai.errors import openai_error
from multitap.errors import NotSupported, TruncatedStream
from multitap.events import Usage

__all__ = ("Heard", "HeardChunk", "HeardPieces", "read_heard")


class Stretch(msgspec.Struct, gc=False):
    """A segment, or a word."""

    start: float | None = None
    end: float | None = None
    text: str | None = None
    word: str | None = None


class HeardUsage(msgspec.Struct, gc=False):
    """What it cost: tokens in either of two namings, or seconds."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    seconds: float | None = None


class Heard(msgspec.Struct, gc=False):
    """A whole answer, ``json`` or ``verbose_json``."""

    text: str | None = None
    language: str | None = None
    duration: float | str | None = None
    segments: list[Stretch] | None = None
    words: list[Stretch] | None = None
    usage: HeardUsage | None = None
    error: Any = None


class Delta(msgspec.Struct, gc=False):
    """What a choice adds."""

    content: str | None = None


class Choice(msgspec.Struct, gc=False):
    """vLLM's piece of the text."""

    delta: Delta | None = None
    finish_reason: str | None = None


class HeardChunk(msgspec.Struct, gc=False):
    """One event of a stream."""

    type: str | None = None
    delta: str | None = None
    text: str | None = None
    start: float | None = None
    end: float | None = None
    choices: list[Choice] | None = None
    usage: HeardUsage | None = None
    error: Any = None
    code: Any = None
    message: Any = None


def read_heard(request: TranscriptionRequest, heard: Heard) -> Iterator[TranscriptionOutput]:
    """The results of a whole answer; its reader may want pieces all the same."""
    if heard.error:
        raise openai_error(heard.error)
    usage = heard.usage or HeardUsage()
    transcript = Transcript(
        text=heard.text or "",
        language=heard.language,
        duration=_seconds(heard.duration, usage),
        segments=_segments(request, heard),
        usage=_usage(usage),
    )
    if request.stream and transcript.text:
        yield TranscriptDelta(transcript.text)
        yield from transcript.segments
    yield transcript


def _segments(request: TranscriptionRequest, heard: Heard) -> tuple[Segment, ...]:
    if request.timestamps is None:
        return ()
    rows = heard.words if request.timestamps == "word" else heard.segments
    if rows is None and heard.text:
        raise NotSupported(
            f"The model gives no times of {request.timestamps}s",
            hint="Leave timestamps out, or ask another model.",
            kind="unsupported_option",
        )
    return tuple(_segment(row.start, row.end, row.text or row.word) for row in rows or ())


def _segment(start: float | None, end: float | None, text: str | None) -> Segment:
    began = start or 0.0
    return Segment(began, began if end is None else end, (text or "").strip())


def _seconds(duration: float | str | None, usage: HeardUsage) -> float | None:
    """The length of the sound, which some servers write as a text."""
    try:
        return usage.seconds if duration is None else float(duration)
    except ValueError:
        return usage.seconds


def _usage(facts: HeardUsage) -> Usage:
    read = facts.prompt_tokens if facts.input_tokens is None else facts.input_tokens
    written = facts.completion_tokens if facts.output_tokens is None else facts.output_tokens
    return Usage.reported(read, written, total_tokens=facts.total_tokens)


class HeardPieces:
    """Reads one stream: the text in pieces, then the whole of it."""

    shape = HeardChunk

    def __init__(self) -> None:
        self._text: list[str] = []
        self._segments: list[Segment] = []
        self._usage = HeardUsage()
        self._over = self._told = False

    def record(self, chunk: HeardChunk) -> Iterable[TranscriptionOutput]:
        """The results of one event; those that are not known say nothing."""
        if chunk.error or chunk.type == "error":
            raise openai_error(chunk.error or {"code": chunk.code, "message": chunk.message})
        self._usage = chunk.usage or self._usage
        if chunk.choices is not None:
            return [piece for choice in chunk.choices for piece in self._choice(choice)]
        if chunk.type == "transcript.text.delta":
            return self._piece(chunk.delta)
        if chunk.type == "transcript.text.segment":
            self._segments.append(_segment(chunk.start, chunk.end, chunk.text))
            return self._segments[-1:]
        return [self._done(chunk.text)] if chunk.type == "transcript.text.done" else []

    def finish(self) -> Iterable[TranscriptionOutput]:
        """Where no event was the whole, it is the pieces, if the last of them said that it is."""
        if self._told:
            return []
        if not self._over:
            raise TruncatedStream("The transcript ended before its end", phase="stream")
        return [self._done(None)]

    def _choice(self, choice: Choice) -> Iterable[TranscriptionOutput]:
        self._over = choice.finish_reason is not None
        return self._piece(choice.delta.content if choice.delta else None)

    def _piece(self, text: str | None) -> Iterable[TranscriptionOutput]:
        if not text:
            return []
        self._text.append(text)
        return [TranscriptDelta(text)]

    def _done(self, text: str | None) -> Transcript:
        self._told = True
        return Transcript(
            text="".join(self._text) if text is None else text,
            duration=self._usage.seconds,
            segments=tuple(self._segments),
            usage=_usage(self._usage),
        )
