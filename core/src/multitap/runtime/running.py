"""A server that was launched: what is the same in both runtimes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Protocol

from multitap.errors import LocalError
from multitap.runtime.launching import Launched

__all__ = ("Running",)


class _Closable(Protocol):
    def close(self) -> None: ...


class Running:
    """A server that runs as long as its block.

    Attributes:
        backend: The id under which the runtime knows it, while it lives.
        model: The model's id there.
        ref: Both: what ``model=`` takes.
        url: Its address.
    """

    def __init__(self, launched: Launched, steps: _Closable, forget: Callable[[str], None]) -> None:
        self.backend = launched.backend
        self.model = launched.model
        self.ref = f"{launched.backend}:{launched.model}"
        self.url = launched.url
        self._kept = launched.kept
        self._waiting = steps
        self._forget = forget
        self._closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.ref} at {self.url}>"

    @property
    def log(self) -> tuple[str, ...]:
        """The last lines of what it wrote."""
        return self._kept.log

    @property
    def running(self) -> bool:
        """Is it there? ``False`` too where it ended by itself."""
        return self._kept.runs

    def close(self) -> None:
        """Have it ended: by SIGTERM, and by SIGKILL if that takes too long.

        Never blocks; any thread; more than once. The end of the block waits for it.
        """
        self._closed = True
        self._waiting.close()
        self._kept.stop()
        self._forget(self.backend)

    def __del__(self) -> None:
        if not self._closed:
            if self._kept.runs:
                warnings.warn(f"{self!r} was not closed", ResourceWarning, stacklevel=2)
            self.close()

    def _check_ready(self) -> None:
        if self._closed:
            raise LocalError(f"{self!r} was stopped before it was ready", hint="Launch it again.")
