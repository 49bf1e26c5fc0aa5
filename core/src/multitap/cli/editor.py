"""Lines that a person types: history, and a paste of several lines as one."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from multitap.errors import LocalError

if TYPE_CHECKING:
    from types import ModuleType

    from multitap.cli.output import Output

__all__ = ("LineEditor",)

_PROMPT = "> "
_KEPT = 1000


class LineEditor:
    """Reads lines at a terminal.

    The history is a file of one JSON text a line, so that a message of several lines stays one. It
    is the user's own (mode 0600), in the folder for state.

    Args:
        output: Where it is said that the history cannot be kept.
        keep_history: Whether what is typed is kept for the next time.
    """

    def __init__(self, output: Output, *, keep_history: bool = True) -> None:
        self._output = output
        self._readline = _readline()
        self._history = _history_file() if keep_history and self._readline else None
        if self._readline and self._history:
            for text in self._kept(self._history):
                self._readline.add_history(text)

    def read(self) -> str:
        """The next message.

        Raises:
            EOFError: The user left with Ctrl-D.
            KeyboardInterrupt: The user gave up this line.
        """
        text = input(_PROMPT)
        if text.strip() and self._readline:
            self._readline.add_history(text)
            self._keep(text)
        return text

    def _kept(self, history: Path) -> list[str]:
        try:
            lines = history.read_text("utf-8").splitlines()[-_KEPT:]
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            self._give_up(error)
            return []
        texts = []
        for line in lines:
            with suppress(ValueError):  # another program wrote into it: that line is skipped
                texts.append(json.loads(line))
        return [text for text in texts if isinstance(text, str)]

    def _keep(self, text: str) -> None:
        if self._history is None:
            return
        try:
            self._history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            with os.fdopen(os.open(self._history, flags, 0o600), "a", encoding="utf-8") as file:
                file.write(f"{json.dumps(text)}\n")
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        failure = LocalError(
            f"the history in {self._history} cannot be kept: {reason}",
            hint="--no-history turns it off.",
        )
        self._history = None
        self._output.note(f"warning: {failure}")


def _readline() -> ModuleType | None:
    """The line editor of this Python, if it has one, set up for pastes of several lines."""
    try:
        import readline
    except ImportError:
        return None
    readline.set_auto_history(False)
    readline.parse_and_bind("set enable-bracketed-paste on")
    return readline


def _history_file() -> Path:
    from platformdirs import user_state_path

    return user_state_path("multitap", appauthor=False) / "chat-history.jsonl"
