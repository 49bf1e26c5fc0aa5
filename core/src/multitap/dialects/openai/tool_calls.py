"""Tool calls of the OpenAI dialect, put together from their pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from multitap.events import Notice, ToolCallChunk, ToolCallEnd, ToolCallStart
from multitap.messages import is_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap.events import Event

__all__ = ("Calls", "FunctionDelta", "ToolCallDelta")


class FunctionDelta(msgspec.Struct, gc=False):
    """Name and arguments, or a piece of them. Arguments are text; some servers send an object."""

    name: str | None = None
    arguments: Any = None


class ToolCallDelta(msgspec.Struct, gc=False):
    """A call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None
    extra_content: Any = None


class _Call:
    __slots__ = ("id", "index", "name", "pieces", "wire_id")

    def __init__(self, index: int | None, wire_id: str | None, own_id: str) -> None:
        self.index = index
        self.wire_id = wire_id
        self.id = own_id
        self.name: str | None = None
        self.pieces: list[str] = []


class Calls:
    """The calls of one choice.

    A piece belongs to the open call with its index, else with its id, else to the last one. A new
    id with a new name under a known index is a new call. A missing id, and one that another call
    of the answer has, becomes ``call_<n>``. A call that is whole and comes whole again (its id, its
    name and all its arguments) is left out, with a notice in ``repairs``, by the call's id.

    Args:
        choice: The choice's index.
        ids: The ids of the whole answer, shared by its choices.
    """

    def __init__(self, choice: int, ids: set[str]) -> None:
        self._choice = choice
        self._ids = ids
        self._open: list[_Call] = []
        self.any = False
        self.repairs: dict[str, Notice] = {}

    def read(self, deltas: Sequence[ToolCallDelta], *, whole: bool = False) -> list[Event]:
        """The events of these pieces; ``whole``: each one is a call of its own."""
        events: list[Event] = []
        for delta in deltas:
            function = delta.function or FunctionDelta()
            call = None if whole else self._find(delta, function.name)
            if call is not None and _is_another(call, delta, function.name):
                events += self._close(call, cut=False)
                call = None
            if call is None:
                call = self._begin(delta)
            if call.name is None and function.name:
                self._start(call, function.name, delta.extra_content, events)
            text = _argument_text(function.arguments)
            if _is_repeated(call, delta.id, function.name, text):
                self.repairs[call.id] = _repaired(call)
            else:
                self._add(call, text, events)
        return events

    def end(self, *, cut: bool) -> list[Event]:
        """End what is open; ``cut``: the answer ended in the middle of the last call."""
        events: list[Event] = []
        for call in list(self._open):
            events += self._close(call, cut=cut and call is self._open[-1])
        return events

    def _find(self, delta: ToolCallDelta, name: str | None) -> _Call | None:
        if delta.index is not None:
            return next((c for c in self._open if c.index == delta.index), None)
        if delta.id:
            return next((c for c in self._open if c.wire_id == delta.id), None)
        return self._open[-1] if self._open and not name else None

    def _begin(self, delta: ToolCallDelta) -> _Call:
        call = _Call(delta.index, delta.id or None, self._own_id(delta.id))
        self._open.append(call)
        self.any = True
        return call

    def _own_id(self, wire_id: str | None) -> str:
        own_id, number = wire_id or "", len(self._ids)
        while not own_id or own_id in self._ids:
            own_id, number = f"call_{number}", number + 1
        self._ids.add(own_id)
        return own_id

    def _start(self, call: _Call, name: str, extra: Any, events: list[Event]) -> None:
        call.name = name
        opaque = {"extra_content": extra} if extra else None
        events.append(ToolCallStart(call.id, name, self._choice, opaque))
        if call.pieces:  # arguments that came before the name
            events.append(ToolCallChunk(call.id, "".join(call.pieces), self._choice))

    def _add(self, call: _Call, text: str, events: list[Event]) -> None:
        if not text:
            return
        call.pieces.append(text)
        if call.name is not None:
            events.append(ToolCallChunk(call.id, text, self._choice))

    def _close(self, call: _Call, *, cut: bool) -> list[Event]:
        self._open.remove(call)
        events: list[Event] = []
        if call.name is None:
            self._start(call, "", None, events)
        text = "".join(call.pieces)
        incomplete = cut or not call.name or not is_object(text)
        events.append(ToolCallEnd(call.id, text, incomplete or None, self._choice))
        return events


def _is_another(call: _Call, delta: ToolCallDelta, name: str | None) -> bool:
    return bool(delta.id and name and call.name is not None and delta.id != call.wire_id)


def _is_repeated(call: _Call, wire_id: str | None, name: str | None, text: str) -> bool:
    """Is it the whole call once more? Two JSON objects in a row would be none."""
    if not wire_id or (wire_id, name) != (call.wire_id, call.name) or text.strip()[:1] != "{":
        return False
    return text == "".join(call.pieces) and is_object(text)


def _repaired(call: _Call) -> Notice:
    message = f"The server sent the call of {call.name!r} twice, word for word; it is kept once."
    return Notice("repaired", message, provider_options={"tool_call_id": call.id})


def _argument_text(arguments: Any) -> str:
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
