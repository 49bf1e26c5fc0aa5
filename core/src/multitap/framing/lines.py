"""Lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multitap.errors import ProtocolError, TruncatedStream
from multitap.excerpt import excerpt
from multitap.framing.decoder import BOM, MIB, Decoder, T

if TYPE_CHECKING:
    from collections.abc import Callable

    from multitap.events import Failed
    from multitap.framing.decoder import Outputs

__all__ = ("LineDecoder",)


class LineDecoder(Decoder[bytes, T]):
    r"""Lines of any kind, each handed on without its end (``\n`` or ``\r\n``); empty ones as well.

    Args:
        record: Turns one line into outputs; bytes that it cannot decode are a ``ProtocolError``.
        length: How many bytes the body has, where the server says it: fewer are a
            ``TruncatedStream``. Where nobody says it, so is a last line without its end.
        finish: What to put out at the end of the bytes.
        limit: The longest line, in bytes.

    >>> decoder = LineDecoder(lambda line: [line.decode().upper()])
    >>> decoder.feed(b"one\r\ntw"), decoder.feed(b"o\n"), decoder.finish()
    (['ONE'], ['TWO'], [])
    """

    def __init__(
        self,
        record: Callable[[bytes], Outputs[T]],
        *,
        length: int | None = None,
        finish: Callable[[], Outputs[T]] | None = None,
        limit: int = 16 * MIB,
    ) -> None:
        super().__init__(bytes, record, finish=finish, limit=limit)
        self._length = length
        self._read_so_far = 0

    def _read(self, data: bytes, out: list[T | Failed]) -> None:
        self._read_so_far += len(data)
        end = data.rfind(b"\n") + 1
        if end:
            self._lines(self._release(data[:end])[:-1], out)
        self._hold(data[end:])
        if not self._over:
            self._check(self._held_size)

    def _read_rest(self, out: list[T | Failed]) -> None:
        rest = self._release()
        missing = bool(rest) if self._length is None else self._read_so_far < self._length
        if missing:
            raise TruncatedStream(f"The answer ended too early: {excerpt(rest)}", phase="parse")
        if rest:
            self._lines(rest, out)

    def _lines(self, block: bytes, out: list[T | Failed]) -> None:
        for line in block.split(b"\n"):
            if self._over:
                return
            self._check(len(line))
            content = line.removeprefix(BOM) if self._first else line
            self._first = False
            self._line(content.removesuffix(b"\r"), out)

    def _line(self, line: bytes, out: list[T | Failed]) -> None:
        try:
            self._put_all([line], out)
        except UnicodeDecodeError:
            raise ProtocolError(
                f"The server sent a line that is no UTF-8: {excerpt(line)}",
                kind="bad_payload",
                phase="parse",
            ) from None
