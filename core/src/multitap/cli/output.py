"""Where the command line writes: answers on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from multitap.cli.clean import Cleaner, one_line
from multitap.errors import LocalError
from multitap.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ("Output", "ReaderGone", "is_terminal", "silence_stdout", "wants_style")

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


class ReaderGone(Exception):
    """Nobody reads standard output any more, such as after ``| head``."""


class Output:
    """Both streams of this process. Everything that is written is flushed at once.

    Raises:
        ReaderGone: The other end of the pipe was closed.
        LocalError: Standard output is closed, or its disk is full.
    """

    def __init__(self) -> None:
        self.terminal = is_terminal(sys.stdout)
        self.errors_shown = is_terminal(sys.stderr)
        self._styled = self.errors_shown and wants_style()
        self._clean = Cleaner()
        self._clean_thought = Cleaner()
        self._open_line = False
        self._thinking = False
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")

    def require(self) -> None:
        """Fail before any work is done, where standard output is closed."""
        if sys.stdout is None:
            raise LocalError("standard output is closed", hint="Write to a terminal, file or pipe.")

    def text(self, text: str) -> None:
        """Show a piece of the answer."""
        shown = self._clean(text)
        if shown:
            self._end_thought()
            self._open_line = not shown.endswith("\n")
            self._write(shown)

    def thought(self, text: str) -> None:
        """Show a piece of the model's thinking: beside the answer, and to a person only."""
        if self.errors_shown:
            opening = "" if self._thinking else f"{_DIM if self._styled else ''}Thinking: "
            self._thinking = True
            self._write_error(opening + self._clean_thought(text))

    def end(self) -> None:
        """End the line of the answer, if it is open."""
        self._end_thought()
        self._clean = Cleaner()
        if self._open_line:
            self._open_line = False
            self._write("\n")

    def line(self, text: str = "") -> None:
        """Write one line."""
        self._write(f"{text}\n")

    def json(self, *values: Any) -> None:
        """Write each value on a line of its own."""
        self._write("".join(f"{_dumped(value)}\n" for value in values))

    def binary(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._guarded(lambda: _binary(sys.stdout).write(data))

    def note(self, message: str) -> None:
        """Say something on standard error, on one line."""
        self._end_thought()
        self._write_error(f"multitap: {one_line(redact(message))}\n")

    def status(self, message: str) -> None:
        """Tell a person what is going on."""
        if self.errors_shown:
            self.note(message)

    def hint(self, lines: Iterable[str]) -> None:
        """Several lines on standard error."""
        for line in lines:
            self.note(line)

    def _end_thought(self) -> None:
        if self._thinking:
            self._thinking = False
            self._clean_thought = Cleaner()
            self._write_error(f"{_PLAIN if self._styled else ''}\n\n")

    def _write(self, text: str) -> None:
        self._guarded(lambda: sys.stdout.write(text))

    def _guarded(self, write: Callable[[], object]) -> None:
        self.require()
        try:
            write()
            sys.stdout.flush()
        except BrokenPipeError:
            silence_stdout()
            raise ReaderGone from None
        except (OSError, ValueError) as error:
            silence_stdout()
            reason = getattr(error, "strerror", None) or str(error)
            raise LocalError(
                f"standard output cannot be written: {reason}",
                hint="Free some space, or write elsewhere.",
            ) from error

    def _write_error(self, text: str) -> None:
        # there is no third place where a failure to write here could be told
        with suppress(AttributeError, OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


def _binary(stream: TextIO) -> BinaryIO:
    """The bytes below the text."""
    stream.flush()
    return stream.buffer


def is_terminal(stream: TextIO | None) -> bool:
    """Is a person behind this stream?"""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False


def silence_stdout() -> None:
    """Forget what is still buffered, so that Python's own last flush does not fail."""
    with suppress(AttributeError, OSError, ValueError):
        place = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, place)
        os.close(nowhere)


def wants_style() -> bool:
    """May text be dim, bold or coloured? Not with ``NO_COLOR``."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _dumped(value: Any) -> str:
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    return json.dumps(value, ensure_ascii=encoding != "utf8")
