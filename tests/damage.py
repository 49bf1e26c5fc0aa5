"""What may happen to the bytes of an answer: each mutation takes them and a ``random.Random``."""

from __future__ import annotations

import random
import re
from collections import defaultdict

VALUES = (
    *(b"null", b"true", b"[]", b"{}", b'""', b"1", b"-1", b"0.5", b"1e999", b"9" * 30, b"9" * 5000),
    *(b'"a"', b'"nan"', b'"' + b"9" * 5000 + b'"', b"[1]", b"[" * 2000, b'{"a":1}'),
    *(b'[null,{"text":7}]', b'"context length 4096 tokens > "', b'"[DONE]"', b"\xff\xfe"),
    *(b'"\\ud800"', b'"<think>"', b'"stop"', b'"tool_calls"', b'"error"', b'"length"'),
)
PIECES = (
    *(b"\n", b"\r\n", b"\n\n", b"\r", b"\x00", b"\xef\xbb\xbf", b"data: ", b"data: [DONE]\n\n"),
    *(b"event: error\n", b"error: {", b":\n", b'{"error":"x"}\n', b'data: {"error":{}}\n\n'),
    *(b"}", b'"', b"\\", b"\xf0\x9f", b"<html>", b"\ndata: null\n\n", b"data: []\n\n", b"{}"),
)
_MEMBER = re.compile(rb'("[^"\\]*")\s*:\s*("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null)')


def _span(data, chance, most=64):
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + chance.randint(1, most))


def flip(data, chance):
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def delete(data, chance):
    start, end = _span(data, chance)
    return data[:start] + data[end:]


def insert(data, chance):
    at = chance.randrange(len(data) + 1)
    piece = chance.choice((*PIECES, chance.randbytes(chance.randint(1, 16))))
    return data[:at] + piece + data[at:]


def duplicate(data, chance):
    start, end = _span(data, chance, most=600)
    return data[:end] + data[start:end] + data[end:]


def swap(data, chance):
    (a, b), (c, d) = sorted([_span(data, chance), _span(data, chance)])
    return data if b > c else data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def truncate(data, chance):
    return data[: chance.randrange(len(data) + 1)]


def noise(data, chance):
    start, end = _span(data, chance)
    return data[:start] + chance.randbytes(end - start) + data[end:]


def value(data, chance):
    """Another value of some member; each name is as likely as any, however often it comes."""
    found = defaultdict(list)
    for member in _MEMBER.finditer(data):
        found[member[1]].append(member.span(2))
    if not found:
        return chance.choice(VALUES)
    start, end = chance.choice(found[chance.choice(sorted(found))])
    return data[:start] + chance.choice(VALUES) + data[end:]


def replace(data, chance):
    return chance.randbytes(chance.randint(0, 200))


MUTATIONS = (flip, delete, insert, duplicate, swap, truncate, noise, value, value, value, replace)


def damaged(data, damage):
    """The data after these mutations, each with its seed."""
    for mutation, seed in damage:
        data = mutation(data, random.Random(seed))
    return data
