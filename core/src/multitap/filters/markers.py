r"""Tags within a text that comes in pieces: where one stands, or may be about to.

>>> found = markers(open="<think>").search("so <thi")
>>> found.start(), found.lastgroup
(3, None)
"""

from __future__ import annotations

import re

__all__ = ("BEGINNING", "markers")

BEGINNING = r"\s*(?:{}|\Z)"
"""Only at the start of the text, behind blanks; the blanks alone may be followed by a tag."""

LONGEST_ATTRIBUTES = 200


def markers(where: str = "{}", /, **tags: str) -> re.Pattern[str]:
    """What finds the first of these tags, or the beginning of one at the end of the text.

    ``lastgroup`` of a match is the tag's name, ``None`` for a mere beginning. Case makes no
    difference, and an opening tag in angle brackets may have attributes.

    Args:
        where: A pattern around the tags: anywhere, or ``BEGINNING``.
        tags: By name.
    """
    whole = [f"(?P<{name}>{_whole(tag)})" for name, tag in tags.items()]
    begun = [_begun(tag) for tag in tags.values()]
    pattern = where.format(f"(?:{'|'.join([*whole, *begun])})")
    return re.compile(pattern, re.ASCII | re.IGNORECASE)


def _attributes(tag: str) -> str:
    if re.fullmatch(r"<\w+>", tag):
        return rf"(?:\s[^<>]{{0,{LONGEST_ATTRIBUTES}}})?"
    return ""


def _whole(tag: str) -> str:
    return re.escape(tag[:-1]) + _attributes(tag) + re.escape(tag[-1])


def _begun(tag: str) -> str:
    """Any beginning of the tag, with nothing behind it."""
    pattern = _attributes(tag) + r"\Z"
    for letter in reversed(tag[:-1]):
        pattern = rf"{re.escape(letter)}(?:\Z|{pattern})"
    return pattern
