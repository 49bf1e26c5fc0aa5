"""Transcription: reads the text from the samples of the echo's own WAV files."""

from __future__ import annotations

from collections.abc import Iterator

from multitap.capabilities.transcription import (
    Segment,
    Transcript,
    TranscriptDelta,
    TranscriptionOutput,
    TranscriptionRequest,
)
from multitap.errors import NotSupported
from multitap.events import Usage
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_echo.local import local
from multitap_echo.sound import read_wav
from multitap_echo.words import words


class EchoTranscription:
    """Hears only the echo."""

    def transcribe(self, request: TranscriptionRequest, /) -> LocalExchange[TranscriptionOutput]:
        """A word at a time, then the whole."""
        if request.translate:
            raise NotSupported("The echo does not translate")
        return local(lambda: _outputs(request))


def _outputs(request: TranscriptionRequest) -> Iterator[TranscriptionOutput]:
    source = request.audio.source
    text, rate = read_wav(source if isinstance(source, bytes) else source.read_bytes())
    for word in words(text) if request.stream else ():
        yield TranscriptDelta(word)
    parts = words(text) if request.timestamps == "word" else [text]
    segments = tuple(_timed(parts, rate)) if request.timestamps else ()
    usage, duration = Usage.reported(None, len(words(text))), len(text.encode()) / rate
    yield Transcript(text=text, duration=duration, segments=segments, usage=usage)


def _timed(parts: list[str], rate: int) -> Iterator[Segment]:
    end = 0
    for part in parts:
        start, end = end, end + len(part.encode())
        yield Segment(start / rate, end / rate, part.strip())


@hookimpl
def multitap_transcription(backend: Backend) -> EchoTranscription:
    """Hear what the echo spoke."""
    return EchoTranscription()
