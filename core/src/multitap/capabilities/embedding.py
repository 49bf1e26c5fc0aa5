"""Embedding: texts in, one vector for each out, in their order."""

from __future__ import annotations

import math
import sys
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from struct import error as StructError  # noqa: N812
from struct import pack
from typing import Any, Literal, Optional, Protocol, Union, overload

import attrs

from multitap.errors import NotSupported, ProtocolError
from multitap.events import Notice, Usage
from multitap.work import Work

__all__ = (
    "DeclaresEmbeddingOptions",
    "DeclaresMostTexts",
    "EmbeddingModel",
    "EmbeddingRequest",
    "Embeddings",
    "InputType",
    "Row",
    "Vectors",
    "check_width",
)

InputType = Literal["document", "query"]

Row = Union[Sequence[Optional[float]], bytes]
"""A vector: numbers, of which one may be missing, or float32 in the native byte order."""

LENGTH_TOLERANCE = 1e-3

_HIGHEST_BYTE = 3 if sys.byteorder == "little" else 0  # of a float32: sign, most of the exponent


class Vectors(Sequence[Sequence[float]]):
    """Rows of float32, in one block of memory; ``numpy.asarray(vectors)`` copies nothing.

    Args:
        data: ``n * width`` numbers of 4 bytes, native byte order.
        width: Numbers in a row.

    >>> vectors = Vectors.from_rows([[1.0, 2.0], [3.0, 4.0]])
    >>> len(vectors), vectors.width, list(vectors[1])
    (2, 2, [3.0, 4.0])
    """

    __slots__ = ("_numbers", "width")

    def __init__(self, data: bytes | bytearray | array[float], width: int) -> None:
        self._numbers: memoryview[float] = memoryview(data).cast("B").cast("f")
        self.width = width
        if width < 1 or len(self._numbers) % width:
            raise ValueError(f"{len(self._numbers)} numbers are not rows of {width}")

    @classmethod
    def from_rows(cls, rows: Iterable[Row | None]) -> Vectors:
        """From lists of numbers, or ``bytes`` that are float32 in the native byte order.

        Unequal length, NaN, infinity and null are a ``ProtocolError``.
        """
        known = list(rows)
        width = next((_length(row) for row in known if row is not None and len(row)), 1)
        for index, row in enumerate(known):
            if row is not None and _length(row) not in (0, width):
                raise ProtocolError(
                    f"Embedding {index} has {_length(row)} numbers, the first has {width}",
                    kind="embedding_invalid",
                )
        missing = pack("f", math.nan) * width
        return cls(bytearray().join(_float32(row) or missing for row in known), width).checked()

    @classmethod
    def from_numbered(cls, rows: Sequence[tuple[int | None, Row | None]], count: int) -> Vectors:
        """From what a server sends for ``count`` texts: each with its index, in any order.

        Where it numbers none of them they are in the order of the texts. Another number of them
        than of texts, a gap and an index twice are a ``ProtocolError``.

        >>> Vectors.from_numbered([(1, [2.0]), (0, [1.0])], 2)[0][0]
        1.0
        """
        places = [place if index is None else index for place, (index, _) in enumerate(rows)]
        if sorted(places) == list(range(count)):
            ordered = dict(zip(places, (row for _, row in rows), strict=True))
            return cls.from_rows(ordered[place] for place in range(count))
        raise _unsound(
            f"{count} texts gave {len(rows)} vectors, numbered {places[:8]}",
            _certain(rows) if len(rows) <= count else {},
        )

    @classmethod
    def joined(cls, parts: Sequence[Vectors]) -> Vectors:
        """The rows of all parts, in order; parts of unequal width are a ``ProtocolError``.

        >>> Vectors.joined([Vectors.from_rows([[1.0]]), Vectors.from_rows([[2.0], [3.0]])])
        <Vectors 3 × 1>
        """
        widths = sorted({part.width for part in parts})
        if len(widths) > 1:
            message = f"The backend gave vectors of {widths[0]} and of {widths[-1]} numbers"
            raise ProtocolError(message, kind="embedding_invalid")
        if len(parts) == 1:
            return parts[0]
        return cls(bytearray().join(part.data for part in parts), widths[0])

    def checked(self) -> Vectors:
        """Itself, or a ``ProtocolError`` that names the first row with NaN or infinity."""
        whole = self._numbers.obj
        if not isinstance(whole, bytearray) or len(whole) != self._numbers.nbytes:
            whole = bytes(self._numbers)
        highest = whole[_HIGHEST_BYTE::4]
        if 0x7F not in highest and 0xFF not in highest:  # below 1.7e38: two passes in C
            return self
        rows = {i: row if all(map(math.isfinite, row)) else None for i, row in enumerate(self)}
        bad = next((i for i, row in rows.items() if row is None), None)
        if bad is not None:
            which = f"Embedding {bad}" if len(rows) > 1 else "The embedding"
            raise _unsound(f"{which} is not finite", rows)
        return self

    @property
    def data(self) -> memoryview[float]:
        """All numbers, row after row."""
        return self._numbers

    @property
    def __array_interface__(self) -> dict[str, Any]:
        shape = (len(self), self.width)
        return {"version": 3, "shape": shape, "typestr": "=f4", "data": self._numbers}

    def __len__(self) -> int:
        return len(self._numbers) // self.width

    @overload
    def __getitem__(self, index: int) -> Sequence[float]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sequence[float]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = range(len(self))[index]
        return self._numbers[row * self.width : (row + 1) * self.width]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vectors):
            return NotImplemented
        return self.width == other.width and self._numbers == other._numbers

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Vectors {len(self)} × {self.width}>"


@attrs.frozen(kw_only=True)
class EmbeddingRequest:
    """Texts to embed.

    Attributes:
        model: The model's id at this backend.
        texts: At least one, none of them empty.
        dimensions: Numbers in a vector; ``None``: the model's own.
        input_type: Whether these are documents or queries, for models that tell them apart.
    """

    model: str
    texts: tuple[str, ...] = attrs.field(repr=False)
    dimensions: int | None = None
    input_type: InputType | None = None


@attrs.frozen(kw_only=True)
class Embeddings:
    """Vectors, in the order of the texts, and what they cost.

    Attributes:
        model: The model that the server says it used.
        warnings: What was asked for and could not be honoured; the runtime fills it in.
        attempts: Every try of every request that was made for them; the runtime fills it in.
    """

    vectors: Vectors = attrs.field(validator=attrs.validators.instance_of(Vectors))
    usage: Usage = attrs.field(factory=Usage)
    model: str | None = None
    warnings: tuple[Notice, ...] = ()
    attempts: tuple[Any, ...] = attrs.field(default=(), eq=False, repr=False)

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""
        return self.vectors.width

    @property
    def normalized(self) -> bool:
        """Has every vector the length 1? It may be off by 0.001, which half precision needs.

        >>> Embeddings(vectors=Vectors.from_rows([[0.6, 0.8], [1.0, 0.0]])).normalized
        True
        >>> Embeddings(vectors=Vectors.from_rows([[0.6, 0.8], [1.0, 1.0]])).normalized
        False
        """
        return all(abs(math.hypot(*row) - 1.0) <= LENGTH_TOLERANCE for row in self.vectors)


class EmbeddingModel(Protocol):
    """Implemented by a plugin; stateless and safe to share between threads."""

    def embed(self, request: EmbeddingRequest, /) -> Work[Embeddings]:
        """Work with one result, a vector for each text."""
        ...


class DeclaresEmbeddingOptions(Protocol):
    """Optional: which of ``dimensions`` and ``input_type`` are sent; the others are warned of."""

    @property
    def options(self) -> Collection[str]:
        """Names of ``EmbeddingRequest``'s fields that reach the server, or are refused there."""
        ...


class DeclaresMostTexts(Protocol):
    """An embedding model may say how many texts one request may have; the runtime sends no more.

    Where none is declared the runtime sends 512, and fewer once the server has refused that.
    """

    @property
    def most_texts(self) -> int | None:
        """How many; ``None``: the server has no limit that is known."""
        ...


def _length(row: Row) -> int:
    return len(row) // 4 if isinstance(row, bytes) else len(row)


def _float32(row: Row | None) -> bytes | None:
    """The row as it is kept; ``None`` where it is missing, or a number in it."""
    if row is None or isinstance(row, bytes):
        return row
    try:
        return pack(f"{len(row)}f", *row)
    except StructError:
        return None


def _certain(rows: Sequence[tuple[int | None, Row | None]]) -> Mapping[int, Sequence[float] | None]:
    """Those whose text is known: the server says its index, and says it once."""
    times = Counter(index for index, _ in rows)
    named = {index: _float32(row) for index, row in rows if index is not None and times[index] < 2}
    vectors = {i: memoryview(row or b"").cast("f") for i, row in named.items()}
    return {i: row if row and all(map(math.isfinite, row)) else None for i, row in vectors.items()}


def _unsound(message: str, rows: Mapping[int, Sequence[float] | None]) -> ProtocolError:
    """An answer of which some rows may be used; ``None``: one that came, and is no vector."""
    error = ProtocolError(message, kind="embedding_invalid")
    error.partial = rows
    return error


def check_width(vectors: Vectors, dimensions: int | None) -> None:
    """Refuse vectors of another width than was asked for.

    Raises:
        NotSupported: The server ignored ``dimensions``, or gives fewer.
    """
    if dimensions not in (None, vectors.width):
        raise NotSupported(
            f"The model gives {vectors.width} dimensions, not {dimensions}",
            hint="Leave dimensions out, ask for fewer than the model has, or ask another model.",
            kind="dimensions_unsupported",
        )
