"""Where to cut an input, and the pieces that it falls into."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar

__all__ = ("cuts_of", "pieces_of")

S = TypeVar("S", bound=Sequence[Any])
EVERY_UP_TO = 8192


def pieces_of(data: S, cuts: Sequence[int]) -> list[S]:
    """The data, cut at these positions.

    >>> pieces_of(b"hello", [1, 4])
    [b'h', b'ell', b'o']
    """
    sliced: Any = data
    return [sliced[a:b] for a, b in pairwise([0, *cuts, len(data)])]


def cuts_of(
    size: int, *, seed: int = 0, every_up_to: int = EVERY_UP_TO, sets: int = 64
) -> Iterator[tuple[int, ...]]:
    """Where to cut an input of this size: each set of positions makes one run.

    Args:
        size: Bytes, or events.
        seed: Makes other sets; the same seed makes the same ones.
        every_up_to: Up to this size, every single cut there is.
        sets: Above it, so many sets of 1 to 64 cuts.

    >>> list(cuts_of(4))
    [(1,), (2,), (3,)]
    """
    if size <= every_up_to:
        yield from ((place,) for place in range(1, size))
        return
    chance = random.Random(seed)  # noqa: S311  # nothing here is a secret
    for _ in range(sets):
        yield tuple(sorted(chance.sample(range(1, size), chance.randint(1, 64))))
