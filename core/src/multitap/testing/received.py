"""The requests that a server was sent, found in the bytes of a connection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ("Inbox", "ReceivedRequest", "header_lines", "unchunked")

_LINE = re.compile(rb"([!-~]+) ([!-~]+) HTTP/1\.[01]")
_CHUNK = re.compile(rb"([0-9a-fA-F]+)[^\r\n]*\r\n")
_END = b"\r\n\r\n"


@attrs.frozen
class ReceivedRequest:
    """One request, as it came and taken apart.

    Attributes:
        raw: Its exact bytes, from the request line to the body's end.
        target: What was asked for, as it was sent: with the query.
        headers: Names in lower case; repeated ones are joined by a comma.
        body: Without its chunks, where it had some.
    """

    raw: bytes = attrs.field(repr=False)
    method: str
    target: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def json(self) -> Any:
        """The body's JSON value."""
        from json import loads

        return loads(self.body)


class Inbox:
    """Bytes that came and were not taken yet."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._wanted = 0  # no look at the bytes is worth it before there are so many

    def __len__(self) -> int:
        return len(self._bytes)

    def add(self, data: bytes) -> None:
        """Put in what came."""
        self._bytes += data

    def take(self, size: int) -> bytes:
        """Take out this many bytes, or what there is."""
        taken = bytes(self._bytes[:size])
        del self._bytes[:size]
        self._wanted = 0
        return taken

    def take_request(self) -> ReceivedRequest | None:
        """Take out a whole request; ``None``: more has to come. ``ValueError``: it is none."""
        if len(self._bytes) < self._wanted:
            return None
        start, line_end, _ = self._bytes.partition(b"\r\n")
        if line_end and not _LINE.fullmatch(start):
            raise ValueError(f"the client sent no request of HTTP/1.1: {bytes(start[:60])!r}")
        at = self._bytes.find(_END)
        return None if at < 0 else self._after_head(at + len(_END))

    def _after_head(self, start: int) -> ReceivedRequest | None:
        line, headers = header_lines(bytes(self._bytes[: start - len(_END)]))
        method, target, _ = line.split(" ")
        if headers.get("transfer-encoding", "").lower().endswith("chunked"):
            body, size, whole = unchunked(bytes(self._bytes[start:]))
        else:
            size = int(headers.get("content-length", 0))
            self._wanted = start + size
            whole = len(self._bytes) >= self._wanted
            body = bytes(self._bytes[start : start + size]) if whole else b""
        if not whole:
            return None
        return ReceivedRequest(self.take(start + size), method, target, headers, body)


def header_lines(head: bytes) -> tuple[str, dict[str, str]]:
    """The first line and the headers; names in lower case, repeated ones joined by a comma."""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return first, headers


def unchunked(data: bytes) -> tuple[bytes, int, bool]:
    """A chunked body's content, the bytes that it took, and whether its end was among them."""
    content: list[bytes] = []
    at = 0
    while found := _CHUNK.match(data, at):
        start, size = found.end(), int(found[1], 16)
        if not size:
            end = data.find(_END, start - 2)  # trailers may stand before it
            size = end + len(_END) if end >= 0 else len(data)
            return b"".join(content), size, end >= 0
        content.append(data[start : start + size])
        at = start + size + 2
    return b"".join(content), len(data), False
