r"""A server's good answer, taken apart so that it can be broken in a known place.

>>> raw = b'HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{"t": "Paris"}'
>>> good = GoodAnswer(raw)
>>> good.streamed, good.records, good.changed(b"Paris", b"Lyon").body
(False, (b'{"t": "Paris"}',), b'{"t": "Lyon"}')
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from multitap.testing.received import header_lines, unchunked

__all__ = ("LAST_CHUNK", "GoodAnswer", "chunk", "error_object")

LAST_CHUNK = b"0\r\n\r\n"
_FRAMING = ("content-length", "transfer-encoding")
_EVENT = re.compile(rb"(?s).*?(?:\r\n\r\n|\n\n|\r\r)|.+\Z")
_LINE = re.compile(rb"[^\n]*\n|[^\n]+\Z")


def error_object(message: str, code: str) -> Any:
    """The body of a refusal as most servers write it.

    >>> error_object("Slow down", "rate_limit_exceeded")["error"]["message"]
    'Slow down'
    """
    return {"error": {"message": message, "type": code, "param": None, "code": code}}


def chunk(data: bytes) -> bytes:
    """One chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@attrs.frozen
class GoodAnswer:
    """The bytes of one good answer, and what has to be known to break it.

    Attributes:
        raw: Status line, headers and body, as the server sends them.
        word: A word in its text, where a fault is put into the text; once, in one record.
        refusal: Makes the JSON of a refusal of a message and a code, as this server writes it.
    """

    raw: bytes = attrs.field(repr=False)
    word: bytes = b"Paris"
    refusal: Callable[[str, str], Any] = error_object

    # ---- its parts -------------------------------------------------------------------------------

    @property
    def headers(self) -> dict[str, str]:
        """Its headers but for those of the framing; names in lower case."""
        return {name: value for name, value in self._head()[1].items() if name not in _FRAMING}

    @property
    def body(self) -> bytes:
        """Its body, without chunks."""
        rest = self.raw.partition(b"\r\n\r\n")[2]
        chunked = "chunked" in self._head()[1].get("transfer-encoding", "")
        return unchunked(rest)[0] if chunked else rest

    @property
    def kind(self) -> str:
        """The content type, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip()

    @property
    def streamed(self) -> bool:
        """Is it one of many records?"""
        return self.kind in ("text/event-stream", "application/x-ndjson")

    @property
    def records(self) -> tuple[bytes, ...]:
        """Its events or lines, each with its end; a JSON value is one record."""
        if not self.streamed:
            return (self.body,)
        pattern = _EVENT if self.kind == "text/event-stream" else _LINE
        return tuple(pattern.findall(self.body))

    @property
    def ping(self) -> bytes:
        """What says nothing in this form."""
        return b": ping\n\n" if self.kind == "text/event-stream" else b"\n"

    @property
    def half(self) -> tuple[bytes, ...]:
        """The records up to the middle; of a JSON value its first half."""
        if self.streamed:
            return self.records[: len(self.records) // 2]
        return (self.body[: len(self.body) // 2],)

    # ---- other answers made of it ----------------------------------------------------------------

    def head(self, status: str = "200 OK", **headers: str) -> bytes:
        """Status line and headers, without framing; names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{name}: {value}" for name, value in {**self.headers, **named}.items()]
        return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")

    def begun(self, *records: bytes) -> bytes:
        """Head and these records, with more to come: in chunks."""
        return self.head(transfer_encoding="chunked") + b"".join(map(chunk, filter(None, records)))

    def of(self, records: Iterable[bytes], **headers: str) -> bytes:
        """A whole answer of these records: in chunks, or with its length where it is one value."""
        if self.streamed:
            body = b"".join(map(chunk, filter(None, records)))
            return self.head(transfer_encoding="chunked", **headers) + body + LAST_CHUNK
        body = b"".join(records)
        return self.head(content_length=str(len(body)), **headers) + body

    def changed(self, old: bytes, new: bytes) -> GoodAnswer:
        """The same with something in its body put in the place of something else, once."""
        if old not in self.body:
            raise ValueError(f"{old!r} does not stand in the answer")
        body = self.body.replace(old, new, 1)
        framed = self.head(content_length=str(len(body))) + body
        return attrs.evolve(self, raw=framed, word=self.word if self.word in body else new)

    def said(self, text: bytes) -> GoodAnswer:
        """The same with other bytes in the place of its word."""
        return self.changed(self.word, text)

    def with_member(self, member: bytes) -> GoodAnswer:
        """The same with one more member in the record that holds the word."""
        record = next(record for record in self.records if self.word in record)
        return self.changed(record, record.replace(b"{", b"{%b," % member, 1))

    def _head(self) -> tuple[str, dict[str, str]]:
        return header_lines(self.raw.partition(b"\r\n\r\n")[0])
