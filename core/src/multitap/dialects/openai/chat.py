"""Answers of OpenAI's chat completions: chunks of a stream, or one whole body, to events.

The same ``ChatRecords`` reads both, so a streamed answer and an unstreamed one agree:

>>> import msgspec
>>> from multitap.framing import JsonDecoder, SseDecoder
>>> records = ChatRecords()
>>> decoder = SseDecoder(ChatChunk, records.record, finish=records.finish)
>>> decoder.feed(b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\\n\\n')
[Text(content='Hi', choice=0, logprobs=None, provider_options=None)]
>>> decoder.feed(b"data: [DONE]\\n\\n")
[Stop(stop_reason='complete', choice=0, provider_options=None)]

A server in this process hands over dicts: ``records.record(msgspec.convert(chunk, ChatChunk))``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from multitap.dialects.openai.errors import openai_error
from multitap.dialects.openai.tool_calls import Calls, FunctionDelta, ToolCallDelta
from multitap.errors import BackendError, ContentFiltered, EngineError, Refused, TruncatedStream
from multitap.events import (
    Event,
    Failed,
    Notice,
    Reasoning,
    Stop,
    Text,
    TokenLogprob,
    Usage,
    UsageReport,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multitap.events import StopReason

__all__ = ("ChatChunk", "ChatRecords", "UsageFacts", "read_usage")

_REASONS: dict[str, StopReason] = {
    "stop": "complete",
    "eos_token": "complete",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "stop_sequence": "stop_sequence",
}


class Logprob(msgspec.Struct, gc=False):
    """One token of ``logprobs.content``."""

    token: str | None = None
    logprob: float | None = None
    bytes: list[int] | None = None
    top_logprobs: list[Logprob] | None = None


class Logprobs(msgspec.Struct, gc=False):
    """``logprobs`` of a choice."""

    content: list[Logprob] | None = None


class Delta(msgspec.Struct, gc=False):
    """What is new in a choice; of an unstreamed answer, the whole message."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    function_call: FunctionDelta | None = None


class Choice(msgspec.Struct, gc=False):
    """One of the answers."""

    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    logprobs: Logprobs | None = None


class PromptDetails(msgspec.Struct, gc=False):
    """Where the prompt's tokens came from."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    """What the answer's tokens were."""

    reasoning_tokens: int | None = None


class UsageFacts(msgspec.Struct, gc=False):
    """``usage``, in chat completions and in embeddings."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class ChatChunk(msgspec.Struct, gc=False):
    """A chunk of a stream, a whole body, or an error in the place of either."""

    choices: list[Choice] | None = None
    usage: UsageFacts | None = None
    error: Any = None
    error_type: Any = None
    message: Any = None
    type: Any = None
    code: Any = None


def read_usage(facts: UsageFacts) -> Usage:
    """Usage in our words; what the server does not say is unknown.

    >>> read_usage(UsageFacts(prompt_tokens=3, completion_tokens=4)).total_tokens
    7
    """
    prompt = facts.prompt_tokens_details or PromptDetails()
    completion = facts.completion_tokens_details or CompletionDetails()
    return Usage.reported(
        facts.prompt_tokens,
        facts.completion_tokens,
        total_tokens=facts.total_tokens,
        cached_tokens=prompt.cached_tokens,
        cache_write_tokens=prompt.cache_write_tokens,
        reasoning_tokens=completion.reasoning_tokens,
    )


class _ChoiceState:
    """What is known of one choice so far."""

    __slots__ = ("calls", "finish", "logprobs", "matched", "refused")

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.finish: str | None = None
        self.matched = False
        self.refused = False
        self.logprobs: list[TokenLogprob] = []  # of tokens that have shown no text yet


class ChatRecords:
    """The ``record`` and ``finish`` of one answer; make a new one for each attempt.

    Every choice needs a ``finish_reason``: an answer that ends without one is a
    ``TruncatedStream``. ``Stop`` is held until ``finish``, and comes for each choice, 0 last.

    Args:
        notices: What could not be asked for as it was meant; said first.
    """

    shape: ClassVar[type[ChatChunk]] = ChatChunk
    """What a chunk is decoded into; a subclass may have more in it."""

    def __init__(self, notices: Iterable[Notice] = ()) -> None:
        self._notices = list(notices)
        self._states: dict[int, _ChoiceState] = {}
        self._ids: set[str] = set()
        self._usage: UsageFacts | None = None
        self._over = False

    def record(self, chunk: ChatChunk, /) -> list[Event]:
        """The events of one chunk, or of a whole body."""
        events = self._told()
        if chunk.error:
            return [*events, *self._fail(chunk)]
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.choices is not None:
            for choice in chunk.choices:
                self._read(choice, events)
        elif chunk.message is not None:
            events += self._fail(chunk)
        return events

    def finish(self) -> list[Event]:
        """What was held: usage, and then ``Stop`` or ``Failed``."""
        if self._over:
            return []
        self._over = True
        return [*self._told(), *self._held(), *self._ending()]

    def _told(self) -> list[Event]:
        notices: list[Event] = [*self._notices]
        self._notices = []
        return notices

    def _fail(self, chunk: ChatChunk) -> list[Event]:
        self._over = True
        return [*self._held(), Failed(openai_error(_error_of(chunk)))]

    def _held(self) -> list[Event]:
        events: list[Event] = []
        for index in sorted(self._states, reverse=True):
            state = self._states[index]
            events += state.calls.end(cut=state.finish is None)
            if state.logprobs:
                events.append(Text("", index, tuple(state.logprobs)))
        usage = read_usage(self._usage) if self._usage is not None else Usage()
        if usage.source == "reported":
            events.append(UsageReport(usage))
        return events

    # ---- one choice ------------------------------------------------------------------------------

    def _read(self, choice: Choice, events: list[Event]) -> None:
        index = choice.index or 0
        state = self._states.get(index)
        if state is None:
            state = self._states[index] = _ChoiceState(Calls(index, self._ids))
        if choice.logprobs is not None:
            state.logprobs += _logprobs(choice.logprobs.content or ())
        if choice.delta is not None:
            _read_delta(choice.delta, index, state, events)
        elif choice.message is not None:
            _read_delta(choice.message, index, state, events, whole=True)
        if choice.finish_reason:
            state.finish = choice.finish_reason
            state.matched = state.matched or isinstance(choice.stop_reason, str)
            events += state.calls.end(cut=choice.finish_reason == "length")

    # ---- the end ---------------------------------------------------------------------------------

    def _ending(self) -> list[Event]:
        reasons: list[Event] = []
        for index in sorted(self._states, reverse=True):
            reason = _stop_reason(self._states[index])
            if isinstance(reason, BackendError):
                return [Failed(reason)]
            reasons.append(Stop(reason, index))
        return reasons or [Failed(TruncatedStream("The answer ended before it began"))]


def _read_delta(
    delta: Delta, index: int, state: _ChoiceState, events: list[Event], *, whole: bool = False
) -> None:
    thought = delta.reasoning_content or delta.reasoning
    if thought:
        events.append(Reasoning(thought, index))
    if delta.content:
        events.append(_text(delta.content, index, state))
    if delta.refusal:
        state.refused = True
        events.append(_text(delta.refusal, index, state))
    if delta.tool_calls:
        events += state.calls.read(delta.tool_calls, whole=whole)
    if delta.function_call is not None:
        events += state.calls.read([ToolCallDelta(index=0, function=delta.function_call)])


def _text(content: str, index: int, state: _ChoiceState) -> Text:
    if not state.logprobs:
        return Text(content, index)
    logprobs, state.logprobs = tuple(state.logprobs), []
    return Text(content, index, logprobs)


def _logprobs(tokens: Iterable[Logprob]) -> list[TokenLogprob]:
    return [
        TokenLogprob(t.token, t.logprob, t.bytes, tuple(_logprobs(t.top_logprobs or ())))
        for t in tokens
        if t.token is not None and t.logprob is not None
    ]


def _error_of(chunk: ChatChunk) -> Any:
    if not chunk.error:
        return {"message": chunk.message, "type": chunk.type, "code": chunk.code}
    if isinstance(chunk.error, str):
        return {"message": chunk.error, "type": chunk.error_type or chunk.type, "code": chunk.code}
    return chunk.error


def _stop_reason(state: _ChoiceState) -> StopReason | BackendError:
    if state.finish is None:
        return TruncatedStream("The answer ended without a finish_reason")
    if state.finish == "content_filter":
        return ContentFiltered("A content filter of the server ended the answer")
    if state.refused or state.finish == "refusal":
        return Refused("The model declined to answer")
    reason = _REASONS.get(state.finish)
    if reason is None:
        kind = "provider_finish_error" if state.finish == "error" else "provider_finish_other"
        return EngineError(f"The server ended the answer with {state.finish!r}", kind=kind)
    if reason == "complete" and state.matched:
        reason = "stop_sequence"
    # servers that say `stop` after a tool call are many
    return "tool_use" if state.calls.any and reason != "max_tokens" else reason
