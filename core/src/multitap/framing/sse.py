"""Server-sent events."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from multitap.errors import EngineError, ProtocolError
from multitap.excerpt import excerpt
from multitap.framing.decoder import (
    BOM,
    MIB,
    Decoder,
    Outputs,
    Plain,
    T,
    V,
    without_lone_surrogates,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from multitap.events import Failed

__all__ = ("SseDecoder",)

_DONE = b"[DONE]"
_DONE_EVENT = b"data: [DONE]\n\n"
_BETWEEN, _GLUE = b"}\n\ndata: {", b"}\n{"
_OF_ERRORS = frozenset({"code", "detail", "error", "error_type", "errors", "message", "msg"})
_LINE_END = re.compile(rb"\r\n|\r|\n")


class SseDecoder(Decoder[V, T]):
    r"""Server-sent events whose data is JSON.

    ``data: [DONE]`` ends the stream: nothing after it is read. What a server says outside of its
    records (``event: error``, an ``error:`` field, a bare JSON line) is handed to ``record`` as
    ``{"error": …}``; if that puts out no failure, the decoder does. A JSON object in which nothing
    is called an error is no event, and a ``ProtocolError``.

    Args:
        shape: The struct of one event's data.
        record: Turns one value into outputs.
        finish: What to put out at ``[DONE]``, or at the end of the bytes without it.
        plain: What nearly every record looks like.
        limit: The longest line and the longest event, in bytes.
        event_field: The field of ``shape`` that takes the event's name, where it has one.

    >>> import msgspec
    >>> class Chunk(msgspec.Struct):
    ...     word: str | None = None
    >>> decoder = SseDecoder(Chunk, lambda chunk: [chunk.word], finish=lambda: ["end"])
    >>> decoder.feed(b'data: {"word": "one"}\n\ndata: {"word"'), decoder.feed(b': "two"}\n\n')
    (['one'], ['two'])
    >>> decoder.feed(b'data: [DONE]\n\n'), decoder.finish()
    (['end'], [])
    """

    media_types = frozenset({"text/event-stream"})

    def __init__(
        self,
        shape: type[V],
        record: Callable[[V], Outputs[T]],
        *,
        finish: Callable[[], Outputs[T]] | None = None,
        plain: Plain[Any, T] | None = None,
        limit: int = 16 * MIB,
        event_field: str | None = None,
    ) -> None:
        super().__init__(shape, record, finish=finish, plain=plain, limit=limit)
        self._event_field = event_field
        self._by_line = False  # once a CR was seen, a blank line is no longer just two line feeds
        self._after_cr = False
        self._name = b""
        self._data: list[bytes] = []
        self._bare: list[bytes] = []
        self._size = 0

    def _read(self, data: bytes, out: list[T | Failed]) -> None:
        if self._by_line or b"\r" in data:
            self._by_line = True
            self._read_lines(data, out)
            return
        end = data.rfind(b"\n\n") + 2
        if end == 1 and not (data.startswith(b"\n") and self._held_ends_a_line()):
            end = 0
        if end:
            block = data[:end]
            self._read_block(self._release(block) if self._held else block, out)
        if end < len(data):
            self._hold(data[end:])
        if self._held_size > self._limit and not self._over:
            self._by_line = True
            self._lines(self._release(), out)

    def _held_ends_a_line(self) -> bool:
        return bool(self._held) and self._held[-1].endswith(b"\n")

    def _read_lines(self, data: bytes, out: list[T | Failed]) -> None:
        if b"\n" in data or b"\r" in data:
            self._lines(self._release(data), out)
        else:
            self._hold(data)
            self._check(self._held_size)

    def _read_rest(self, out: list[T | Failed]) -> None:
        self._lines(self._release(), out)
        if not self._over:
            self._line(self._release(), out)
        if not self._over:
            self._dispatch(out, last=True)

    # ---- many events at once ---------------------------------------------------------------------

    def _read_block(self, block: bytes, out: list[T | Failed]) -> None:
        done = block.endswith(_DONE_EVENT)
        records = self._records(block[: -len(_DONE_EVENT)] if done else block)
        if records is None or not self._put_lines(_GLUE.join(records), out, len(records)):
            self._lines(block, out)
            return
        self._first = False
        if done:
            self._end(out)

    def _records(self, block: bytes) -> list[bytes] | None:
        """What a block is cut into that is only ``data: {…}`` lines and blank lines."""
        if not block:
            return []
        records = block[6:-2].split(_BETWEEN)
        plain = (
            len(block) <= self._limit
            and block.startswith(b"data: {")
            and block.endswith(b"}\n\n")
            and block.count(b"\n") == 2 * len(records)
        )
        return records if plain else None

    # ---- one line at a time ----------------------------------------------------------------------

    def _lines(self, data: bytes, out: list[T | Failed]) -> None:
        if self._after_cr:
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        *lines, rest = _LINE_END.split(data)
        for line in lines:
            self._check(len(line))
            self._line(line, out)
            if self._over:
                return
        self._hold(rest)
        self._check(self._held_size)

    def _line(self, line: bytes, out: list[T | Failed]) -> None:
        if self._first:
            line = line.removeprefix(BOM)
            self._first = False
        if not line:
            self._dispatch(out)
        elif line.startswith((b"{", b"[")) or (
            self._bare and not line.startswith((b"data:", b":"))
        ):
            self._keep(self._bare, line)
        else:  # a comment is a field without a name
            name, _, value = line.partition(b":")
            self._field(name, value.removeprefix(b" "), out)

    def _field(self, name: bytes, value: bytes, out: list[T | Failed]) -> None:
        if name == b"event":
            self._name = value
        elif name == b"error":
            self._dispatch(out)
            self._hand_on(value, out)
        elif name == b"data":
            if self._bare:
                self._dispatch(out)
            self._keep(self._data, value)

    def _keep(self, lines: list[bytes], line: bytes) -> None:
        lines.append(line)
        self._size += len(line)
        self._check(self._size)

    def _dispatch(self, out: list[T | Failed], *, last: bool = False) -> None:
        data, bare, name = b"\n".join(self._data), b"\n".join(self._bare), self._name
        self._data, self._bare, self._name, self._size = [], [], b"", 0
        if data.startswith(_DONE):
            self._end(out)
        elif name == b"error" and data:
            self._hand_on(data, out)
        elif data.strip() and not (last and _DONE.startswith(data)):
            self._put_all([self._named(self._value(data, last=last), name)], out)
        if bare:
            self._hand_on(bare, out, bare=True)

    def _named(self, value: V, name: bytes) -> V:
        if name and self._event_field is not None:
            setattr(value, self._event_field, name.decode("utf-8", "replace"))
        return value

    def _hand_on(self, data: bytes, out: list[T | Failed], *, bare: bool = False) -> None:
        """Give what is no record to ``record``, as an error; it is one in any case."""
        if self._over:
            return
        found = _found(data)
        facts = found if isinstance(found, dict) else {}
        if bare and facts and _OF_ERRORS.isdisjoint(facts):
            raise ProtocolError(
                f"The server sent JSON where events were to be: {excerpt(data)}",
                kind="bad_payload",
                phase="parse",
            )
        with suppress(msgspec.ValidationError):
            error = {**facts, "error": facts.get("error") or found}
            value = msgspec.convert(error, self._shape)
            self._put_all([value], out)
        if not self._over:
            raise EngineError(
                f"The server reported an error: {excerpt(data)}",
                kind="stream_error",
                phase="stream",
            )


def _found(data: bytes) -> Any:
    """The JSON value; of what is none, the text."""
    try:
        return msgspec.json.decode(without_lone_surrogates(data))
    except (ValueError, RecursionError):
        return data.decode("utf-8", "replace")
