"""Calls about sounds and pictures, and about what may be shown: checked before anything is sent."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeVar, cast

from multitap.artifacts import Picture, Pictures, Sound
from multitap.capabilities.image import ImageModel, ImageOutput, ImageRequest
from multitap.capabilities.moderation import Judgement, ModerationModel, ModerationRequest
from multitap.capabilities.speech import SpeechModel, SpeechRequest, Voice
from multitap.capabilities.transcription import (
    Transcript,
    TranscriptionModel,
    TranscriptionOutput,
    TranscriptionRequest,
)
from multitap.engine.call import Call
from multitap.errors import BackendError, ConfigError, ProtocolError
from multitap.events import AudioData, UsageReport
from multitap.files import FileSource, picture_file, sound_file
from multitap.media import LARGEST
from multitap.plan import texts_of
from multitap.resolve import ResolvedModel
from multitap.runtime.composition import STREAM_FIRST_BYTE
from multitap.runtime.management import Management
from multitap.runtime.traffic import WHOLE_CALL, Timeouts

__all__ = ("MediaCalls", "drawn", "failed_at", "judged", "last_of", "spoken")

T = TypeVar("T")

_SIZE = re.compile(r"[1-9]\d*x[1-9]\d*", re.ASCII)
_TIMESTAMPS = (None, "segment", "word")


class MediaCalls(Management):
    """A composition, with the calls about media."""

    def transcribe(
        self,
        audio: FileSource,
        model: str | None,
        *,
        stream: bool,
        language: str | None = None,
        prompt: str | None = None,
        temperature: float | None = None,
        timestamps: Literal["segment", "word"] | None = None,
        translate: bool = False,
        timeout: Timeouts = None,
    ) -> Call[TranscriptionOutput]:
        """Write down what is said."""
        target = self.resolve(model)
        _check_choice("timestamps", timestamps, _TIMESTAMPS)
        request = TranscriptionRequest(
            model=target.model,
            audio=sound_file(audio, self._most_bytes(target)),
            language=_text("language", language),
            prompt=_text("prompt", prompt),
            temperature=_number("temperature", temperature, least=0),
            timestamps=timestamps,
            translate=translate,
            stream=stream,
        )
        plugin = cast(TranscriptionModel, self._plugin("transcription", target.backend))
        rules = self._media(stream, last=Transcript)
        return self._call(
            "transcription", target, lambda: plugin.transcribe(request), timeout, **rules
        )

    def speak(
        self,
        text: str,
        model: str | None,
        *,
        stream: bool,
        voice: str | None = None,
        format: str = "wav",  # noqa: A002 - the word that everybody uses
        speed: float | None = None,
        instructions: str | None = None,
        timeout: Timeouts = None,
    ) -> Call[AudioData]:
        """Speak a text."""
        target = self.resolve(model)
        request = SpeechRequest(
            model=target.model,
            text=_said(text, "text"),
            voice=_text("voice", voice),
            format=_said(format, "format"),
            speed=_number("speed", speed, above=0),
            instructions=_text("instructions", instructions),
        )
        plugin = cast(SpeechModel, self._plugin("speech", target.backend))
        rules = self._media(stream, last=AudioData)
        return self._call("speech", target, lambda: plugin.speak(request), timeout, **rules)

    def voices(self, model: str | None, timeout: Timeouts) -> Call[Voice]:
        """List the voices of a model."""
        target = self.resolve(model)
        plugin = cast(SpeechModel, self._plugin("speech", target.backend))
        return self._call("speech", target, lambda: plugin.voices(target.model), timeout)

    def moderate(
        self, texts: str | Iterable[str], model: str | None, timeout: float | None
    ) -> tuple[ModerationRequest, Call[Judgement]]:
        """Judge texts."""
        target = self.resolve(model)
        request = ModerationRequest(model=target.model, texts=texts_of(texts, "texts"))
        plugin = cast(ModerationModel, self._plugin("moderation", target.backend))
        return request, self._call("moderation", target, lambda: plugin.moderate(request), timeout)

    def draw(
        self,
        prompt: str,
        model: str | None,
        *,
        n: int = 1,
        size: str | None = None,
        quality: str | None = None,
        sources: Iterable[FileSource] = (),
        timeout: Timeouts = None,
    ) -> tuple[ImageRequest, Call[ImageOutput]]:
        """Make pictures, or change some."""
        target = self.resolve(model)
        most = self._most_bytes(target)
        request = ImageRequest(
            model=target.model,
            prompt=_said(prompt, "prompt"),
            n=_count(n),
            size=_size(size),
            quality=_text("quality", quality),
            sources=tuple(picture_file(source, most) for source in _several(sources)),
        )
        plugin = cast(ImageModel, self._plugin("image", target.backend))
        rules = self._media(stream=False)
        return request, self._call("image", target, lambda: plugin.draw(request), timeout, **rules)

    def _most_bytes(self, target: ResolvedModel) -> int:
        return self.sections[target.backend].max_file_bytes or LARGEST

    def _media(self, stream: bool, last: type[Any] | None = None) -> dict[str, Any]:
        """What is made as a whole takes its time, and costs money though its answer is lost."""
        return {
            "first_byte": STREAM_FIRST_BYTE if stream else WHOLE_CALL,
            "streamed": stream,
            "last": last,
            "extensions": {"streamed": stream},
        }


# ---- arguments -----------------------------------------------------------------------------------


def _said(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{name} is {value!r}; it has to be a text with something in it")
    return value


def _text(name: str, value: str | None) -> str | None:
    return None if value is None else _said(value, name)


def _number(
    name: str, value: object, *, least: float | None = None, above: float | None = None
) -> float | None:
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise ConfigError(f"{name} is {value!r}, which is not a number")
    if (least is not None and value < least) or (above is not None and value <= above):
        limit = f"above {above}" if least is None else f"{least} or more"
        raise ConfigError(f"{name} is {value}; it has to be {limit}")
    return value


def _check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    if value not in choices:
        raise ConfigError(
            f"{name} is {value!r}", hint=f"It is one of {', '.join(map(repr, choices))}."
        )


def _count(n: object) -> int:
    if type(n) is not int or n < 1:
        raise ConfigError(f"n is {n!r}; it has to be a whole number of pictures, 1 or more")
    return n


def _size(size: object) -> str | None:
    if size is None or (isinstance(size, str) and _SIZE.fullmatch(size)):
        return size
    hint = "Write WIDTHxHEIGHT in pixels, such as 1024x768."
    raise ConfigError(f"size is {size!r}", hint=hint)


def _several(sources: Iterable[FileSource]) -> Iterable[FileSource]:
    if isinstance(sources, (str, bytes)) or not isinstance(sources, Iterable):
        raise ConfigError("sources is not a list of pictures", hint="Pass a list, such as [path].")
    return sources


# ---- results -------------------------------------------------------------------------------------


def last_of(found: Sequence[TranscriptionOutput], call: Call[TranscriptionOutput]) -> Transcript:
    """The transcript, which comes last."""
    if not isinstance(found[-1], Transcript):
        message = f"The backend went on with {type(found[-1]).__name__} after the whole transcript"
        raise call.located(ProtocolError(message))
    return found[-1]


def spoken(found: Sequence[AudioData], call: Call[AudioData]) -> Sound:
    """The sound of all pieces; one in which nothing can be heard is a ``ProtocolError``."""
    sound = Sound.of(found)
    if not sound.data:
        raise call.located(ProtocolError("The backend sent no sound", kind="empty_response"))
    return sound


def judged(found: Sequence[Judgement], wanted: int, call: Call[Judgement]) -> list[Judgement]:
    """Judgements, if there is one for each text."""
    if len(found) != wanted:
        message = f"The backend gave {len(found)} judgements for {wanted} texts"
        raise call.located(ProtocolError(message))
    return list(found)


def drawn(found: Sequence[ImageOutput], wanted: int, call: Call[ImageOutput]) -> Pictures:
    """Pictures, if there are as many as were asked for, and what they cost."""
    pictures = [Picture.of(each) for each in found if not isinstance(each, UsageReport)]
    usages = [each.usage for each in found if isinstance(each, UsageReport)]
    if len(pictures) != wanted:
        message = f"The backend made {len(pictures)} pictures of {wanted}"
        raise call.located(ProtocolError(message))
    return Pictures(pictures, usages[-1] if usages else None)


def failed_at(error: BackendError, place: int, of: int, what: str) -> None:
    """Tell in the error which one of several it was; nothing is kept of those before it."""
    if 0 < place < of:
        error.message = f"Number {place} of the {of} {what} failed: {error.message}"
        error.args = (error.message,)
