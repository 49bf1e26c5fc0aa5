"""One thread at a time for each key, where a circle of waiting threads is an error."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from multitap.errors import PluginError
from multitap.registry.loading.forks import renew_after_fork
from multitap.registry.loading.identity import whoami

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ("Turns",)


class Turns:
    """One thread at a time for each key; other keys go on meanwhile.

    A thread that would wait for itself, alone or in a circle of threads, gets a ``PluginError``:
    plugins that use each other while they are imported must not stop the process.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._owners: dict[str, int] = {}
        self._waiting: dict[int, str] = {}
        renew_after_fork(self)

    @contextmanager
    def hold(self, key: str) -> Generator[None, None, None]:
        """Wait for the key's turn, and keep it."""
        with self._changed:
            self._take(key, whoami())
        try:
            yield
        finally:
            with self._changed:
                del self._owners[key]
                self._changed.notify_all()

    def _take(self, key: str, thread: int) -> None:
        self._waiting[thread] = key
        try:
            while key in self._owners:
                if self._waits_for_itself(thread):
                    raise PluginError(f"{key} is needed in order to load itself")
                self._changed.wait()
            self._owners[key] = thread
        finally:
            del self._waiting[thread]

    def _waits_for_itself(self, thread: int) -> bool:
        key: str | None = self._waiting[thread]
        while key in self._owners:
            owner = self._owners[key]
            if owner == thread:
                return True
            key = self._waiting.get(owner)
        return False

    def renew(self) -> None:
        """In a forked child: end the turns, and the imports, of threads that are no more."""
        here = whoami()
        if others := set(self._owners.values()) - {here}:
            from multitap.registry.loading.modules import abandon

            abandon(others)
        self._changed = threading.Condition()
        self._owners = {key: owner for key, owner in self._owners.items() if owner == here}
        self._waiting = {}
