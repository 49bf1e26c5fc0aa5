"""What a server was sent, as text and as the leaves of its values, so that two can be compared."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from multitap.testing.received import ReceivedRequest

__all__ = ("Sent", "added", "changed", "holds", "leaves_of", "sent_by")

ENGINES = frozenset({"host", "content-length", "user-agent", "accept", "accept-encoding"})
"""Headers that are the engine's own."""

Leaves = Mapping[str, Any]


@attrs.frozen
class Sent:
    """One request.

    Attributes:
        text: Its body, with every character as itself; the target, where there is none.
        leaves: Every value in it, by its place: ``body.options.seed``, ``header.x-region``.
    """

    text: str
    leaves: Leaves = attrs.field(repr=False)


def sent_by(request: ReceivedRequest, read: Callable[[bytes], object]) -> Sent:
    """A request, taken apart; ``read`` gives the values of a body, as a suite's own does."""
    headers = {f"header.{n}": v for n, v in request.headers.items() if n not in ENGINES}
    leaves = {"target": request.target, **headers}
    if not request.body:
        return Sent(request.target, leaves)
    value = read(request.body)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return Sent(text, {**leaves, **dict(leaves_of(value, "body"))})


def leaves_of(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every text, number, boolean and ``None`` in a JSON value, with its place.

    >>> dict(leaves_of({"a": [1, {"b": None}]}))
    {'a.0': 1, 'a.1.b': None}
    """
    steps: Any = ()
    if isinstance(value, Mapping):
        steps = value.items()
    elif isinstance(value, (list, tuple)):
        steps = enumerate(value)
    else:
        yield at, value
    for step, below in steps:
        yield from leaves_of(below, f"{at}.{step}" if at else str(step))


def changed(before: Leaves, after: Leaves) -> dict[str, Any]:
    """What stands in a request, and did not in another, or differently; what went is ``None``.

    >>> changed({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 0})
    {'b': 3, 'c': 0}
    """
    gone = {place: None for place in before if place not in after}
    return {**{p: v for p, v in after.items() if p not in before or _differ(before[p], v)}, **gone}


def added(before: Leaves, after: Leaves) -> dict[str, Any]:
    """What stands in a request at a place that the other has not."""
    return {place: value for place, value in after.items() if place not in before}


def holds(value: Any, before: Leaves, after: Leaves) -> bool:
    """Is a value among what changed: as it is, or as a word of a new line where all is one text?

    >>> holds(17, {"body": "user: hi"}, {"body": "limit: 17\\nuser: hi"})
    True
    """
    lines = str(before.get("body", "")).splitlines()
    new = [line for line in str(after.get("body", "")).splitlines() if line not in lines]
    word = rf"(?<![\w.]){re.escape(str(value))}(?![\w.])"
    return value in changed(before, after).values() or any(re.search(word, line) for line in new)


def _differ(one: Any, two: Any) -> bool:
    """Is it another value? ``0`` and ``False`` are two."""
    return type(one) is not type(two) or bool(one != two)
