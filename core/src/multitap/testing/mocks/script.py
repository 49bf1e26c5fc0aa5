"""What a mock is told to say: texts, events, calls, faults, and when it is to say them.

>>> [event.to_dict()["type"] for event in events_of(["Hi", ToolCall("c1", "now")])]
['text', 'tool_call_start', 'tool_call_chunk', 'tool_call_end', 'stop']
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Union

import attrs

from multitap.errors import BackendError
from multitap.events import (
    Event,
    Failed,
    Stop,
    Text,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
)
from multitap.messages import ToolCall, parse_arguments
from multitap.testing.gate import Gate

__all__ = ("Line", "Pause", "events_of")


@attrs.frozen
class Pause:
    """Say nothing for so many seconds. What can wait for the test itself waits at a ``Gate``."""

    seconds: float


Line = Union[str, Event, ToolCall, BackendError, Gate, Pause]
"""A text is a ``Text``; a ``ToolCall`` is its start, arguments and end; at an error the answer
breaks off; at a ``Gate`` it waits until the test opens it."""


def events_of(lines: Sequence[Line]) -> Iterator[Union[Event, Gate, Pause]]:
    """The events of an answer, and its waits; it ends by itself where nothing else ends it."""
    for line in lines:
        yield from _spoken(line)
    if not lines or not isinstance(lines[-1], (Stop, BackendError)):
        called = any(isinstance(line, ToolCall) for line in lines)
        yield Stop("tool_use" if called else "complete")


def _spoken(line: Line) -> Iterator[Union[Event, Gate, Pause]]:
    if isinstance(line, str):
        yield Text(line)
    elif isinstance(line, BackendError):
        yield Failed(line)
    elif isinstance(line, ToolCall):
        incomplete = True if parse_arguments(line.arguments_text) is None else None
        yield ToolCallStart(line.id, line.name)
        yield ToolCallChunk(line.id, line.arguments_text)
        yield ToolCallEnd(line.id, line.arguments_text, incomplete)
    else:
        yield line
