"""Transcription over ``POST /v1/audio/transcriptions``, and speech over ``POST /v1/audio/speech``.

@hookimpl
def multitap_transcription(backend: Backend) -> AudioTranscriptions:
    return AudioTranscriptions(backend)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import attrs
import msgspec

from multitap.capabilities.speech import SpeechRequest, Voice
from multitap.capabilities.transcription import TranscriptionOutput, TranscriptionRequest
from multitap.dialects.openai.completions import is_streamed
from multitap.dialects.openai.errors import explain_openai, openai_error
from multitap.dialects.openai.transcripts import Heard, HeardPieces, read_heard
from multitap.errors import BadRequest, NotSupported, ProtocolError
from multitap.events import AudioData, Failed
from multitap.framing import JsonDecoder, SseDecoder
from multitap.work import (
    Backend,
    Emit,
    Exchange,
    Explain,
    Head,
    HttpCall,
    Json,
    LocalExchange,
    Multipart,
    Stage,
)

__all__ = ("AudioSpeech", "AudioTranscriptions")

_TYPES = {"mp3": "audio/mpeg", "x-wav": "audio/wav", "wave": "audio/wav", "vnd.wave": "audio/wav"}
_PCM_RATE = 24_000  # hertz


@attrs.frozen
class AudioTranscriptions:
    """Writes down sound with the models of one server.

    Times are told in whole answers only, so a stream with them comes as one piece.

    Args:
        backend: The configured instance.
        path: What ``/transcriptions`` and ``/translations`` follow, after the endpoint.
        explain: Turns a refusal into an error.
        headers: Sent with each request.
        streaming: The fields that ask for a stream.
        streams_translations: Whether translations come as a stream too.
        hears_language: Whether a translation may be told the language that is spoken.
        first_byte: Seconds until the answer begins; ``None``: policy decides.
    """

    backend: Backend
    path: str = "/v1/audio"
    explain: Explain = explain_openai
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    streaming: Mapping[str, str] = attrs.field(factory=lambda: {"stream": "true"})
    streams_translations: bool = False
    hears_language: bool = False
    first_byte: float | None = None

    def transcribe(self, request: TranscriptionRequest, /) -> Exchange[TranscriptionOutput]:
        """One form with the sound as a file.

        Raises:
            NotSupported: Of a translation, words' times or the language are asked for.
        """
        self._check(request)
        streamed = request.stream and request.timestamps is None
        streamed = streamed and (self.streams_translations or not request.translate)
        fields = {**_fields(request), **(self.streaming if streamed else {})}
        call = HttpCall(
            method="POST",
            path=f"{self.path}/{'translations' if request.translate else 'transcriptions'}",
            headers=self.headers,
            body=Multipart(fields, {"file": request.audio}),
            first_byte=self.first_byte,
        )

        def decoder(head: Head) -> Stage[bytes, TranscriptionOutput]:
            if is_streamed(head, asked=streamed):
                pieces = HeardPieces()
                return SseDecoder(pieces.shape, pieces.record, finish=pieces.finish)
            return JsonDecoder(Heard, lambda heard: read_heard(request, heard))

        return Exchange(call=call, decoder=decoder, explain=self.explain)

    def _check(self, request: TranscriptionRequest) -> None:
        if request.translate and request.timestamps == "word":
            _refuse("A translation has no times of words", 'Ask for timestamps="segment".')
        if request.translate and request.language is not None and not self.hears_language:
            _refuse("A translation is told no language", "Leave language out; it is heard.")


def _refuse(message: str, hint: str) -> NoReturn:
    raise NotSupported(message, hint=hint, kind="unsupported_option")


def _fields(request: TranscriptionRequest) -> dict[str, str]:
    timed = request.timestamps is not None
    wanted: dict[str, Any] = {
        "model": request.model,
        "language": request.language,
        "prompt": request.prompt,
        "temperature": request.temperature,
        "response_format": "verbose_json" if timed else "json",
        "timestamp_granularities[]": None if request.translate else request.timestamps,
    }
    return {name: str(value) for name, value in wanted.items() if value is not None}


@attrs.frozen
class AudioSpeech:
    """Speaks with the models of one server.

    Args:
        backend: The configured instance.
        path: Where speech is made, after the endpoint.
        explain: Turns a refusal into an error.
        headers: Sent with each request.
        known: The voices that there are; the server has no list of them.
        voice: The voice where none is named; ``None``: it is not said.
        longest: How many characters a text may have; ``None``: any number.
    """

    backend: Backend
    path: str = "/v1/audio/speech"
    explain: Explain = explain_openai
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    known: Sequence[Voice] = ()
    voice: str | None = None
    longest: int | None = None

    def speak(self, request: SpeechRequest, /) -> Exchange[AudioData]:
        """One request, whose answer is the bare sound.

        Raises:
            BadRequest: The text is longer than one request may have.
        """
        if self.longest is not None and len(request.text) > self.longest:
            raise BadRequest(
                f"A text of {len(request.text)} characters is too long to be spoken",
                hint=f"Speak at most {self.longest} at a time.",
                model=request.model,
            )
        wanted = {
            "model": request.model,
            "input": request.text,
            "voice": request.voice or self.voice,
            "response_format": request.format,
            "speed": request.speed,
            "instructions": request.instructions,
        }
        body = Json({name: value for name, value in wanted.items() if value is not None})
        call = HttpCall(method="POST", path=self.path, headers=self.headers, body=body)
        return Exchange(
            call=call, decoder=lambda head: _sound(head, request.format), explain=self.explain
        )

    def voices(self, model: str, /) -> LocalExchange[Voice]:
        """The voices that are known.

        Raises:
            NotSupported: None are.
        """
        if not self.known:
            raise NotSupported(
                "The server has no list of its voices", hint="Look into its documentation."
            )

        def run(emit: Emit[Voice]) -> None:
            emit(self.known)

        return LocalExchange(run)


class BareSound:
    """A stage of bytes that are sound; bare samples of 16 bits are kept whole."""

    def __init__(self, mime_type: str) -> None:
        self._type = mime_type
        self._bare = mime_type == "audio/pcm"
        self._odd = b""
        self._silent = True

    def feed(self, data: bytes, /) -> Sequence[AudioData]:
        """What these bytes complete."""
        whole = self._odd + data
        end = len(whole) - len(whole) % 2 if self._bare else len(whole)
        self._odd = whole[end:]
        return self._pieces(whole[:end])

    def finish(self) -> Sequence[AudioData | Failed]:
        """The rest; an answer without a byte is no sound."""
        rest = self._pieces(self._odd)
        if self._silent:
            error = ProtocolError("The server sent no sound", kind="empty_response", phase="parse")
            return [Failed(error)]
        return rest

    def _pieces(self, data: bytes) -> list[AudioData]:
        if not data:
            return []
        self._silent = False
        return [AudioData(data, self._type, _PCM_RATE if self._bare else None)]


class Refusal(msgspec.Struct):
    """JSON in the place of sound."""

    error: Any = None
    message: Any = None


def _sound(head: Head, asked: str) -> Stage[bytes, AudioData]:
    """The type is what the server says it is, else what was asked for."""
    kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return JsonDecoder(Refusal, _refused)
    form = kind.removeprefix("audio/") if kind.startswith("audio/") else asked
    return BareSound(_TYPES.get(form, f"audio/{form}"))


def _refused(said: Refusal) -> Iterable[AudioData]:
    raise openai_error(said.error or said.message or "The server answers with JSON, not with sound")
