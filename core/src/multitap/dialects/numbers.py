"""Bodies that are mostly numbers: vectors that a server writes in digits.

The extra ``multitap[simdjson]`` brings two libraries that read them without a Python object for
each number: simdjson, and numpy, which makes float32 of its doubles. What they do not read as a
list of numbers is left to msgspec, which reads everything where they are not installed.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Optional, TypeVar

import msgspec

from multitap.framing import JsonDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from multitap.framing.decoder import Outputs

__all__ = ("Numbers", "Vector", "VectorsDecoder")

Numbers = Optional[list[Optional[float]]]
"""A vector as it is written; null where it, or a number of it, is missing."""

Vector = TypeVar("Vector")
"""What one vector is, in the struct of a body."""


class VectorsDecoder(JsonDecoder[Any, Any]):
    """A whole body with a list of vectors.

    Args:
        shape: The struct of the body, generic in ``Vector``.
        field: Its field with the vectors; each is read as ``Numbers``, or as ``bytes`` of float32.
        record: Turns the value into outputs.

    >>> from typing import Generic
    >>> class Reply(msgspec.Struct, Generic[Vector]):
    ...     embeddings: list[Vector] = []
    >>> decoder = VectorsDecoder(Reply, "embeddings", lambda reply: [len(reply.embeddings)])
    >>> decoder.feed(b'{"embeddings": [[0.5, 1], [2, 3]]}'), decoder.finish()
    ([], [2])
    """

    def __init__(self, shape: Any, field: str, record: Callable[[Any], Outputs[Any]]) -> None:
        super().__init__(shape[Numbers], record)
        self._field = field
        self._unread = msgspec.json.Decoder(shape[msgspec.Raw]) if _is_installed() else None

    def _value(self, data: bytes, *, last: bool = False) -> Any:
        if self._unread is not None:
            with suppress(Exception):  # the exact way says what is wrong, if anything is
                value = self._unread.decode(data)
                setattr(value, self._field, _float32(getattr(value, self._field)))
                return value
        return super()._value(data, last=last)


@cache
def _is_installed() -> bool:
    return all(map(find_spec, ("simdjson", "numpy")))


def _float32(vectors: Iterable[msgspec.Raw]) -> list[bytes]:
    """Each vector as the float32 that its numbers are nearest to."""
    np: Any = import_module("numpy")  # of an extra, as the other: no types to look for
    parser: Any = import_module("simdjson").Parser()
    with np.errstate(over="ignore"):  # what is too large is infinity, and refused as such
        doubles = (np.frombuffer(_doubles(parser, bytes(vector)), "d") for vector in vectors)
        return [numbers.astype("f").tobytes() for numbers in doubles]


def _doubles(parser: Any, vector: bytes) -> Any:
    if vector.find(b"[", 1) > 0:
        raise ValueError("a list within it would be read as a part of it")
    return parser.parse(vector).as_buffer(of_type="d")
