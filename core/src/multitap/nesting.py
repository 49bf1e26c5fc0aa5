"""How deep JSON is nested, and how long its whole numbers are.

What a program keeps of a server's JSON it will copy, show and write again, and each of these ends
in a ``RecursionError``, or in a number too long to be printed, where the JSON goes on for ever.

>>> is_beyond({"a": [[1]]}, depth=3, digits=4), is_beyond({"a": [[1]]}, depth=2, digits=4)
(False, True)
>>> within(b'{"a": [[1]]}', depth=2, digits=4)
b'{"a": ['
"""

from __future__ import annotations

import math
import re
from typing import Any

__all__ = ("DEPTH", "DIGITS", "is_beyond", "within")

DEPTH = 64
"""Objects and lists within each other."""

DIGITS = 64
"""Digits of one whole number."""

_TOKEN = re.compile(
    rb'"[^"\\]*(?:\\.[^"\\]*)*"?'
    rb"|(?P<open>[\[{])|(?P<close>[\]}])|(?P<number>\d[\d.eE+-]*)",
    re.DOTALL,
)


def is_beyond(value: Any, *, depth: int, digits: int) -> bool:
    """Is it nested deeper, or has it a longer number, or one without end (``1e999``)?"""
    level, left = [value], depth
    while level:
        if any(_is_too_long(each, digits) for each in level):
            return True
        holders = [each for each in level if isinstance(each, (dict, list, tuple))]
        if holders and not left:
            return True
        level, left = [inner for each in holders for inner in _inside(each)], left - 1
    return False


def _inside(holder: Any) -> Any:
    return holder.values() if isinstance(holder, dict) else holder


def _is_too_long(value: Any, digits: int) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    # of what has few bits the power, which may be a long one itself, is never made
    return isinstance(value, int) and value.bit_length() > 3 * digits and abs(value) >= 10**digits


def within(data: bytes, *, depth: int, digits: int) -> bytes:
    """JSON up to where it is nested deeper or a number is longer; all of it where nothing is."""
    level = 0
    for token in _TOKEN.finditer(data):
        if token["open"]:
            level += 1
        elif token["close"]:
            level -= 1
        number = token["number"] or b""
        if level > depth or (len(number) > digits and number.isdigit()):
            return data[: token.start()]
    return data
