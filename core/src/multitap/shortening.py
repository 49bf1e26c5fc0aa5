"""Messages made shorter: old turns dropped, long texts cut; and how long messages are.

A length is bytes of UTF-8, and as many as 512 tokens have for a picture, a sound or a document.

>>> history = [Message("user", "a" * 40), Message("assistant", "b" * 40), Message("user", "c")]
>>> fit_messages(history, 30, shift=True).messages
(Message(role='user', parts=(TextPart(text='c'),)),)
>>> fit_messages([Message("user", "a word " * 40)], 60, truncate=True).messages[0].text
'a word a word a \\n[… left out …]\\n word a word a word '
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import attrs

from multitap.messages import Audio, Document, Image, Message, Part, TextPart, ToolCall, ToolResult

__all__ = ("BYTES_OF_A_TOKEN", "Fitted", "fit_messages", "size_of_messages")

Size = Callable[[Iterable[Message]], int]

BYTES_OF_A_TOKEN = 4
BYTES_OF_MEDIA = 512 * BYTES_OF_A_TOKEN
MARKER = "\n[… left out …]\n"


# ---- how long a prompt is ------------------------------------------------------------------------


def size_of_messages(messages: Iterable[Message]) -> int:
    """Texts, calls and their results, and media."""
    return sum(_size_of_part(part) for message in messages for part in message.parts)


def _size_of_part(part: Part) -> int:
    if isinstance(part, (Image, Audio, Document)):
        return BYTES_OF_MEDIA
    if isinstance(part, ToolCall):
        return _bytes(part.name) + _bytes(part.arguments_text)
    return _bytes(_text(part))  # a thought is never sent back


def _text(part: Part) -> str:
    if isinstance(part, TextPart):
        return part.text
    return part.content if isinstance(part, ToolResult) else ""


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


# ---- making it shorter ---------------------------------------------------------------------------


@attrs.frozen
class Fitted:
    """Messages that fit: how many others were dropped for it, and how many texts were cut."""

    messages: tuple[Message, ...]
    dropped: int = 0
    cut: int = 0


def fit_messages(
    messages: Sequence[Message],
    room: int,
    *,
    shift: bool = False,
    truncate: bool = False,
    size: Size = size_of_messages,
) -> Fitted | None:
    """The messages within so many bytes; ``None``: what has to stay does not fit.

    What stays of old turns begins with a user's message. A call is dropped with its results, which
    follow it. System messages, the last user's message and the end of the history always stay.

    Args:
        size: How long messages are, where they are sent in other words than their own.
    """
    kept = _slid(messages, room, size) if shift else tuple(messages)
    dropped = len(messages) - len(kept)
    if size(kept) <= room:
        return Fitted(kept, dropped)
    return _shortened(kept, dropped, size(kept) - room) if truncate else None


def _slid(messages: Sequence[Message], room: int, size: Size) -> tuple[Message, ...]:
    units = _units(messages)
    staying = _staying(units)
    excess = size(messages) - room
    dropped: set[int] = set()
    begun = False  # a turn that stays
    for place, unit in enumerate(units):
        if place in staying:
            begun = begun or unit[0].role != "system"
        elif excess > 0 or (dropped and not begun and unit[0].role != "user"):
            dropped.add(place)
            excess -= size(unit)
        else:
            break
    return tuple(m for place, unit in enumerate(units) if place not in dropped for m in unit)


def _units(messages: Iterable[Message]) -> list[list[Message]]:
    """Messages that stay or go together: one alone, or one with calls and all their results."""
    units: list[list[Message]] = []
    for message in messages:
        if units and units[-1][0].tool_calls and _answers(message):
            units[-1].append(message)
        else:
            units.append([message])
    return units


def _answers(message: Message) -> bool:
    return any(isinstance(part, ToolResult) for part in message.parts)


def _staying(units: Sequence[Sequence[Message]]) -> set[int]:
    systems = {place for place, unit in enumerate(units) if unit[0].role == "system"}
    asked = [place for place, unit in enumerate(units) if unit[0].role == "user"]
    return systems | {len(units) - 1, *asked[-1:]}


def _shortened(messages: Sequence[Message], dropped: int, excess: int) -> Fitted | None:
    """The oldest texts that are longer than an even share of the room, cut as far as needed."""
    sizes = [_bytes(_text(part)) for m in messages if m.role != "system" for part in m.parts]
    texts = [size for size in sizes if size]
    share = (sum(texts) - excess) // len(texts) if texts else 0
    if share < _bytes(MARKER):
        return None
    cut, shorter = 0, []
    for message in messages:
        parts: list[Part] = []
        for part in message.parts:
            size = _bytes(_text(part))
            if message.role != "system" and excess > 0 and size > share:
                part = _cut(part, max(share, size - excess))
                excess -= size - _bytes(_text(part))
                cut += 1
            parts.append(part)
        shorter.append(attrs.evolve(message, parts=tuple(parts)))
    return Fitted(tuple(shorter), dropped, cut)


def _cut(part: Part, size: int) -> Part:
    if isinstance(part, TextPart):
        return TextPart(_without_middle(part.text, size))
    assert isinstance(part, ToolResult)
    return attrs.evolve(part, content=_without_middle(part.content, size))


def _without_middle(text: str, size: int) -> str:
    """The text's beginning and end within so many bytes, at a word's border where one is near."""
    data, left = text.encode("utf-8", "replace"), size - _bytes(MARKER)
    tail = data[len(data) - left // 2 :].decode("utf-8", "ignore")
    head = data[: left - left // 2].decode("utf-8", "ignore")
    head = re.sub(r"(?<=\s)\S{1,40}\Z", "", head)
    return head + MARKER + re.sub(r"\A\S{1,40}(?=\s)", "", tail)
