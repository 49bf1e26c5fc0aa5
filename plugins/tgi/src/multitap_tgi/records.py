"""Answers of TGI's chat, which leave out what OpenAI's end with.

* After a streamed call there is no ``finish_reason``: a call whose arguments are whole is the end.
* A call without arguments may be ``{`` alone, never closed.
* A call that was cut before its name leaves no trace but the usage.
* The stop text stays in the text.
* Calls have the id ``"0"`` over and over again, where an answer is not streamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from multitap.dialects.openai.chat import ChatChunk, ChatRecords, PlainChunk
from multitap.dialects.openai.chunks import Choice, Delta
from multitap.dialects.openai.tool_calls import FunctionDelta, ToolCallDelta
from multitap.messages import ToolResult, parse_arguments
from multitap_tgi.errors import stream_error
from multitap_tgi.stops import StopTexts

if TYPE_CHECKING:
    from multitap.capabilities.chat import ChatRequest
    from multitap.errors import BackendError
    from multitap.events import Event, Notice

__all__ = ("TgiRecords",)


class TgiRecords(ChatRecords):
    """The ``record`` and ``finish`` of one answer to a request."""

    plain_shape: ClassVar[type[PlainChunk] | None] = PlainChunk

    def __init__(self, notices: Iterable[Notice], request: ChatRequest, **how: Any) -> None:
        super().__init__(notices, taken=_ids_of(request), **how)
        self._stops = StopTexts(request.stop)
        self._has_tools = bool(request.tools)
        self._arguments: list[str] = []
        self._finish: str | None = None
        self._empty = True
        self._counted = False

    def record(self, chunk: ChatChunk, /) -> list[Event]:
        """The events of one chunk, or of a whole body."""
        self._counted = self._counted or chunk.usage is not None
        for choice in chunk.choices or ():
            self._look(choice)
        return self._stops.feed(super().record(chunk))

    def texts(self, chunks: Sequence[PlainChunk], /) -> list[Event] | None:
        """The events of plain chunks."""
        events = super().texts(chunks)
        if events is None:
            return None
        self._empty = self._empty and not events
        return self._stops.feed(events)

    def finish(self) -> list[Event]:
        """What was held, and the end that TGI means where it says none."""
        missing = None if self._finish else self._missing()
        events = [] if missing is None else self.record(_chunk(Choice(finish_reason=missing)))
        matched = self._finish == "stop_sequence"
        return [*events, *self._stops.finish(matched=matched), *super().finish()]

    def failure(self, chunk: ChatChunk) -> BackendError:
        """TGI's words decide; the number beside them is always 422."""
        return stream_error(chunk.error)

    def _look(self, choice: Choice) -> None:
        delta = choice.delta or choice.message or Delta()
        for call in delta.tool_calls or ():
            function = call.function or FunctionDelta()
            self._arguments.append(str(function.arguments or ""))
        if choice.finish_reason == "stop" and "".join(self._arguments) == "{":
            closing = ToolCallDelta(index=0, function=FunctionDelta(arguments="}"))
            delta.tool_calls = [*(delta.tool_calls or ()), closing]
        self._empty = self._empty and not delta.content and not self._arguments
        self._finish = choice.finish_reason or self._finish

    def _missing(self) -> str | None:
        if self._arguments:
            return None if parse_arguments("".join(self._arguments)) is None else "tool_calls"
        return "length" if self._has_tools and self._empty and self._counted else None


def _chunk(choice: Choice) -> ChatChunk:
    return ChatChunk(choices=[choice])


def _ids_of(request: ChatRequest) -> Iterable[str]:
    for message in request.messages:
        yield from (call.id for call in message.tool_calls)
        yield from (part.call_id for part in message.parts if isinstance(part, ToolResult))
