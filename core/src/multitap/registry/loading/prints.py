"""What a plugin prints while it is loaded: standard output belongs to the application."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from multitap.registry.loading.identity import whoami

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ("Aside", "printed_aside")

_LIMIT = 1 << 16


class Aside:
    """In the place of ``sys.stdout``: keeps what its own thread writes; all else passes through.

    Who has kept it beyond its time writes to the stream behind it.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._owner: int | None = whoami()
        self._kept = ""

    @property
    def text(self) -> str:
        """What was kept: the first 64 Ki characters."""
        return self._kept

    def write(self, text: str) -> int:
        """As of a text stream."""
        if whoami() != self._owner:
            return int(self._stream.write(text))
        self._kept += text[: _LIMIT - len(self._kept)]
        return len(text)

    def writelines(self, lines: Any) -> None:
        """As of a text stream."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def end(self) -> None:
        """Keep nothing more, and give ``sys.stdout`` back unless it is somebody else's by now."""
        self._owner = None
        while isinstance(sys.stdout, Aside) and sys.stdout._owner is None:
            sys.stdout = sys.stdout._stream


@contextmanager
def printed_aside() -> Generator[Aside, None, None]:
    """Keep what this thread prints; where nothing fails, it goes to standard error at the end."""
    aside = Aside(sys.stdout)
    if sys.stdout is not None:
        sys.stdout = aside
    try:
        yield aside
    finally:
        aside.end()
    if aside.text and sys.stderr is not None:
        sys.stderr.write(aside.text)
