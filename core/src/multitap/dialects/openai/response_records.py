"""Answers of OpenAI's responses: events of a stream, or one whole body, to events.

The same ``ResponseRecords`` reads both. What a model thought comes as a summary; the thought
itself, encrypted, is in ``provider_options`` of the call that follows it, and goes back with that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from multitap.dialects.counts import doubts
from multitap.dialects.openai.choices import logprobs_of
from multitap.dialects.openai.errors import openai_error
from multitap.dialects.openai.media import image_data
from multitap.dialects.openai.response_chunks import Response, ResponseChunk, read_response_usage
from multitap.dialects.openai.tool_calls import Calls, FunctionDelta, ToolCallDelta
from multitap.errors import (
    BackendError,
    ContentFiltered,
    EngineError,
    ProtocolError,
    Refused,
    TruncatedStream,
)
from multitap.events import (
    Event,
    Failed,
    Notice,
    Reasoning,
    Stop,
    Text,
    ToolCallStart,
    UsageReport,
)
from multitap.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from multitap.dialects.openai.response_chunks import Item

__all__ = ("REPLAYED", "ResponseRecords")

REPLAYED = "response_items"
"""The entry of a call's ``provider_meta`` that has the thoughts before it."""


class ResponseRecords:
    """The ``record`` and ``finish`` of one answer; make a new one for each attempt.

    A stream ends well with ``response.completed`` or ``response.incomplete`` alone; without them it
    is a ``TruncatedStream``. Events that are not known are passed over.

    Args:
        notices: What could not be asked for as it was meant; said first.
    """

    def __init__(self, notices: Iterable[Notice] = ()) -> None:
        self._notices = list(notices)
        self._calls = Calls(0, set())
        self._thoughts: list[dict[str, Any]] = []  # encrypted, for the next call
        self._shown: set[tuple[str, int]] = set()  # what came in pieces: kind and output index
        self._refused = False
        self._last: Response | None = None
        self._over = False
        self._readers: dict[str, Callable[[ResponseChunk, list[Event]], None]] = {
            "response.output_text.delta": self._text,
            "response.refusal.delta": self._refusal,
            "response.reasoning_text.delta": self._thought,
            "response.reasoning_text.done": self._whole_thought,
            "response.reasoning_summary_text.delta": self._thought,
            "response.reasoning_summary_part.added": self._next_part,
            "response.output_item.added": self._begin,
            "response.function_call_arguments.delta": self._arguments,
            "response.function_call_arguments.done": self._whole_arguments,
            "response.output_item.done": self._end,
        }

    def record(self, chunk: ResponseChunk, /) -> list[Event]:
        """The events of one event of the server, or of a whole body."""
        events = self._told()
        if chunk.error or chunk.type == "error":
            return [*events, *self._fail(chunk.error or {"message": chunk.message} | _code(chunk))]
        if chunk.type in ("response.completed", "response.incomplete", "response.failed"):
            self._close(chunk.response or Response(), events)
        elif chunk.type is None and chunk.status is not None:
            self._close(chunk, events)
        elif chunk.type is not None and (reader := self._readers.get(chunk.type)) is not None:
            reader(chunk, events)
        return events

    def finish(self) -> list[Event]:
        """What was held: usage, and then ``Stop`` or ``Failed``."""
        if self._over:
            return []
        self._over = True
        ending = self._ending()
        held = [*self._told(), *self._calls.end(cut=not isinstance(ending, Stop)), *self._usage()]
        return [*held, Failed(ending) if isinstance(ending, BackendError) else ending]

    def _told(self) -> list[Event]:
        notices: list[Event] = [*self._notices]
        self._notices = []
        return notices

    def _fail(self, error: Any) -> list[Event]:
        self._over = True
        return [*self._calls.end(cut=True), *self._usage(), Failed(openai_error(error))]

    # ---- pieces ----------------------------------------------------------------------------------

    def _text(self, chunk: ResponseChunk, events: list[Event]) -> None:
        self._mark("message", chunk)
        tokens = tuple(logprobs_of(chunk.logprobs or ()))
        text = _delta(chunk)
        if text or tokens:
            events.append(Text(text, 0, tokens or None))

    def _refusal(self, chunk: ResponseChunk, events: list[Event]) -> None:
        self._mark("message", chunk)
        self._refused = True
        if text := _delta(chunk):
            events.append(Text(text))

    def _thought(self, chunk: ResponseChunk, events: list[Event]) -> None:
        self._mark("reasoning", chunk)
        if text := _delta(chunk):
            events.append(Reasoning(text))

    def _whole_thought(self, chunk: ResponseChunk, events: list[Event]) -> None:
        """LM Studio sends a thought at once, in no pieces before."""
        if ("reasoning", chunk.output_index or 0) not in self._shown and chunk.text:
            self._mark("reasoning", chunk)
            events.append(Reasoning(chunk.text))

    def _next_part(self, chunk: ResponseChunk, events: list[Event]) -> None:
        if chunk.summary_index:
            events.append(Reasoning("\n\n"))

    def _begin(self, chunk: ResponseChunk, events: list[Event]) -> None:
        item = chunk.item
        if item is not None and item.type == "function_call" and item.name:
            self._mark("function_call", chunk)
            self._call(chunk.output_index, item.call_id or item.id, item.name, None, events)

    def _arguments(self, chunk: ResponseChunk, events: list[Event]) -> None:
        self._mark("arguments", chunk)
        self._call(chunk.output_index, None, None, chunk.delta, events)

    def _whole_arguments(self, chunk: ResponseChunk, events: list[Event]) -> None:
        if ("arguments", chunk.output_index or 0) not in self._shown:
            self._mark("arguments", chunk)
            self._call(chunk.output_index, None, None, chunk.arguments, events)

    def _mark(self, kind: str, chunk: ResponseChunk) -> None:
        self._shown.add((kind, chunk.output_index or 0))

    def _call(
        self,
        index: int | None,
        wire_id: str | None,
        name: str | None,
        text: Any,
        events: list[Event],
    ) -> None:
        function = FunctionDelta(name=name, arguments=text)
        found = self._calls.read([ToolCallDelta(index=index or 0, id=wire_id, function=function)])
        for event in found:
            if isinstance(event, ToolCallStart) and self._thoughts:
                event.provider_options = {REPLAYED: self._thoughts}
                self._thoughts = []
        events += found

    # ---- whole items -----------------------------------------------------------------------------

    def _end(self, chunk: ResponseChunk, events: list[Event]) -> None:
        if chunk.item is not None:
            self._whole(chunk.item, chunk.output_index or 0, events)

    def _whole(self, item: Item, index: int, events: list[Event]) -> None:
        """An item at its end: what of it has not come in pieces."""
        came = (item.type or "", index) in self._shown
        self._shown.add((item.type or "", index))
        if item.type == "message" and not came:
            self._said(item, events)
        elif item.type == "reasoning":
            self._thoughts += _replayed(item)
            if not came:
                events += _thoughts(item)
        elif item.type == "function_call":
            text = None if ("arguments", index) in self._shown else item.arguments
            name = None if came else item.name
            self._shown.add(("arguments", index))
            if name or text:
                self._call(index, None if came else item.call_id or item.id, name, text, events)
            events += self._calls.end(cut=item.status == "incomplete")
        elif item.type == "image_generation_call" and item.result and not came:
            events.append(image_data(item.result, f"image/{item.output_format or 'png'}", 0))

    def _said(self, item: Item, events: list[Event]) -> None:
        for part in item.content or ():
            self._refused = self._refused or bool(part.refusal)
            tokens = tuple(logprobs_of(part.logprobs or ()))
            if part.text or part.refusal or tokens:
                events.append(Text(part.text or part.refusal or "", 0, tokens or None))

    def _close(self, response: Response, events: list[Event]) -> None:
        self._last = response
        if response.error:
            events += self._fail(response.error)
        elif not self._shown:  # a whole body, or a server that streams nothing but the end
            for index, item in enumerate(response.output or ()):
                self._whole(item, index, events)

    # ---- the end ---------------------------------------------------------------------------------

    def _usage(self) -> list[Event]:
        facts = self._last.usage if self._last is not None else None
        if facts is None:
            return []
        usage = read_response_usage(facts)
        report = [UsageReport(usage)] if usage.source == "reported" else []
        return [*doubts(usage=facts), *report]

    def _ending(self) -> Stop | BackendError:
        if self._last is None:
            return TruncatedStream("The answer ended before the response was completed")
        if self._refused:
            return Refused("The model declined to answer")
        details = self._last.incomplete_details
        reason = details.reason if details is not None else None
        if reason == "content_filter":
            return ContentFiltered("A content filter of the server ended the answer")
        if reason == "max_output_tokens":
            return Stop("max_tokens", 0, {"finish_reason": reason})
        if self._last.status not in (None, "completed"):
            said = reason or self._last.status
            message = f"The server ended the answer with {said!r}"
            return EngineError(message, kind="provider_finish_other")
        return Stop("tool_use" if self._calls.any else "complete")


def _delta(chunk: ResponseChunk) -> str:
    if not isinstance(chunk.delta, (str, type(None))):  # other events have an object there
        raise ProtocolError(
            f"The server sent a {chunk.type} that is no text: {excerpt(repr(chunk.delta))}",
            kind="bad_payload",
            phase="parse",
        )
    return chunk.delta or ""


def _code(chunk: ResponseChunk) -> dict[str, Any]:
    return {"code": chunk.code} if chunk.code else {}


def _thoughts(item: Item) -> list[Event]:
    summary = "\n\n".join(part.text for part in item.summary or () if part.text)
    text = "".join(part.text or "" for part in item.content or ())
    return [Reasoning(thought) for thought in (summary, text) if thought]


def _replayed(item: Item) -> list[dict[str, Any]]:
    """The item as it goes back to the server; only what it encrypted is of any use to it."""
    if not item.encrypted_content or not item.id:
        return []
    summary = [msgspec.to_builtins(part) for part in item.summary or ()]
    parts = [{"type": "summary_text", "text": part["text"]} for part in summary if part["text"]]
    facts = {"type": "reasoning", "id": item.id, "summary": parts}
    return [{**facts, "encrypted_content": item.encrypted_content}]
