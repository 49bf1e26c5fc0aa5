"""JSON as models write it: read where the standard library gives up.

Accepted beyond JSON: single quotes, names and ``True``, ``None`` without quotes, commas before a
closing bracket, line breaks within texts, escapes that are none, closing brackets that are missing,
and what follows the value. Time and memory grow with the length alone.

>>> read_json("{'city': 'Oslo', 'cold': True,}")
({'city': 'Oslo', 'cold': True}, True)
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ("read_json",)

_TOKEN = re.compile(
    r"""\s+
    | (?P<text>"(?:[^"\\]|\\.)*(?P<end>"|\\?\Z) | '(?:[^'\\]|\\.)*(?P<ending>'|\\?\Z))
    | (?P<mark>[\[\]{}:,])
    | (?P<word>[^\s"'\[\]{}:,]+)""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPE = re.compile(r'\\(u[0-9a-fA-F]{4}|.)|"', re.DOTALL)
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_CLOSING = {"{": "}", "[": "]"}
_CONSTANTS = {"true": "true", "false": "false", "null": "null", "none": "null"}


def read_json(text: str, *, cut: bool = False) -> tuple[Any, bool]:
    """The value, and whether its end was there; ``ValueError`` where it cannot be read.

    ``cut``: the text may end anywhere, within quotes too.
    """
    try:
        return json.loads(text, strict=False), True
    except (ValueError, RecursionError):
        pass
    try:
        written, whole = _rewritten(text, cut)
        return json.loads(written, strict=False), whole
    except RecursionError:
        raise ValueError("too many brackets within each other") from None


def _rewritten(text: str, cut: bool) -> tuple[str, bool]:
    """The text as JSON, and whether nothing was missing at its end."""
    parts: list[str] = []
    open_: list[str] = []
    for token in _TOKEN.finditer(text):
        if token["mark"]:
            _add_mark(token["mark"], parts, open_)
            if not open_:
                return "".join(parts), True
        elif token["text"]:
            closed = (token["end"] or token["ending"]) in ('"', "'")
            if not (closed or cut):
                raise ValueError("a text without an end")
            parts.append(_quoted(token["text"], closed))
        elif token["word"]:
            parts.append(_word(token["word"]))
    if not open_:
        raise ValueError("no object and no list")
    if cut and open_[-1] == "{":
        _end_pair(parts)
    for mark in reversed(open_):
        _drop_comma(parts)
        parts.append(_CLOSING[mark])
    return "".join(parts), False


def _add_mark(mark: str, parts: list[str], open_: list[str]) -> None:
    if mark in _CLOSING:
        open_.append(mark)
    elif mark in _CLOSING.values():
        if not open_ or _CLOSING[open_.pop()] != mark:
            raise ValueError(f"{mark!r} closes nothing")
        _drop_comma(parts)
    parts.append(mark)


def _end_pair(parts: list[str]) -> None:
    """A name without a value is left out; one with a colon has none."""
    if parts[-1] == ":":
        parts.append("null")
    elif len(parts) > 1 and parts[-2] in ("{", ","):
        parts.pop()


def _drop_comma(parts: list[str]) -> None:
    if parts and parts[-1] == ",":
        parts.pop()


def _quoted(text: str, closed: bool) -> str:
    body = text[1:-1] if closed else re.sub(r"(?<!\\)((?:\\\\)*)\\\Z", r"\1", text[1:])
    return f'"{_ESCAPE.sub(_escape, body)}"'


def _escape(found: re.Match[str]) -> str:
    letter = found[1]
    if letter is None or letter == "'":
        return "'" if letter else '\\"'
    if letter[0] in '"\\/bfnrt' or len(letter) > 1:
        return f"\\{letter}"
    return f"\\\\{letter}"


def _word(word: str) -> str:
    if _NUMBER.fullmatch(word):
        return word
    return _CONSTANTS.get(word.lower()) or json.dumps(word)
