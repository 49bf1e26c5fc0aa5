"""What a GGUF file says of itself, read and checked before any native code sees the file.

A model file is input from outside, and the native reader was written for good ones. So the header
is read here first: every count, length, type and offset is held against a bound or against the
file's real size, and anything that does not fit is a ``ProtocolError`` of kind
``model_file_invalid``. Long lists (a vocabulary) are passed over, not kept.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from operator import attrgetter
from typing import TYPE_CHECKING, Any, BinaryIO, Union

import attrs

from multitap.errors import ProtocolError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ("Header", "Tensor", "parse_header", "read_header")

Scalar = Union[int, float, bool, str]

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_KEYS = 65_536
MOST_TENSORS = 131_072
LONGEST_NAME = 65_535
LONGEST_TENSOR_NAME = 256
LONGEST_TEXT = 16 * 1024 * 1024
MOST_TEXT = 32 * 1024 * 1024
LARGEST_ALIGNMENT = 64 * 1024
DEFAULT_ALIGNMENT = 32
DEEPEST_LIST = 2
PIECE = 1024 * 1024

TEXT, LIST = 8, 9
NUMBERS: Mapping[int, struct.Struct] = {
    code: struct.Struct("<" + letter)
    for code, letter in zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True)
}

# numbers in a block: {tensor type: bytes of a block}
_BLOCKS: Mapping[int, Mapping[int, int]] = {
    1: {0: 4, 1: 2, 24: 1, 25: 2, 26: 4, 27: 8, 28: 8, 30: 2},
    32: {2: 18, 3: 20, 6: 22, 7: 24, 8: 34, 9: 36, 20: 18, 39: 17},
    64: {40: 36, 42: 18},
    128: {41: 18},
    256: {10: 84, 11: 110, 12: 144, 13: 176, 14: 210, 15: 292, 16: 66, 17: 74, 18: 98, 19: 50}
    | {21: 110, 22: 82, 23: 136, 29: 56, 34: 54, 35: 66},
}
TENSOR_TYPES = {
    code: (numbers, size) for numbers, types in _BLOCKS.items() for code, size in types.items()
}


@attrs.frozen
class Tensor:
    """One table of weights: where it lies, counted from the start of the file's data."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int
    size: int


@attrs.frozen(kw_only=True)
class Header:
    """The facts of one file.

    Attributes:
        facts: Keys and values; lists are left out.
        lengths: Keys whose value is a list, with the list's length.
        places: Where in the file each of these lists begins, for those who need one after all.
        tensors: Names of the weights.
        size: Bytes of the file.
    """

    facts: Mapping[str, Scalar] = attrs.field(repr=False)
    lengths: Mapping[str, int] = attrs.field(repr=False)
    places: Mapping[str, int] = attrs.field(factory=dict, repr=False, eq=False)
    tensors: frozenset[str] = attrs.field(repr=False)
    size: int

    def text(self, key: str) -> str:
        """A text fact, empty where there is none."""
        value = self.facts.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int | None:
        """A whole positive number, or ``None``."""
        value = self.facts.get(key)
        whole = isinstance(value, int) and not isinstance(value, bool)
        return value if whole and value > 0 else None  # type: ignore[operator, return-value]

    @property
    def architecture(self) -> str:
        """Such as ``llama``."""
        return self.text("general.architecture")

    def own(self, key: str) -> int | None:
        """A number that the architecture keeps under its own name."""
        return self.number(f"{self.architecture}.{key}")


def read_header(path: Path) -> Header:
    """Read and check a file's header; it is read again only when the file has changed.

    Raises:
        ProtocolError: It is no sound GGUF file; ``kind`` is ``model_file_invalid``.
        OSError: It cannot be read.
    """
    found = path.stat()
    return _read(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=128)
def _read(path: Path, size: int, _changed: int) -> Header:
    with path.open("rb") as file:
        return parse_header(file, size, path.name)


def parse_header(file: BinaryIO, size: int, name: str) -> Header:
    """Read and check the header of an open file of ``size`` bytes; see ``read_header``."""
    return _Reader(file, size, name).header()


class _Reader:
    """Reads forward through the header; never more than the file has."""

    def __init__(self, file: BinaryIO, size: int, name: str) -> None:
        self._file = file
        self._size = size
        self._name = name
        self._place = 0
        self._kept = 0

    def broken(self, what: str) -> ProtocolError:
        return ProtocolError(
            f"{self._name} is no sound GGUF file: {what}",
            hint="Download the file again and compare its checksum.",
            kind="model_file_invalid",
            phase="local",
        )

    # ---- pieces --------------------------------------------------------------------------------

    def take(self, length: int) -> bytes:
        data = self._file.read(length) if length <= self._size - self._place else b""
        if len(data) != length:
            raise self.broken(f"it ends within its header, at byte {self._place}")
        self._place += length
        return data

    def skip(self, length: int) -> None:
        if length > self._size - self._place:
            raise self.broken(f"a list of {length} bytes is longer than the file")
        self._file.seek(length, 1)
        self._place += length

    def number(self, code: int) -> Any:
        layout = NUMBERS[code]
        return layout.unpack(self.take(layout.size))[0]

    def length(self, most: int, what: str) -> int:
        value: int = self.number(10)
        if value > most:
            raise self.broken(f"{what} is {value}; the most is {most}")
        return value

    def text(self, longest: int) -> str:
        data = self.take(self.length(longest, "the length of a text"))
        self._kept += len(data)
        if self._kept > MOST_TEXT:
            raise self.broken("its texts are longer than 32 MiB")
        return data.decode("utf-8", "replace")

    # ---- the header ----------------------------------------------------------------------------

    def header(self) -> Header:
        tensor_count, key_count = self._opening()
        facts, lengths, places = self._facts(key_count)
        alignment = self._alignment(facts)
        tensors = [self._tensor() for _ in range(tensor_count)]
        start = -(-self._place // alignment) * alignment
        self._check_places(tensors, start, alignment)
        names = frozenset(tensor.name for tensor in tensors)
        if len(names) != len(tensors):
            raise self.broken("two of its tensors have one name")
        return Header(facts=facts, lengths=lengths, places=places, tensors=names, size=self._size)

    def _opening(self) -> tuple[int, int]:
        if self.take(4) != MAGIC:
            raise self.broken("it does not begin with GGUF")
        version = self.number(4)
        if version not in VERSIONS:
            big_endian = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
            what = (
                "it is written in big-endian order" if big_endian else f"its version is {version}"
            )
            raise self.broken(what)
        tensors = self.length(MOST_TENSORS, "the number of its tensors")
        return tensors, self.length(MOST_KEYS, "the number of its keys")

    def _facts(self, count: int) -> tuple[dict[str, Scalar], dict[str, int], dict[str, int]]:
        facts: dict[str, Scalar] = {}
        lengths: dict[str, int] = {}
        places: dict[str, int] = {}
        for _ in range(count):
            key = self.text(LONGEST_NAME)
            if key in facts or key in lengths:
                raise self.broken(f"the key {key[:80]!r} comes twice")
            code = self.number(4)
            if code == LIST:
                places[key] = self._place
                lengths[key] = self._pass_list()
            else:
                facts[key] = self._scalar(code)
        return facts, lengths, places

    def _scalar(self, code: int) -> Scalar:
        if code == TEXT:
            return self.text(LONGEST_TEXT)
        if code not in NUMBERS:
            raise self.broken(f"a value has the unknown type {code}")
        value: Scalar = self.number(code)
        return value

    def _pass_list(self, depth: int = 1) -> int:
        code, length = self.number(4), self.number(10)
        if code in NUMBERS:
            self.skip(length * NUMBERS[code].size)
        elif code == TEXT:
            self._pass_texts(length)
        elif code == LIST and depth < DEEPEST_LIST and length <= MOST_KEYS:
            for _ in range(length):
                self._pass_list(depth + 1)
        else:
            raise self.broken(f"a list has values of the type {code}")
        return int(length)

    def _pass_texts(self, count: int) -> None:
        """Pass over texts a piece of the file at a time: a vocabulary has hundreds of thousands."""
        if count * 8 > self._size - self._place:
            raise self.broken(f"a list of {count} texts is longer than the file")
        read_length = NUMBERS[10].unpack_from
        while count:
            piece, used = self._file.read(PIECE), 0
            while count and used + 8 <= len(piece):
                following = used + 8 + read_length(piece, used)[0]
                if following - used > LONGEST_TEXT + 8:
                    raise self.broken("a text is longer than 16 MiB")
                used, count = following, count - 1
            if not used:
                raise self.broken(f"it ends within its header, at byte {self._place}")
            self._go_to(self._place + used)

    def _go_to(self, place: int) -> None:
        if place > self._size:
            raise self.broken(f"a text reaches beyond its end, from byte {self._place}")
        self._file.seek(place)
        self._place = place

    # ---- the weights ---------------------------------------------------------------------------

    def _alignment(self, facts: Mapping[str, Scalar]) -> int:
        value = facts.get("general.alignment", DEFAULT_ALIGNMENT)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not 0 < value <= LARGEST_ALIGNMENT or value & (value - 1):  # type: ignore[operator]
            raise self.broken(f"its alignment is {str(value)[:20]}, which is no power of two")
        return int(value)

    def _tensor(self) -> Tensor:
        name = self.text(LONGEST_TENSOR_NAME)
        dimensions = self.number(4)
        if not 1 <= dimensions <= 4:
            raise self.broken(f"a tensor has {dimensions} dimensions")
        shape = tuple(self.number(10) for _ in range(dimensions))
        if min(shape) < 1:
            raise self.broken(f"the tensor {name[:80]!r} has a dimension of 0")
        code, offset = self.number(4), self.number(10)
        return Tensor(name, shape, code, offset, self._bytes_of(name, shape, code))

    def _bytes_of(self, name: str, shape: Sequence[int], code: int) -> int:
        if code not in TENSOR_TYPES:
            raise self.broken(f"the tensor {name[:80]!r} has the unknown type {code}")
        numbers, size = TENSOR_TYPES[code]
        if shape[0] % numbers:
            raise self.broken(f"rows of the tensor {name[:80]!r} are no multiple of {numbers}")
        return prod(shape) // numbers * size

    def _check_places(self, tensors: Sequence[Tensor], start: int, alignment: int) -> None:
        free = 0
        for tensor in sorted(tensors, key=attrgetter("offset")):
            if tensor.offset % alignment:
                raise self.broken(f"the tensor {tensor.name[:80]!r} is not aligned")
            if tensor.offset < free:
                raise self.broken(f"the tensor {tensor.name[:80]!r} overlaps another")
            free = tensor.offset + tensor.size
            if start + free > self._size:
                raise self.broken(f"the tensor {tensor.name[:80]!r} reaches beyond its end")
