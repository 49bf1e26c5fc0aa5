"""Speech: sound whose samples hold the text, one byte of UTF-8 each."""

from __future__ import annotations

from collections.abc import Iterator

from multitap.capabilities.speech import SpeechRequest, Voice
from multitap.errors import BadRequest
from multitap.events import AudioData
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_echo.local import local
from multitap_echo.sound import RATE, samples_of, wav_of

_PIECE = 4096


class EchoSpeech:
    """16-bit mono PCM, bare or as a WAV file; ``EchoTranscription`` reads the latter."""

    def speak(self, request: SpeechRequest, /) -> LocalExchange[AudioData]:
        """The sound, in pieces."""
        if request.format not in ("wav", "pcm"):
            raise BadRequest(f"The echo speaks wav and pcm, not {request.format}")
        if request.voice not in (None, "echo"):
            raise BadRequest(f"The echo has one voice, 'echo', and not {request.voice!r}")
        return local(lambda: _pieces(request))

    def voices(self, model: str, /) -> LocalExchange[Voice]:
        """The one voice that it has."""
        return local(lambda: [Voice(name="echo", title="Echo")])


def _pieces(request: SpeechRequest) -> Iterator[AudioData]:
    rate = max(1, round(RATE * (request.speed or 1.0)))
    text = request.text
    sound = samples_of(text) if request.format == "pcm" else wav_of(text, rate)
    for start in range(0, len(sound), _PIECE):
        yield AudioData(sound[start : start + _PIECE], f"audio/{request.format}", rate)


@hookimpl
def multitap_speech(backend: Backend) -> EchoSpeech:
    """Speak in samples that are text."""
    return EchoSpeech()
