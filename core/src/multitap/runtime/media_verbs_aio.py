"""The verbs about sounds and pictures, on an event loop: a part of ``AsyncRuntime``."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar, overload

from multitap.artifacts import Pictures, Sound
from multitap.capabilities.moderation import Judgement
from multitap.capabilities.speech import Voice
from multitap.capabilities.transcription import Transcript, TranscriptionOutput
from multitap.engine.aio import AsyncStream
from multitap.engine.call import Call
from multitap.errors import BackendError
from multitap.events import AudioData
from multitap.files import FileSource
from multitap.runtime.base import Handle
from multitap.runtime.manages_aio import AsyncManagesModels
from multitap.runtime.media import drawn, failed_at, judged, last_of, spoken

__all__ = ("AsyncMediaHandle", "AsyncMediaVerbs")

T = TypeVar("T")


class AsyncMediaVerbs(AsyncManagesModels):
    """What writes down, speaks, judges and draws."""

    async def transcribe(
        self, audio: FileSource, *, model: str | None = None, **options: Any
    ) -> Transcript:
        """What is said in a sound, as text; see ``Runtime.transcribe``."""
        call = self._parts.transcribe(audio, model, stream=False, **options)
        return last_of(await self._collect(call), call)

    def transcribe_stream(
        self, audio: FileSource, *, model: str | None = None, **options: Any
    ) -> AsyncStream[TranscriptionOutput]:
        """The text as it is heard, then the ``Transcript``; arguments as in ``transcribe``."""
        return self._stream(self._parts.transcribe(audio, model, stream=True, **options))

    async def speak(self, text: str, *, model: str | None = None, **options: Any) -> Sound:
        """A text as sound, whole; see ``Runtime.speak``."""
        call = self._parts.speak(text, model, stream=False, **options)
        return spoken(await self._collect(call), call)

    def speak_stream(
        self, text: str, *, model: str | None = None, **options: Any
    ) -> AsyncStream[AudioData]:
        """The pieces of a sound while it is made: ``async with rt.speak_stream("hi") as p:``."""
        return self._stream(self._parts.speak(text, model, stream=True, **options))

    async def voices(
        self, *, model: str | None = None, timeout: float | None = None
    ) -> list[Voice]:
        """The voices that a model can speak with."""
        return await self._collect(self._parts.voices(model, timeout))

    @overload
    async def moderate(  # type: ignore[overload-overlap]  # a text is a series of texts too
        self, texts: str, *, model: str | None = None, timeout: float | None = None
    ) -> Judgement: ...
    @overload
    async def moderate(
        self, texts: Iterable[str], *, model: str | None = None, timeout: float | None = None
    ) -> list[Judgement]: ...
    async def moderate(
        self, texts: str | Iterable[str], *, model: str | None = None, timeout: float | None = None
    ) -> Judgement | list[Judgement]:
        """Whether a text may be shown, or each of several; see ``Runtime.moderate``."""
        request, call = self._parts.moderate(texts, model, timeout)
        wanted = len(request.texts)
        found = judged(await self._each(call, wanted, "texts"), wanted, call)
        return found[0] if isinstance(texts, str) else found

    async def draw(self, prompt: str, *, model: str | None = None, **options: Any) -> Pictures:
        """Pictures of a description; see ``Runtime.draw``."""
        request, call = self._parts.draw(prompt, model, **options)
        return drawn(await self._each(call, request.n, "pictures"), request.n, call)

    # ---- how it is done ------------------------------------------------------------------------

    async def _each(self, call: Call[T], wanted: int, what: str) -> list[T]:
        found: list[T] = []
        try:
            async with self._stream(call) as stream:
                async for item in stream:
                    found.append(item)  # noqa: PERF401 - what came counts where it fails
        except BackendError as error:
            failed_at(error, len(found), wanted, what)
            raise
        return found


class AsyncMediaHandle(Handle):
    """The verbs about sounds and pictures, for one model."""

    _runtime: AsyncMediaVerbs

    def transcribe(self, audio: FileSource, **options: Any) -> Coroutine[Any, Any, Transcript]:
        """What is said in a sound."""
        return self._runtime.transcribe(audio, model=self.ref, **options)

    def transcribe_stream(
        self, audio: FileSource, **options: Any
    ) -> AsyncStream[TranscriptionOutput]:
        """The text as it is heard, then the ``Transcript``."""
        return self._runtime.transcribe_stream(audio, model=self.ref, **options)

    def speak(self, text: str, **options: Any) -> Coroutine[Any, Any, Sound]:
        """A text as sound."""
        return self._runtime.speak(text, model=self.ref, **options)

    def speak_stream(self, text: str, **options: Any) -> AsyncStream[AudioData]:
        """The pieces of a sound while it is made."""
        return self._runtime.speak_stream(text, model=self.ref, **options)

    def voices(self, *, timeout: float | None = None) -> Coroutine[Any, Any, list[Voice]]:
        """The voices that it can speak with."""
        return self._runtime.voices(model=self.ref, timeout=timeout)

    @overload
    def moderate(  # type: ignore[overload-overlap]  # a text is a series of texts too
        self, texts: str, *, timeout: float | None = None
    ) -> Coroutine[Any, Any, Judgement]: ...
    @overload
    def moderate(
        self, texts: Iterable[str], *, timeout: float | None = None
    ) -> Coroutine[Any, Any, list[Judgement]]: ...
    def moderate(
        self, texts: str | Iterable[str], *, timeout: float | None = None
    ) -> Coroutine[Any, Any, Judgement | list[Judgement]]:
        """Whether a text may be shown, or each of several."""
        return self._runtime.moderate(texts, model=self.ref, timeout=timeout)

    def draw(self, prompt: str, **options: Any) -> Coroutine[Any, Any, Pictures]:
        """Pictures of a description."""
        return self._runtime.draw(prompt, model=self.ref, **options)
