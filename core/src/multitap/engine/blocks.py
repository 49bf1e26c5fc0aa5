"""A body whose files stay on disk: measured for each attempt, read block by block as it is sent."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Union

import attrs

from multitap.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from multitap.work import Emit

__all__ = ("BLOCK", "Blocks", "Content", "Pieces", "Stored", "sha256_of", "stored")

BLOCK = 256 * 1024


@attrs.frozen
class Stored:
    """A file of a known length; it is opened when it is sent."""

    path: Path
    length: int


def stored(path: Path) -> Stored:
    """Measure a file.

    Raises:
        LocalError: It cannot be read.
    """
    try:
        with path.open("rb") as opened:
            return Stored(path, opened.seek(0, os.SEEK_END))
    except OSError as error:
        raise _unreadable(path, error) from None


@attrs.frozen
class Pieces:
    """Bytes and files in a row, of a known length."""

    parts: tuple[bytes | Stored, ...] = attrs.field(repr=False)

    def __len__(self) -> int:
        return sum(len(p) if isinstance(p, bytes) else p.length for p in self.parts)

    def blocks(self) -> Blocks:
        """A reader, from the beginning: every attempt has its own."""
        return Blocks(self.parts)


Content = Union[bytes, Pieces]


class Blocks:
    """Reads pieces once; a context manager, whose end waits for a read in another thread.

    Raises:
        LocalError: A file cannot be read, or has become shorter.
    """

    def __init__(self, parts: tuple[bytes | Stored, ...]) -> None:
        self._parts = iter(parts)
        self._path = Path()
        self._file: BinaryIO | None = None
        self._left = 0
        self._gate = threading.Lock()

    def __enter__(self) -> Blocks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._gate:
            self._parts, self._left = iter(()), 0
            self._close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.read, b"")

    def read(self) -> bytes:
        """The next block; ``b""`` at the end."""
        with self._gate:
            while not self._left:
                part = next(self._parts, None)
                if part is None:
                    return b""
                if isinstance(part, Stored):
                    self._open(part)
                elif part:
                    return part
            return self._read()

    def _open(self, part: Stored) -> None:
        self._close()
        self._path, self._left = part.path, part.length
        try:
            self._file = part.path.open("rb")
        except OSError as error:
            raise _unreadable(part.path, error) from None

    def _read(self) -> bytes:
        assert self._file is not None
        try:
            data = self._file.read(min(BLOCK, self._left))
        except OSError as error:
            raise _unreadable(self._path, error) from None
        if not data:
            raise LocalError(
                f"{self._path} became shorter while it was sent",
                hint="Send it again once nothing writes to it any more.",
            )
        self._left -= len(data)
        return data

    def _close(self) -> None:
        opened, self._file = self._file, None
        if opened is not None:
            opened.close()


def sha256_of(path: Path) -> Callable[[Emit[str]], None]:
    """Local work with one result: the file's hash."""

    def run(emit: Emit[str]) -> None:
        import hashlib

        found = hashlib.sha256()
        with Pieces((stored(path),)).blocks() as blocks:
            for block in blocks:
                found.update(block)
                if not emit([]):
                    return
        emit([found.hexdigest()])

    return run


def _unreadable(path: Path, error: OSError) -> LocalError:
    return LocalError(f"Cannot read {path}: {error.strerror}", hint="Check the path of the file.")
