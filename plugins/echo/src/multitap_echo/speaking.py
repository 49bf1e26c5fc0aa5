"""The events of an answer: thoughts and text in pieces, then tool calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from multitap.capabilities.chat import ChatRequest
from multitap.events import (
    Event,
    Notice,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
)
from multitap.messages import parse_arguments
from multitap_echo.words import cut, words


def extra_notices(request: ChatRequest) -> Iterator[Event]:
    """A warning for each option of ``extra``: the echo has none of its own."""
    for name in request.extra:
        yield Notice("unsupported_option", f"The echo has no option {name!r}.", f"extra.{name}")


def reasoning_events(thought: str, size: int, choice: int) -> Iterator[Event]:
    """The thought, a few characters at a time."""
    return (Reasoning(piece, choice) for piece in cut(thought, size))


def text_events(text: str, size: int, logprobs: int | None, choice: int) -> Iterator[Event]:
    """The text a few characters at a time, or by tokens where their logprobs are wanted."""
    if logprobs is None:
        return (Text(piece, choice) for piece in cut(text, size))
    return (Text(token, choice, (_certain(token, logprobs),)) for token in words(text))


def _certain(token: str, alternatives: int) -> TokenLogprob:
    only = TokenLogprob(token, 0.0, list(token.encode()))
    return TokenLogprob(token, 0.0, only.bytes, (only,) if alternatives else ())


def call_events(
    calls: Iterable[tuple[str, str]], request: ChatRequest, choice: int
) -> Iterator[Event]:
    """Start, arguments and end of each call; ids go on from the calls of earlier messages."""
    first = sum(len(message.tool_calls) for message in request.messages)
    for number, (name, arguments) in enumerate(calls, first):
        call_id = f"call_{number}_{choice}"
        yield ToolCallStart(call_id, name, choice)
        yield ToolCallChunk(call_id, arguments, choice)
        incomplete = True if parse_arguments(arguments) is None else None
        yield ToolCallEnd(call_id, arguments, incomplete, choice)
