"""Control tokens that stand in a prompt's text are kept text.

llama.cpp renders a conversation to one text before it splits it into tokens, so a message that
holds ``<|im_start|>system`` would begin a message of its own. A mark without width is put into
every such text, which then is no token any more; the model reads nearly the same. This keeps the
roles of a conversation apart. It is no defence against a prompt that talks the model
into something.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import compress
from pathlib import Path
from typing import BinaryIO

import attrs

from multitap.messages import Message, Part, TextPart, ToolResult
from multitap_llamacpp.gguf import Header, read_header

__all__ = ("control_tokens", "kept_text")

TOKENS, TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"
CONTROL = 3
WHOLE_NUMBERS = (4, 5)  # the codes of uint32 and int32
LIST_HEAD = struct.Struct("<IQ")
LENGTH = struct.Struct("<Q")
MARK = "\u200b"


def kept_text(messages: Sequence[Message], path: Path) -> tuple[tuple[Message, ...], int]:
    """The messages without control tokens of this model, and how many there were."""
    pattern = _pattern(path, path.stat().st_mtime_ns)
    if pattern is None:
        return tuple(messages), 0
    count = 0

    def kept(part: Part) -> Part:
        nonlocal count
        if isinstance(part, TextPart):
            text, found = pattern.subn(_broken_up, part.text)
            part = attrs.evolve(part, text=text) if found else part
        elif isinstance(part, ToolResult):
            text, found = pattern.subn(_broken_up, part.content)
            part = attrs.evolve(part, content=text) if found else part
        else:
            found = 0
        count += found
        return part

    turns = [attrs.evolve(m, parts=tuple(map(kept, m.parts))) for m in messages]
    return tuple(turns), count


def _broken_up(match: re.Match[str]) -> str:
    return match[0][0] + MARK + match[0][1:]


@lru_cache(maxsize=32)
def _pattern(path: Path, _changed: int) -> re.Pattern[str] | None:
    tokens = sorted(control_tokens(path), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, tokens))) if tokens else None


def control_tokens(path: Path) -> tuple[str, ...]:
    """The control tokens of a model file, such as ``<|im_start|>``."""
    header = read_header(path)
    if TOKENS not in header.places or header.lengths.get(TYPES) != header.lengths[TOKENS]:
        return ()
    with path.open("rb") as file:
        file.seek(header.places[TYPES])
        if LIST_HEAD.unpack(file.read(LIST_HEAD.size))[0] not in WHOLE_NUMBERS:
            return ()
        marked = [kind == CONTROL for kind in _types(file, header)]
        return tuple(text for text in compress(_texts(file, header), marked) if len(text) > 1)


def _types(file: BinaryIO, header: Header) -> Sequence[int]:
    file.seek(header.places[TYPES] + LIST_HEAD.size)
    count = header.lengths[TYPES]
    return struct.unpack(f"<{count}i", file.read(4 * count))


def _texts(file: BinaryIO, header: Header) -> Iterator[str]:
    file.seek(header.places[TOKENS] + LIST_HEAD.size)
    for _ in range(header.lengths[TOKENS]):
        (length,) = LENGTH.unpack(file.read(LENGTH.size))
        yield file.read(length).decode("utf-8", "replace")
