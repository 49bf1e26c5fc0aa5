"""Calls that a model without tools writes into its text become events of calls.

The block between ``<function_call>`` and ``</function_call>`` is held until it is whole. What is
no call stays text, tags included; a block that the answer's end cuts off is a call with
``incomplete``, if its name and the beginning of its arguments are there. Reasoning is not read.

>>> block = '<function_call>{"name": "look", "arguments": {}}</function_call>'
>>> [event.type for event in FunctionCalls("call").feed([Text(block), Stop("complete")])]
['tool_call_start', 'tool_call_chunk', 'tool_call_end', 'stop']
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from multitap.events import Event, Stop, Text, ToolCallChunk, ToolCallEnd, ToolCallStart
from multitap.filters.calls_in_text import CLOSE, OPEN, WrittenCall, read_calls
from multitap.filters.choices import ByChoice
from multitap.filters.held import Held
from multitap.filters.markers import markers

__all__ = ("LONGEST_BLOCK", "FunctionCalls")

LONGEST_BLOCK = 256 * 1024
"""Characters that a block may have, tags included; a longer one is text."""

_OPENING = markers(open=OPEN)
_CLOSING = re.compile(re.escape(CLOSE), re.ASCII | re.IGNORECASE)


class FunctionCalls(ByChoice):
    """Reads the calls out of the texts of each choice.

    Args:
        prefix: Begins the ids of the calls: ``<prefix>-<choice>-<number>``. Make one for each
            attempt, so that no two calls of a conversation have the same id.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__(lambda choice: _Answer(choice, f"{prefix}-{choice}"))


class _Answer:
    """The state of one choice."""

    over = False

    def __init__(self, choice: int, prefix: str) -> None:
        self._choice = choice
        self._prefix = prefix
        self._held = Held()
        self._opening = 0  # the length of the tag of the block that has begun
        self._searched = 0
        self._calls = 0
        self._after_call = False

    def read(self, event: Text, /) -> Sequence[Event]:
        """The texts and calls that are certain."""
        if self._is_plain(event):
            return (event,)
        self._held.add(event)
        given: list[Event] = []
        while self._close(given) if self._opening else self._open(given):
            pass
        return given

    def flush(self) -> Sequence[Event]:
        """What is held is a call that was cut off, or text."""
        text, given = self._held.text, list[Event]()
        calls = read_calls(text[self._opening :], cut=True) if self._opening else []
        if calls:
            self._held.take(len(text))
        self._opening = 0
        self._give_calls(calls, given)
        self._give(len(self._held.text), given)
        return given

    def stopped(self, event: Stop, /) -> Stop:
        """An answer that calls a tool has ended for that."""
        plain = event.stop_reason in ("complete", "stop_sequence")
        return attrs.evolve(event, stop_reason="tool_use") if self._calls and plain else event

    def _is_plain(self, event: Text) -> bool:
        """Most texts are: nothing waits, and no tag may begin in it."""
        if self._opening or self._after_call or self._held.text:
            return False
        return _OPENING.search(event.content) is None

    def _open(self, given: list[Event]) -> bool:
        found = _OPENING.search(self._held.text)
        self._give(len(self._held.text) if found is None else found.start(), given)
        if found is None or found.lastgroup is None:
            return False
        self._opening, self._searched = found.end() - found.start(), 0
        return True

    def _close(self, given: list[Event]) -> bool:
        text = self._held.text
        found = _CLOSING.search(text, max(self._opening, self._searched - len(CLOSE)))
        self._searched = len(text)
        if found is not None and found.end() <= LONGEST_BLOCK:
            self._end(found, given)
            return True
        if len(text) <= LONGEST_BLOCK:
            return False
        self._opening = 0
        self._give(LONGEST_BLOCK, given)
        return True

    def _end(self, found: re.Match[str], given: list[Event]) -> None:
        calls = read_calls(self._held.text[self._opening : found.start()])
        self._opening = 0
        if calls:
            self._held.take(found.end())
            self._give_calls(calls, given)
        else:
            self._give(found.end(), given)

    def _give(self, size: int, given: list[Event]) -> None:
        """The first characters as text; blanks behind a call are left out."""
        if self._after_call:
            blanks = size - len(self._held.text[:size].lstrip())
            self._held.take(blanks)
            size -= blanks
            if not size:
                return
            self._after_call = False
        given += self._held.take(size)

    def _give_calls(self, calls: Sequence[WrittenCall], given: list[Event]) -> None:
        for call in calls:
            call_id, text = f"{self._prefix}-{self._calls}", call.arguments_text
            self._calls += 1
            self._after_call = True
            given.append(ToolCallStart(call_id, call.name, self._choice))
            if text:
                given.append(ToolCallChunk(call_id, text, self._choice))
            given.append(ToolCallEnd(call_id, text, call.incomplete or None, self._choice))
