"""Newline-delimited JSON."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from multitap.errors import BackendError
from multitap.framing.decoder import BOM, Decoder, T, V

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multitap.events import Failed

__all__ = ("NdjsonDecoder",)

_SPACE = re.compile(r"\s*")


class NdjsonDecoder(Decoder[V, T]):
    r"""One JSON value a line; several values on one line are read in order.

    Args:
        shape: The struct of one line.
        record: Turns one value into outputs.
        finish: What to put out at the end of the bytes.
        plain: What nearly every line looks like.
        limit: The longest line, in bytes.

    >>> import msgspec
    >>> class Line(msgspec.Struct):
    ...     word: str | None = None
    >>> decoder = NdjsonDecoder(Line, lambda line: [line.word])
    >>> decoder.feed(b'{"word": "one"}\n{"word": "t'), decoder.feed(b'wo"}'), decoder.finish()
    (['one'], [], ['two'])
    """

    media_types = frozenset(
        {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json"}
    )

    def _read(self, data: bytes, out: list[T | Failed]) -> None:
        end = data.rfind(b"\n") + 1
        if end:
            block = self._release(data[:end]) if self._held else data[:end]
            if self._is_plain(block) and self._put_lines(block, out):
                self._first = False
            else:
                self._lines(block, out)
        if end < len(data):
            self._hold(data[end:])
        if not self._over:
            self._check(self._held_size)

    def _read_rest(self, out: list[T | Failed]) -> None:
        self._lines(self._release(), out, last=True)

    def _is_plain(self, block: bytes) -> bool:
        """Does every line end stand between two objects?"""
        # no JSON value holds `}\n{`: a comma is missing, and a text has no bare line end
        return (
            len(block) <= self._limit
            and block.startswith(b"{")
            and block.endswith(b"}\n")
            and block.count(b"\n") == block.count(b"}\n{") + 1
        )

    def _lines(self, block: bytes, out: list[T | Failed], *, last: bool = False) -> None:
        for line in block.split(b"\n"):
            if self._over:
                return
            self._check(len(line))
            content = line.removeprefix(BOM) if self._first else line
            self._first = False
            if content.strip():
                self._put_all(self._values(content, last=last), out)

    def _values(self, line: bytes, *, last: bool) -> Iterable[V]:
        with suppress(BackendError):
            return [self._value(line, last=last)]
        return (self._value(piece, last=last) for piece in _glued(line))


def _glued(line: bytes) -> Iterator[bytes]:
    """The JSON values that follow each other on one line; what is no value comes last."""
    from json import JSONDecoder

    scan = JSONDecoder(strict=False).raw_decode
    text = line.decode("latin-1")  # one character a byte; JSON's own marks are ASCII
    at = _SPACE.match(text).end()  # type: ignore[union-attr]  # it matches everywhere
    while at < len(text):
        try:
            _, end = scan(text, at)
        except (ValueError, RecursionError):
            end = len(text)
        yield line[at:end]
        at = _SPACE.match(text, end).end()  # type: ignore[union-attr]
