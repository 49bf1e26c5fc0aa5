"""Faults of HTTP and of the encodings around the answer: heads, lengths, chunks, compression."""

from __future__ import annotations

import gzip
import zlib

from multitap.testing.answers import respond
from multitap.testing.faults.good import LAST_CHUNK, GoodAnswer, chunk
from multitap.testing.faults.script import fault_script
from multitap.testing.steps import Script, client_closed, close, repeat, send

__all__ = (
    "bad_chunk_size",
    "cut_chunk",
    "endless_headers",
    "endless_informational",
    "gzip_bomb",
    "gzip_cut",
    "html_page",
    "html_refusal",
    "length_and_chunks",
    "other_type",
    "short_body",
    "stacked_encoding",
    "two_lengths",
    "unknown_encoding",
)

MIB = 1 << 20
PAGE = "<!DOCTYPE html><html><head><title>Bad Gateway</title></head><body>nginx</body></html>"
HTML = {"content-type": "text/html"}


@fault_script("C1")
def short_body(good: GoodAnswer) -> Script:
    """A body that is shorter than its length says."""
    head = good.head(content_length=str(len(good.body)))
    return [send(head + good.body[: len(good.body) // 2]), close]


@fault_script("C1")
def cut_chunk(good: GoodAnswer) -> Script:
    """A chunk that is shorter than its size says."""
    return [send(good.begun(good.body)[: -len(good.body) // 2]), close]


@fault_script("C6")
def endless_headers(good: GoodAnswer) -> Script:
    """One header after the other, for ever."""
    return [send("HTTP/1.1 200 OK\r\n"), repeat(send("x-more: of the same\r\n" * 50))]


@fault_script("C6")
def endless_informational(good: GoodAnswer) -> Script:
    """One `103 Early Hints` after the other, for ever."""
    return repeat(send("HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n"))


@fault_script("C7")
def other_type(good: GoodAnswer, kind: str = "text/plain") -> Script:
    """The good answer, called by another content type."""
    return send(good.of(good.records, content_type=kind))


@fault_script("C8")
def html_page(good: GoodAnswer) -> Script:
    """A page, with status 200."""
    return respond(200, HTML, PAGE)


@fault_script("C8")
def html_refusal(good: GoodAnswer, status: int = 502) -> Script:
    """A page with an error's status, as proxies write it."""
    return respond(status, HTML, PAGE)


@fault_script("C10")
def gzip_bomb(good: GoodAnswer, size: int = 64 * MIB) -> Script:
    """A small body that swells to very much."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b" " * MIB
    packed = b"".join(packer.compress(block) for _ in range(size // MIB)) + packer.flush()
    head = good.head(content_encoding="gzip", content_length=str(len(packed)))
    return [send(head + packed), client_closed]


@fault_script("C10")
def gzip_cut(good: GoodAnswer) -> Script:
    """Compressed data that ends too early, in a framing that is whole."""
    packed = gzip.compress(good.body)[:-12]
    return send(good.head(content_encoding="gzip", content_length=str(len(packed))) + packed)


@fault_script("C10")
def stacked_encoding(good: GoodAnswer) -> Script:
    """Compressed twice."""
    packed = gzip.compress(gzip.compress(good.body))
    return send(good.head(content_encoding="gzip, gzip", content_length=str(len(packed))) + packed)


@fault_script("C10")
def unknown_encoding(good: GoodAnswer) -> Script:
    """Compressed in a way that nobody asked for."""
    length = str(len(good.body))
    return send(good.head(content_encoding="br", content_length=length) + good.body)


@fault_script("C13")
def bad_chunk_size(good: GoodAnswer) -> Script:
    """A chunk whose size is no number, after half of the answer."""
    return [send(good.begun(*good.half) + b"many\r\n" + good.body), client_closed]


@fault_script("C13")
def length_and_chunks(good: GoodAnswer) -> Script:
    """A length and chunks at once."""
    head = good.head(content_length=str(len(good.body)), transfer_encoding="chunked")
    return [send(head + chunk(good.body) + LAST_CHUNK), client_closed]


@fault_script("C13")
def two_lengths(good: GoodAnswer) -> Script:
    """Two lengths that differ."""
    head = good.head(content_length=str(len(good.body)))
    other = head.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n")
    return [send(other + good.body), client_closed]
