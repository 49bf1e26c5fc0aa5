"""The verbs about sounds and pictures, in blocking code: a part of ``Runtime``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, overload

from multitap.artifacts import Pictures, Sound
from multitap.capabilities.moderation import Judgement
from multitap.capabilities.speech import Voice
from multitap.capabilities.transcription import Transcript, TranscriptionOutput
from multitap.engine.call import Call
from multitap.engine.sync import Stream
from multitap.errors import BackendError
from multitap.events import AudioData
from multitap.files import FileSource
from multitap.runtime.base import Handle
from multitap.runtime.manages import ManagesModels
from multitap.runtime.media import drawn, failed_at, judged, last_of, spoken

__all__ = ("MediaHandle", "MediaVerbs")

T = TypeVar("T")


class MediaVerbs(ManagesModels):
    """What writes down, speaks, judges and draws."""

    def transcribe(
        self, audio: FileSource, *, model: str | None = None, **options: Any
    ) -> Transcript:
        """What is said in a sound, as text.

        Args:
            audio: A path, the file's bytes, or a file that is open in binary mode, which is read at
                once. It may have 64 MiB, or ``max_file_bytes`` of the backend in ``llm.toml``.
            model: A model reference; ``None``: the default.
            options: ``language`` (ISO 639-1), ``prompt``, ``temperature``, ``timestamps``
                (``"segment"`` or ``"word"``), ``translate`` (to English), ``timeout``.

        Raises:
            ConfigError: The file cannot be read, is too large, or is no sound.
            NotSupported: The backend does not have it; the error names those that do.
        """
        call = self._parts.transcribe(audio, model, stream=False, **options)
        return last_of(self._collect(call), call)

    def transcribe_stream(
        self, audio: FileSource, *, model: str | None = None, **options: Any
    ) -> Stream[TranscriptionOutput]:
        """The text as it is heard, then the ``Transcript``; arguments as in ``transcribe``."""
        return self._stream(self._parts.transcribe(audio, model, stream=True, **options))

    def speak(self, text: str, *, model: str | None = None, **options: Any) -> Sound:
        """A text as sound, whole: ``rt.speak("hi").save("hi.wav")``.

        Args:
            text: What to say.
            model: A model reference; ``None``: the default.
            options: ``voice`` (a name of ``voices``), ``format`` (``"wav"``, ``"mp3"``, ``"pcm"``,
                …), ``speed`` (1.0 is the voice's own), ``instructions``, ``timeout``.
        """
        call = self._parts.speak(text, model, stream=False, **options)
        return spoken(self._collect(call), call)

    def speak_stream(
        self, text: str, *, model: str | None = None, **options: Any
    ) -> Stream[AudioData]:
        """The pieces of a sound while it is made: ``with rt.speak_stream("hi") as pieces:``."""
        return self._stream(self._parts.speak(text, model, stream=True, **options))

    def voices(self, *, model: str | None = None, timeout: float | None = None) -> list[Voice]:
        """The voices that a model can speak with."""
        return self._collect(self._parts.voices(model, timeout))

    @overload
    def moderate(  # type: ignore[overload-overlap]  # a text is a series of texts too
        self, texts: str, *, model: str | None = None, timeout: float | None = None
    ) -> Judgement: ...
    @overload
    def moderate(
        self, texts: Iterable[str], *, model: str | None = None, timeout: float | None = None
    ) -> list[Judgement]: ...
    def moderate(
        self, texts: str | Iterable[str], *, model: str | None = None, timeout: float | None = None
    ) -> Judgement | list[Judgement]:
        """Whether a text may be shown, or each of several: ``if rt.moderate("…"): …``.

        A text that cannot be judged fails the whole call, and the error names its number.
        """
        request, call = self._parts.moderate(texts, model, timeout)
        wanted = len(request.texts)
        found = judged(self._each(call, wanted, "texts"), wanted, call)
        return found[0] if isinstance(texts, str) else found

    def draw(self, prompt: str, *, model: str | None = None, **options: Any) -> Pictures:
        """Pictures of a description: ``rt.draw("a cat").save("cat.png")``.

        Args:
            prompt: What to draw, or to change.
            model: A model reference; ``None``: the default.
            options: ``n`` (how many), ``size`` (``"1024x768"``), ``quality`` (the backend's own
                word), ``sources`` (pictures to change, each as ``audio`` of ``transcribe``),
                ``timeout``.
        """
        request, call = self._parts.draw(prompt, model, **options)
        return drawn(self._each(call, request.n, "pictures"), request.n, call)

    # ---- how it is done ------------------------------------------------------------------------

    def _each(self, call: Call[T], wanted: int, what: str) -> list[T]:
        found: list[T] = []
        try:
            with self._stream(call) as stream:
                for item in stream:
                    found.append(item)  # noqa: PERF402 - what came counts where it fails
        except BackendError as error:
            failed_at(error, len(found), wanted, what)
            raise
        return found


class MediaHandle(Handle):
    """The verbs about sounds and pictures, for one model."""

    _runtime: MediaVerbs

    def transcribe(self, audio: FileSource, **options: Any) -> Transcript:
        """What is said in a sound."""
        return self._runtime.transcribe(audio, model=self.ref, **options)

    def transcribe_stream(self, audio: FileSource, **options: Any) -> Stream[TranscriptionOutput]:
        """The text as it is heard, then the ``Transcript``."""
        return self._runtime.transcribe_stream(audio, model=self.ref, **options)

    def speak(self, text: str, **options: Any) -> Sound:
        """A text as sound."""
        return self._runtime.speak(text, model=self.ref, **options)

    def speak_stream(self, text: str, **options: Any) -> Stream[AudioData]:
        """The pieces of a sound while it is made."""
        return self._runtime.speak_stream(text, model=self.ref, **options)

    def voices(self, *, timeout: float | None = None) -> list[Voice]:
        """The voices that it can speak with."""
        return self._runtime.voices(model=self.ref, timeout=timeout)

    @overload
    def moderate(  # type: ignore[overload-overlap]  # a text is a series of texts too
        self, texts: str, *, timeout: float | None = None
    ) -> Judgement: ...
    @overload
    def moderate(
        self, texts: Iterable[str], *, timeout: float | None = None
    ) -> list[Judgement]: ...
    def moderate(
        self, texts: str | Iterable[str], *, timeout: float | None = None
    ) -> Judgement | list[Judgement]:
        """Whether a text may be shown, or each of several."""
        return self._runtime.moderate(texts, model=self.ref, timeout=timeout)

    def draw(self, prompt: str, **options: Any) -> Pictures:
        """Pictures of a description."""
        return self._runtime.draw(prompt, model=self.ref, **options)
