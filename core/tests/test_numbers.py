"""Vectors written in digits: with simdjson or without it, the result is the same."""

from __future__ import annotations

import json
import math
import struct
import sys
from typing import Generic, TypeVar

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from multitap.capabilities.embedding import Vectors
from multitap.dialects import numbers
from multitap.events import Failed

Vector = TypeVar("Vector")


class Reply(msgspec.Struct, Generic[Vector]):
    vectors: list[Vector] | None = None
    model: str | None = None


def read(data):
    """What a body gives: its vectors to the last bit, or what is wrong with them."""
    decoder = numbers.VectorsDecoder(Reply, "vectors", lambda reply: [seen(reply)])
    (found,) = [*decoder.feed(data), *decoder.finish()]
    return (found.error.kind, found.error.message) if isinstance(found, Failed) else found


def seen(reply):
    vectors = [vector or None for vector in reply.vectors or ()]
    rows = [Vectors.from_rows([vector]).data.tobytes() for vector in vectors]
    return rows, reply.model


def read_exactly(data, monkeypatch):
    with monkeypatch.context() as without:
        without.setattr(numbers, "_is_installed", lambda: False)
        return read(data)


def as_json_reads(vector):
    """The float32 of what the standard library reads."""
    return struct.pack(f"{len(vector)}f", *json.loads(json.dumps(vector)))


def most(exponent):
    return st.floats(-(2.0**exponent), 2.0**exponent)


@given(st.lists(st.lists(most(127) | st.integers(-(2**63), 2**64 - 1), min_size=1), min_size=1))
@example([[0.1, -0.0, 5e-324, 1e-45, 7.006492321624085e-46, 1.1754943508222875e-38]])
@example([[16777217, 9007199254740993, 16777216.999999999, 3.4028234663852886e38 / 4]])
def test_every_number_is_the_float32_that_json_reads(vectors):
    data = json.dumps({"model": "m", "vectors": vectors}).encode()
    assert read(data) == ([as_json_reads(vector) for vector in vectors], "m")


def test_the_fast_way_is_taken(monkeypatch):
    """Else all the others would compare the exact way with itself."""
    monkeypatch.setattr(numbers.JsonDecoder, "_value", None)
    assert read(b'{"vectors": [[1, 0.5], [2, 3]]}')[0] == [
        struct.pack("2f", 1, 0.5),
        struct.pack("2f", 2, 3),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b'{"vectors": [[1, 2.5]], "model": "a [b]"}',
        b'{"vectors": [[1, 123456789012345678901234567890]]}',
        b'{"vectors": [[1, 1e39], [2, 1]]}',
        b'{"vectors": [[1, 1e400]]}',
        b'{"vectors": [[1, null]]}',
        b'{"vectors": [[1], null]}',
        b'{"vectors": [[1], []]}',
        b'{"vectors": [[1, [2]]]}',
        b'{"vectors": [[[1], [2]]]}',
        b'{"vectors": [[1, "2"]]}',
        b'{"vectors": [[1, true]]}',
        b'{"vectors": [[1, NaN]]}',
        b'{"vectors": [[1, 2.]]}',
        b'{"vectors": [[1, 2,]]}',
        b'{"vectors": [3, {}]}',
        b'{"vectors": []}',
        b'{"vectors": null}',
        b'{"model": "m"}',
        b'{"vectors": [[1, 2',
        b'{"vectors": [[1]], "model": 3}',
        b"[]",
        b"\xff",
    ],
)
def test_whatever_is_unusual_is_read_or_refused_as_without_it(data, monkeypatch):
    assert read(data) == read_exactly(data, monkeypatch)


@pytest.mark.parametrize("missing", ["simdjson", "numpy"])
def test_both_libraries_have_to_be_there(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    numbers._is_installed.cache_clear()
    try:
        assert read(b'{"vectors": [[1, 0.5]]}')[0] == [struct.pack("2f", 1, 0.5)]
    finally:
        numbers._is_installed.cache_clear()


def test_infinity_is_refused_without_a_warning():
    assert read(b'{"vectors": [[1, 1e39]]}') == ("embedding_invalid", "The embedding is not finite")
    assert math.isinf(struct.unpack("f", numbers._float32([msgspec.Raw(b"[1e39]")])[0])[0])
