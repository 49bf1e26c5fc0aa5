"""An answer with one of its values changed, to see whether a plugin looks at it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ("Place", "changed", "places_of", "value_at")

Place = tuple[int, tuple[Any, ...]]
"""The number of a line, and the keys that lead to a value in it."""


def places_of(body: bytes, most: int = 40) -> list[Place]:
    """Where the values of a body are: of one JSON value, of lines, or of server-sent events."""
    return [
        (number, keys)
        for number, (_, value) in enumerate(_lines(body))
        for keys, _ in walked(value)
    ][:most]


def value_at(body: bytes, place: Place) -> Any:
    """The value at a place."""
    number, keys = place
    value = list(_lines(body))[number][1]
    for key in keys:
        value = value[key]
    return value


def changed(body: bytes, place: Place, value: Any) -> bytes:
    """The body with another value at one place."""
    number, keys = place
    lines = list(_lines(body))
    before, data = lines[number]
    lines[number] = (before, _put(data, keys, value))
    return b"\n".join(b"%b%b" % (b, _written(v)) for b, v in lines)


def walked(value: Any, keys: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The values of a JSON value, and how to get there; of a long list only the first two."""
    if keys:
        yield keys, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walked(item, (*keys, key))
    elif isinstance(value, list):
        for key, item in enumerate(value[:2]):
            yield from walked(item, (*keys, key))


NO_JSON = object()


def _lines(body: bytes) -> Iterator[tuple[bytes, Any]]:
    """What stands before a line's value, and the value; a line without one is all before it."""
    whole = _value(body)
    if whole is not NO_JSON:
        yield b"", whole
        return
    for line in body.split(b"\n"):
        start = b"data: " if line.startswith(b"data: ") else b""
        value = _value(line.removeprefix(start))
        yield (line, NO_JSON) if value is NO_JSON else (start, value)


def _value(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return NO_JSON


def _written(value: Any) -> bytes:
    return b"" if value is NO_JSON else json.dumps(value).encode()


def _put(value: Any, keys: tuple[Any, ...], new: Any) -> Any:
    if not keys:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[keys[0]] = _put(copied[keys[0]], keys[1:], new)
    return copied
