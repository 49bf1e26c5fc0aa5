"""What the registry asks of the file system: stamps, listings, and bounded reads."""

# ruff: noqa: PTH116, PTH123, PTH208
# a Path for each of some hundred files costs more than asking for its stamp
from __future__ import annotations

import os
import time
from typing import Optional

__all__ = ("ABSENT", "Stamp", "names_in", "read", "stamp", "unchanged")

Stamp = Optional[tuple[int, ...]]
"""What changes with a file or folder; ``None`` where that cannot be relied on yet."""

ABSENT: tuple[int, ...] = ()
"""The stamp of what is not there."""

_SETTLED = 2.0


def stamp(path: str) -> Stamp:
    """The stamp of a file or folder, which is taken before it is read.

    A file system counts time in ticks, of two seconds at worst: what has changed within the last
    tick may change again and show the same time. So it has no stamp yet, and is read again.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ABSENT
    if time.time() - max(found.st_mtime, found.st_ctime) < _SETTLED:
        return None
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size)


def unchanged(now: Stamp, before: Stamp) -> bool:
    """Is it for sure what it was?"""
    return now is not None and now == before


def names_in(folder: str) -> list[str] | None:
    """The names in a folder; ``None`` where it is a file."""
    try:
        return os.listdir(folder)
    except NotADirectoryError:
        return None
    except (OSError, ValueError):
        return []


def read(path: str, limit: int) -> bytes | None:
    """The file's first bytes, at most one more than the limit; ``None`` where it has none."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(limit + 1)
    except (OSError, ValueError):
        return None
