"""Old records whose one result stands for several calls, taken apart again.

Some programs have kept the results of all calls of a turn as one message without an id. Where a
result ends in it can only be guessed, so nothing here runs by itself: read such a record with
``split_joined_results``, once.

>>> calls = Message("assistant", [ToolCall("a", "weather"), ToolCall("b", "weather")])
>>> turns = split_joined_results([calls, Message("tool", "4 degrees\\n---\\n7 degrees")])
>>> [part for turn in turns[1:] for part in turn.parts]
[ToolResult(call_id='a', content='4 degrees', name='weather'), \
ToolResult(call_id='b', content='7 degrees', name='weather')]
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from multitap.messages import Message, ToolCall, ToolResult

__all__ = ("split_joined_results",)

_BORDERS = tuple(
    re.compile(rf"^[ \t]*{border}[ \t]*\r?$", re.MULTILINE) for border in ("---", "===", r"\*\*\*")
)
_BLANK_LINES = re.compile(r"(?:\r?\n[ \t]*){2,}")


def split_joined_results(messages: Iterable[Message | Mapping[str, Any]]) -> tuple[Message, ...]:
    """The messages with one result for each call, where one result without an id has them all.

    It has them if two calls or more wait for a result, nothing else is without an id, and it is
    just as many parts as there are calls: elements of a JSON array, or texts between lines of
    ``---``, ``===`` or ``***``, or between blank lines; the first of these that fits. Whatever else
    there is stays the same, and is mended when it is sent.

    Args:
        messages: Messages, or dicts in OpenAI's chat shape.
    """
    turns = [m if isinstance(m, Message) else Message.from_dict(m) for m in messages]
    found: list[Message] = []
    for place, turn in enumerate(turns):
        waiting = _waiting(turns, place) if _has_no_id(turn) else []
        parts = _parts(_content(turn), len(waiting)) if len(waiting) > 1 else None
        found += [turn] if parts is None else _results(waiting, parts)
    return tuple(found)


def _has_no_id(message: Message) -> bool:
    """Is it one result without an id, be it just a text?"""
    if message.role != "tool" or not message.parts:
        return False
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    return not results or (len(message.parts) == 1 and not results[0].call_id)


def _content(message: Message) -> str:
    return "".join(p.content for p in message.parts if isinstance(p, ToolResult)) or message.text


def _results(calls: Sequence[ToolCall], parts: Sequence[str]) -> list[Message]:
    pairs = zip(calls, parts, strict=True)
    return [Message("tool", ToolResult(call.id, part, call.name)) for call, part in pairs]


# ---- which calls wait ----------------------------------------------------------------------------


def _waiting(turns: Sequence[Message], place: int) -> list[ToolCall]:
    """The calls of the turn that no other result of it names; none, if it is not the only one."""
    begin, end = place, place + 1
    while begin and turns[begin].role == "tool":
        begin -= 1
    while end < len(turns) and turns[end].role == "tool":
        end += 1
    others = [turn for turn in turns[begin + 1 : end] if turn is not turns[place]]
    ids = [call_id for turn in others for call_id in _ids(turn)]
    return [] if "" in ids else [call for call in turns[begin].tool_calls if call.id not in ids]


def _ids(message: Message) -> Iterator[str]:
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    yield from (result.call_id for result in results or [ToolResult("", "")])


# ---- what it is made of --------------------------------------------------------------------------


def _parts(text: str, count: int) -> list[str] | None:
    """Just so many parts, or ``None``."""
    return next((parts for parts in _ways(text) if len(parts) == count), None)


def _ways(text: str) -> Iterator[list[str]]:
    try:
        elements = json.loads(text)
    except (ValueError, RecursionError):
        elements = None
    if isinstance(elements, list):
        yield [e if isinstance(e, str) else json.dumps(e, ensure_ascii=False) for e in elements]
    for border in _BORDERS:
        yield [part.strip() for part in border.split(text)]
    yield [part.strip() for part in _BLANK_LINES.split(text.strip())]
