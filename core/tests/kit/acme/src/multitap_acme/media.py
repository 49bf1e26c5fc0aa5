"""Transcription, speech and images."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from multitap.capabilities.image import ImageRequest
from multitap.capabilities.speech import SpeechRequest, Voice
from multitap.capabilities.transcription import (
    Segment,
    Transcript,
    TranscriptDelta,
    TranscriptionRequest,
)
from multitap.errors import ProtocolError, TruncatedStream
from multitap.events import AudioData, ImageData, Usage
from multitap.framing import NdjsonDecoder
from multitap.signatures import type_of
from multitap.work import Exchange, Head, Multipart, Stage, Work
from multitap_acme.asking import Asking, Spent

# ---- transcription -------------------------------------------------------------------------------


class Span(msgspec.Struct):
    milliseconds: tuple[int, int]
    text: str


class Heard(msgspec.Struct):
    """A line: a piece, or the whole."""

    piece: str | None = None
    text: str | None = None
    language: str | None = None
    spans: list[Span] | None = None
    spent: Spent | None = None


class Listening:
    """Reads the lines of one answer."""

    def __init__(self, owner: AcmeTranscription) -> None:
        self.owner, self.whole = owner, False

    def record(self, line: Heard) -> Iterator[Any]:
        if line.piece and not self.whole:
            yield TranscriptDelta(self.owner.piece(line.piece))
        if line.text is not None and not self.whole:
            self.whole = True
            yield from self.owner.transcripts(line)

    def finish(self) -> Iterator[Any]:
        if not self.whole:
            raise TruncatedStream("The transcript has no end", phase="stream")
        yield from ()


class AcmeTranscription(Asking):
    def transcribe(self, request: TranscriptionRequest, /) -> Exchange[Any]:
        body = Multipart(self.fields(request), {"sound": self.sound(request)})
        return self.ask("POST", "/hear", Heard, None, body)

    def decoder(self, shape: Any, record: Any, head: Head) -> Stage[bytes, Any]:
        lines = Listening(self)
        return NdjsonDecoder(Heard, lines.record, finish=lines.finish)

    def fields(self, request: TranscriptionRequest) -> dict[str, str]:
        known = {
            "model": request.model,
            "stream": request.stream,
            "language": request.language,
            "words": request.prompt,
            "heat": request.temperature,
            "times": request.timestamps,
            "english": request.translate or None,
        }
        return {name: str(value) for name, value in known.items() if value is not None}

    def sound(self, request: TranscriptionRequest) -> Any:
        return request.audio

    def piece(self, piece: str) -> str:
        return piece

    def transcripts(self, line: Heard) -> list[Transcript]:
        return [
            Transcript(
                text=line.text or "",
                language=line.language,
                segments=tuple(map(self.segment, line.spans or ())),
                usage=self.usage(line),
            )
        ]

    def segment(self, span: Span) -> Segment:
        start, end = span.milliseconds
        return Segment(start / 1000, end / 1000, span.text)

    def usage(self, line: Heard) -> Usage:
        return Usage.reported(line.spent.read if line.spent else None, None)


# ---- speech --------------------------------------------------------------------------------------


class Sounding:
    """Gives what came at once."""

    def __init__(self, owner: AcmeSpeech, head: Head) -> None:
        self.owner, self.head = owner, head

    def feed(self, data: bytes) -> list[AudioData]:
        return [self.owner.piece(data, self.head)]

    def finish(self) -> list[AudioData]:
        return []


class Voices(msgspec.Struct):
    voices: list[dict[str, str]]


class AcmeSpeech(Asking):
    def speak(self, request: SpeechRequest, /) -> Work[AudioData]:
        return self.ask("POST", "/say", None, None, self.body(request))

    def voices(self, model: str, /) -> Exchange[Voice]:
        return self.ask("GET", "/voices", Voices, self.listed)

    def decoder(self, shape: Any, record: Any, head: Head) -> Stage[bytes, Any]:
        return super().decoder(shape, record, head) if shape else self.sounding(head)

    def sounding(self, head: Head) -> Stage[bytes, Any]:
        return Sounding(self, head)

    def body(self, request: SpeechRequest) -> dict[str, Any]:
        known = {
            "text": request.text,
            "voice": request.voice,
            "format": request.format,
            "pace": request.speed,
            "how": request.instructions,
        }
        return {name: value for name, value in known.items() if value is not None}

    def piece(self, data: bytes, head: Head) -> AudioData:
        return AudioData(data, self.mime_type(head), self.rate(head))

    def mime_type(self, head: Head) -> str:
        return head.headers.get("content-type", "audio/wav")

    def rate(self, head: Head) -> int | None:
        return int(head.headers["x-rate"]) if "x-rate" in head.headers else None

    def listed(self, found: Voices) -> Iterator[Voice]:
        for row in found.voices:
            if row.get("name"):
                yield Voice(name=row["name"], title=row.get("title") or row["name"])


# ---- images --------------------------------------------------------------------------------------


class Drawn(msgspec.Struct):
    pictures: list[str]


class AcmeImage(Asking):
    def draw(self, request: ImageRequest, /) -> Exchange[ImageData]:
        read = partial(self.read, request)
        return self.ask("POST", "/draw", Drawn, read, self.body(request))

    def body(self, request: ImageRequest) -> dict[str, Any]:
        known = {
            "prompt": request.prompt,
            "count": request.n,
            "size": request.size,
            "quality": request.quality,
        }
        return {name: value for name, value in known.items() if value is not None}

    def read(self, request: ImageRequest, found: Drawn) -> list[ImageData]:
        return [self.picture(data) for data in self.counted(found.pictures, request.n)]

    def counted(self, pictures: list[str], wanted: int) -> list[str]:
        return pictures

    def picture(self, text: str) -> ImageData:
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ProtocolError("A picture is no base64") from None
        return ImageData(data, self.mime_type(data))

    def mime_type(self, data: bytes) -> str:
        return type_of(data) or "image/png"
