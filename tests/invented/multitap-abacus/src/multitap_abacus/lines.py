"""Abacus lines: how a text is written into one, and how bytes are cut into them."""

import re
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from multitap.errors import BackendError, ProtocolError, TruncatedStream
from multitap.events import Failed

T = TypeVar("T")

LONGEST = 16 << 20
WRITTEN = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
READ = {"n": "\n", "r": "\r", "s": " ", "\\": "\\"}


def escape(text: str) -> str:
    """The text without an end of a line in it."""
    return re.sub(r"[\\\n\r]", lambda found: WRITTEN[found[0]], text)


def escape_word(text: str) -> str:
    """The text without a space in it, either: an id or a name."""
    return escape(text).replace(" ", "\\s")


def plain(text: str) -> str:
    """What was escaped; a backslash before any other letter stays."""
    return re.sub(r"\\([nrs\\])", lambda found: READ[found[1]], text)


class LineDecoder(Generic[T]):
    """Hands each whole line to ``read``, and ends with ``Failed`` where something is wrong.

    ``length`` is what the server has promised to send, where it has. A list has no sign of its end,
    so that there is nothing else that tells a part of it from the whole.
    """

    def __init__(
        self,
        read: Callable[[str], Iterable[T]],
        length: int | None = None,
    ) -> None:
        self._read = read
        self._missing = length
        self._rest = bytearray()
        self._failed = False

    def feed(self, data: bytes, /) -> list[T | Failed]:
        """The results of the lines that end in these bytes."""
        if self._missing is not None:
            self._missing -= len(data)
        whole, newline, rest = data.rpartition(b"\n")
        out: list[T | Failed] = []
        if newline:
            lines = bytes(self._rest + whole).split(b"\n")
            self._rest = bytearray(rest)
            for line in lines:
                self._hand(line, out)
        else:
            self._rest += rest
        if len(self._rest) > LONGEST:
            self._fail(ProtocolError("Abacus sent a line that does not end"), out)
        return out

    def finish(self) -> list[T | Failed]:
        """What is to be said at the end of the bytes."""
        out: list[T | Failed] = []
        if self._rest or self._missing:
            self._fail(TruncatedStream("Abacus has said less than it was going to"), out)
        return out

    def _hand(self, line: bytes, out: list[T | Failed]) -> None:
        if self._failed:
            return
        try:
            out.extend(self._read(line.removesuffix(b"\r").decode()))
        except UnicodeDecodeError:
            self._fail(ProtocolError("Abacus sent a line that is no UTF-8"), out)
        except BackendError as error:
            self._fail(error, out)

    def _fail(self, error: BackendError, out: list[T | Failed]) -> None:
        if not self._failed:
            out.append(Failed(error))
        self._failed = True
        self._rest.clear()
