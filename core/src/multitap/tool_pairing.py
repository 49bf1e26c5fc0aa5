"""Histories whose calls and results do not fit together are mended before they are sent.

Servers refuse such a history as a whole. An answer that was interrupted, a conversation that was
cut, or one that another program has kept, must not end there.

>>> from multitap.messages import Message, ToolResult
>>> repair_tool_pairing((Message("tool", ToolResult("c1", "4")), Message("user", "hi")))[0]
(Message(role='user', parts=(TextPart(text='hi'),)),)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter, is_

import attrs

from multitap.events import Notice
from multitap.messages import Message, Part, ToolCall, ToolResult

__all__ = ("NO_RESULT", "in_call_order", "repair_tool_pairing")

NO_RESULT = "The call was interrupted: there is no result."

Messages = tuple[Message, ...]


def repair_tool_pairing(messages: Messages) -> tuple[Messages, Sequence[Notice]]:
    """The messages with one result for each call, behind it, and a notice for each change.

    A result belongs to the latest call of its id that has none yet; one without an id to the first
    call that waits. A result without a call is dropped, a call without a result is told that it
    was interrupted, and a call without an id gets one. What is in order stays the same object.
    """
    if not any(map(_speaks_of_tools, messages)):
        return messages, ()
    repair = _Repair(messages)
    for message in messages:
        repair.add(message)
    repair.end()
    return (tuple(repair.turns()), repair.notices) if repair.notices else (messages, ())


def in_call_order(messages: Messages) -> Messages:
    """A paired history with the results of parallel calls in the order of their calls.

    Tools that run at once end in any order. Most chat templates show a result without its id, so
    that for the model its place alone says whose it is. What is in order stays the same object.

    >>> from multitap.messages import Message, ToolCall, ToolResult
    >>> calls = Message("assistant", [ToolCall("a", "add"), ToolCall("b", "add")])
    >>> results = Message("tool", [ToolResult("b", "9"), ToolResult("a", "4")])
    >>> [result.content for result in in_call_order((calls, results))[1].parts]
    ['4', '9']
    """
    if "tool" not in map(_role, messages):
        return messages
    ordered: list[Message] = []
    for is_result, group in groupby(messages, lambda message: message.role == "tool"):
        run = list(group)
        ordered += _sorted(run, ordered[-1].tool_calls) if is_result and ordered else run
    return messages if all(map(is_, ordered, messages)) else tuple(ordered)


def _sorted(run: list[Message], calls: Sequence[ToolCall]) -> list[Message]:
    """The results of these calls, as one message where their order changes."""
    results = [part for message in run for part in message.parts if isinstance(part, ToolResult)]
    places = {call.id: place for place, call in reversed(list(enumerate(calls)))}
    ordered = sorted(results, key=lambda result: places.get(result.call_id, len(places)))
    more = sum(len(message.parts) for message in run) > len(results)
    return run if more or ordered == results else [Message("tool", ordered)]


_role = attrgetter("role")


def _speaks_of_tools(message: Message) -> bool:
    return message.role == "tool" or ToolCall in map(type, message.parts)


@attrs.define
class _Turn:
    """A message, and the messages with the results of its calls."""

    message: Message
    waiting: list[ToolCall] = attrs.field(factory=list)
    results: list[Message] = attrs.field(factory=list)


class _Repair:
    def __init__(self, messages: Messages) -> None:
        self.notices: list[Notice] = []
        self._turns: list[_Turn] = []
        self._ids = {call.id for message in messages for call in message.tool_calls}

    def add(self, message: Message) -> None:
        if message.role == "tool":
            self._add_results(message)
            return
        calls = [self._named(c) if isinstance(c, ToolCall) else c for c in message.parts]
        if calls != list(message.parts):
            message = attrs.evolve(message, parts=calls)
        self._turns.append(_Turn(message, list(message.tool_calls)))

    def end(self) -> None:
        """Tell the calls that wait that they were interrupted."""
        for turn in self._turns:
            for call in turn.waiting:
                turn.results.append(Message("tool", ToolResult(call.id, NO_RESULT, call.name)))
                self._tell(f"The call {call.id!r} of {call.name!r} has no result; it was given one")
            turn.waiting.clear()

    def turns(self) -> Iterator[Message]:
        for turn in self._turns:
            yield turn.message
            yield from turn.results

    def _named(self, call: ToolCall) -> ToolCall:
        if call.id:
            return call
        number = len(self._ids)
        while f"call_{number}" in self._ids:
            number += 1
        self._ids.add(f"call_{number}")
        self._tell(f"A call of {call.name!r} has no id; it was given one")
        return attrs.evolve(call, id=f"call_{number}")

    def _add_results(self, message: Message) -> None:
        """Each result goes to its call; results of one message and one turn stay together."""
        places: dict[int, list[Part]] = {}
        has_result = any(isinstance(part, ToolResult) for part in message.parts)
        for part in message.parts if has_result else [ToolResult("", message.text)]:
            if isinstance(part, ToolResult):
                self._place(part, places)
            elif places:
                next(reversed(places.values())).append(part)
        for place, parts in places.items():
            same = tuple(parts) == message.parts
            fitting = message if same else attrs.evolve(message, parts=parts)
            self._turns[place].results.append(fitting)

    def _place(self, result: ToolResult, places: dict[int, list[Part]]) -> None:
        place = self._turn_of(result)
        if place is None:
            self._tell(f"The result {result.call_id!r} belongs to no call; it was dropped")
            return
        waiting = self._turns[place].waiting
        call = next(c for c in waiting if result.call_id in ("", c.id))
        waiting.remove(call)
        if not result.call_id:
            self._tell(f"A result has no id; it was taken for that of the call {call.id!r}")
            result = attrs.evolve(result, call_id=call.id)
        if place != len(self._turns) - 1:
            self._tell(f"The result of the call {call.id!r} stood elsewhere; it was put behind it")
        places.setdefault(place, []).append(result)

    def _turn_of(self, result: ToolResult) -> int | None:
        """Of the calls with the same id the latest; without an id, the first that waits."""
        turns = [
            place
            for place, turn in enumerate(self._turns)
            if any(result.call_id in ("", call.id) for call in turn.waiting)
        ]
        return turns[-1 if result.call_id else 0] if turns else None

    def _tell(self, message: str) -> None:
        self.notices.append(Notice("repaired_history", f"{message}.", "messages"))
