"""Sound in and out: ``POST /hear`` and ``POST /say``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

import msgspec

from multitap.capabilities.speech import SpeechRequest, Voice
from multitap.capabilities.transcription import (
    Segment,
    Transcript,
    TranscriptDelta,
    TranscriptionOutput,
    TranscriptionRequest,
)
from multitap.events import AudioData
from multitap.framing import NdjsonDecoder
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange, Head, HttpCall, Json, Multipart
from multitap_atlas.calls import ask, explain


class Heard(msgspec.Struct):
    """One line of ``POST /hear``; the last one has the whole text."""

    piece: str | None = None
    since: float | None = None
    until: float | None = None
    text: str | None = None
    language: str | None = None


def read_heard(line: Heard) -> Iterator[TranscriptionOutput]:
    """A piece, its time where it has one, or the whole."""
    if line.piece is not None:
        yield TranscriptDelta(line.piece)
        if line.since is not None and line.until is not None:
            yield Segment(line.since, line.until, line.piece)
    if line.text is not None:
        yield Transcript(text=line.text, language=line.language, duration=line.until)


def hearing(head: Head) -> NdjsonDecoder[Heard, TranscriptionOutput]:
    """One for each attempt."""
    return NdjsonDecoder(Heard, read_heard)


class AtlasEar:
    """Stateless; one for each backend."""

    def transcribe(self, request: TranscriptionRequest, /) -> Exchange[TranscriptionOutput]:
        """A form with the sound as a file; the engine opens it."""
        asked = {"model": request.model, "language": request.language, "hint": request.prompt}
        fields = {name: value for name, value in asked.items() if value is not None}
        body = Multipart(fields, {"sound": request.audio})
        call = HttpCall(method="POST", path="/hear", body=body)
        return Exchange(call=call, decoder=hearing, explain=explain)


class Sound:
    """A stage of its own: bytes become sound as they come, in whole samples of two bytes."""

    def __init__(self, head: Head) -> None:
        self._type = head.headers.get("content-type", "audio/wav")
        self._rate = int(head.headers.get("x-rate", "16000"))
        self._odd = b""

    def feed(self, data: bytes, /) -> Sequence[AudioData]:
        """What these bytes complete."""
        whole = self._odd + data
        end = len(whole) - len(whole) % 2
        self._odd = whole[end:]
        return [AudioData(whole[:end], self._type, self._rate)] if end else []

    def finish(self) -> Sequence[AudioData]:
        """Half a sample is nothing that can be heard."""
        return []


class Voices(msgspec.Struct):
    """What ``GET /voices`` answers: names, and what to call them."""

    voices: dict[str, str] | None = None


def read_voices(reply: Voices) -> Iterator[Voice]:
    """One result for each."""
    for name, title in (reply.voices or {}).items():
        yield Voice(name=name, title=title)


class AtlasMouth:
    """Stateless; one for each backend."""

    def speak(self, request: SpeechRequest, /) -> Exchange[AudioData]:
        """Bare bytes, heard as they come."""
        asked = {"voice": request.voice, "pace": request.speed, "manner": request.instructions}
        known = {name: value for name, value in asked.items() if value is not None}
        body = {"model": request.model, "text": request.text, "as": request.format, **known}
        call = HttpCall(method="POST", path="/say", body=Json(body))
        return Exchange(call=call, decoder=Sound, explain=explain)

    def voices(self, model: str, /) -> Exchange[Voice]:
        """The voices of a model."""
        return ask("GET", f"/voices/{quote(model, safe='')}", Voices, read_voices)


@hookimpl
def multitap_transcription(backend: Backend) -> AtlasEar:
    """Texts over ``POST /hear``."""
    return AtlasEar()


@hookimpl
def multitap_speech(backend: Backend) -> AtlasMouth:
    """Sound over ``POST /say``."""
    return AtlasMouth()
