"""Chat with a GGUF model in this process.

The answer is always streamed inside, also for a caller who wants the whole: only then can it be
stopped at once, while the prompt is read as well as while the answer is written.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, ClassVar

import attrs
import msgspec

from multitap.capabilities.chat import ChatRequest
from multitap.dialects.openai.chat import ChatChunk, ChatRecords
from multitap.errors import EngineError
from multitap.events import Event, Failed, Loading, Stop, ToolCallStart
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Emit, LocalExchange
from multitap_llamacpp.calls import Models, reporting
from multitap_llamacpp.engine import ENGINE, Loaded, Stopped
from multitap_llamacpp.failures import failure, raised
from multitap_llamacpp.requests import body_of, check_parts, fitted

__all__ = ("LlamaChat", "multitap_chat")


@attrs.frozen
class LlamaChat:
    """Answers with llama.cpp's own chat templates, tool and reasoning parsers and grammars."""

    models: Models

    @property
    def options(self) -> Collection[str]:
        """What reaches the model."""
        sampling = ("max_tokens", "temperature", "top_p", "seed", "stop", "logprobs", "n")
        return frozenset({*sampling, "tools", "tool_choice", "response_schema", "think", "cache"})

    def chat(self, request: ChatRequest, /) -> LocalExchange[Event]:
        """The work that answers; the model is loaded first where it is not yet."""
        check_parts(request)

        def run(emit: Emit[Event]) -> None:
            try:
                self._answer(request, emit)
            except Stopped:
                return

        return LocalExchange(run)

    def _answer(self, request: ChatRequest, emit: Emit[Event]) -> None:
        model = self.models.find(request.model)
        wanted, notices = fitted(request, model)
        body = body_of(wanted, self.models.options.lora)
        report = reporting(emit, Loading)
        if not emit(notices):
            return
        with self.models.lease(model, "chat", report, slots=request.n) as loaded:
            Generation(request, emit).run(loaded, msgspec.json.encode(body).decode())


class Chunk(ChatChunk, gc=False):
    """A chunk, with the time that it took so far."""

    timings: Any = None


class TimedRecords(ChatRecords):
    """Tells with the usage how long it took."""

    shape: ClassVar[type[ChatChunk]] = Chunk
    facts: ClassVar[tuple[str, ...]] = ("timings",)


class Generation:
    """One answer as it is written. The library calls ``take`` for each chunk of it."""

    def __init__(self, request: ChatRequest, emit: Emit[Event]) -> None:
        self._model = request.model
        self._must_call = request.tool_choice not in (None, "auto", "none")
        self._called = False
        self._emit = emit
        self._records = TimedRecords()
        self._stopped = False
        self._error: BaseException | None = None

    def run(self, loaded: Loaded, body: str) -> None:
        """Generate until the end, or until nobody reads any more."""
        try:
            loaded.native.handle_chat_completions(body, self.take)
        except (RuntimeError, ValueError) as error:
            raise raised(error, self._model) from error
        if self._error is not None:
            raise self._error
        if not self._stopped:
            self._emit(self._ending())

    def take(self, chunk: str) -> bool:
        """Hand over a chunk; ``True`` stops the generation.

        The library swallows what a callback raises, so it is kept, and raised afterwards.
        """
        try:
            self._stopped = ENGINE.closing or not self._emit(self._events(chunk))
        except BaseException as error:
            self._error = error
        return self._stopped or self._error is not None

    def _events(self, chunk: str) -> Sequence[Event]:
        if chunk.startswith('{"error"'):
            raise failure(msgspec.json.decode(chunk)["error"], self._model)
        events = self._records.record(_decode(chunk))
        self._called = self._called or any(type(event) is ToolCallStart for event in events)
        return events

    def _ending(self) -> Sequence[Event]:
        """What is left; an answer that ended by itself without the call that it owes has failed."""
        events = self._records.finish()
        if self._must_call and not self._called and Stop("complete") in events:
            error = EngineError(
                "The model called no tool, though it had to",
                hint='Try again, or let it choose with tool_choice="auto".',
                kind="tool_missing",
                model=self._model,
            )
            return [*events[:-1], Failed(error)]
        return events


_decode = msgspec.json.Decoder(Chunk).decode


@hookimpl
def multitap_chat(backend: Backend) -> LlamaChat:
    """Chat with a GGUF model in this process."""
    return LlamaChat(Models.of(backend))
