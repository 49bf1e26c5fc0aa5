"""Counts of tokens as servers give them: one that cannot be is unknown, and told of.

>>> count(4), count(4.0), count(-1), count("many"), count(None)
(4, 4, None, None, None)
>>> [notice.message for notice in doubts(prompt_tokens=3, completion_tokens=-1)]
['The server counts -1 as completion_tokens, which cannot be; the count is unknown.']
"""

from __future__ import annotations

import msgspec

from multitap.events import Notice
from multitap.excerpt import excerpt

__all__ = ("MOST", "count", "doubts")

MOST = 10**9
"""Tokens that one answer can have; a higher count is no count."""


def count(said: object) -> int | None:
    """The count, or ``None`` where there is none, or where it cannot be one."""
    if said is None:
        return None
    if type(said) is int:  # as it is, nearly always
        return said if 0 <= said <= MOST else None
    if isinstance(said, float) and said.is_integer():
        said = int(said)
    if not isinstance(said, int) or isinstance(said, bool):
        return None
    return said if 0 <= said <= MOST else None


def doubts(**said: object) -> list[Notice]:
    """A warning for each count that was given and cannot be.

    Args:
        said: The counts by the server's own names; of a struct, those within it.
    """
    notices: list[Notice] = []
    for name, value in said.items():
        if value is None or (type(value) is int and 0 <= value <= MOST):
            continue
        if count(value) is not None:
            continue
        if isinstance(value, msgspec.Struct):
            notices += doubts(**msgspec.structs.asdict(value))
        else:
            notices.append(_doubt(name, value))
    return notices


def _doubt(name: str, value: object) -> Notice:
    shown = excerpt(repr(value), 40)
    message = f"The server counts {shown} as {name}, which cannot be; the count is unknown."
    return Notice("invalid_usage", message)
