"""Text of a model made safe to show: without what a terminal, or an eye, would obey."""

from __future__ import annotations

import re

__all__ = ("Cleaner", "one_line")

_BIDI = "\u202a-\u202e\u2066-\u2069"
_UNSAFE = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}]")
_STRING_OPENERS = frozenset("\x90\x98\x9d\x9e\x9f")


class Cleaner:
    r"""Drops control characters but newline and tab, escape sequences, and bidi overrides.

    It remembers an unfinished sequence, so that how the text is cut makes no difference. A
    sequence ends with its line at the latest: nothing is held back and no text is lost for long.

    >>> clean = Cleaner()
    >>> clean("a\x1b[3") + clean("1mred\x1b]0;title\x07b")
    'aredb'
    """

    def __init__(self) -> None:
        self._step = self._text

    def __call__(self, text: str) -> str:
        """The next piece, cleaned."""
        if self._step == self._text and not _UNSAFE.search(text):
            return text
        return "".join([self._step(char) for char in text])

    def _text(self, char: str) -> str:
        if char == "\x1b":
            self._step = self._escape
        elif char == "\x9b":
            self._step = self._control
        elif char in _STRING_OPENERS:
            self._step = self._string
        return "" if _UNSAFE.match(char) else char

    def _escape(self, char: str) -> str:
        if char == "[":
            self._step = self._control
        elif char in "]PX^_":
            self._step = self._string
        elif not " " <= char <= "/":
            return self._end(char, "0" <= char <= "~")
        return ""

    def _control(self, char: str) -> str:
        return "" if " " <= char <= "?" else self._end(char, "@" <= char <= "~")

    def _string(self, char: str) -> str:
        if char in "\n\x07\x9c":
            return self._end(char, char != "\n")
        if char == "\x1b":
            self._step = self._escape
        return ""

    def _end(self, char: str, belongs: bool) -> str:
        self._step = self._text
        return "" if belongs else self._text(char)


def one_line(text: str) -> str:
    r"""The text on one line, safe to show.

    >>> one_line("no such\nmodel\x1b[2J")
    'no such model'
    """
    return " ".join(Cleaner()(text).split())
