"""Loaded models of this process: each is loaded once, shared by all who want it, freed when asked.

A caller *leases* a model. The first lease loads it, in a thread of its own; others that come
meanwhile wait for the same load. A leased model is never freed: ``unload`` waits for the leases to
end, and new ones are refused as long as it waits.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

from multitap.errors import BadRequest, LocalError, Overloaded
from multitap_llamacpp import loading
from multitap_llamacpp.loading import Plan

__all__ = ("ENGINE", "Engine", "Loaded", "Report", "Stopped")

Report = Callable[[str, int, int], bool]
"""Told what is being done, and how much of how much is; ``False``: nobody waits any more."""

LOOK_UP = 0.1
LAST_WAIT = 5.0


class Stopped(Exception):
    """Nobody waits for the result any more."""


class Loaded:
    """A model in memory. Its slots are what keeps more calls than ``parallel`` waiting here.

    Inside the library a waiting call could not be stopped.
    """

    def __init__(self, plan: Plan, native: Any, key: str) -> None:
        self.plan = plan
        self.native: Any = native
        self.key = key
        self._free = plan.options.parallel
        self._changed = threading.Condition()

    @property
    def address(self) -> str:
        """Where the library listens, for what it offers over HTTP alone."""
        return str(self.native.listening_address)

    @contextmanager
    def slots(self, count: int, report: Report) -> Generator[None, None, None]:
        """Hold so many of its slots; wait for them as long as somebody waits for us."""
        parallel = self.plan.options.parallel
        if count > parallel:
            raise BadRequest(
                f"{count} answers at once are more than the {parallel} that this backend makes",
                hint="Ask for fewer, or raise parallel in llm.toml.",
            )
        with self._changed:
            while not self._changed.wait_for(lambda: self._free >= count, LOOK_UP):
                if not report("waiting", 0, 0):
                    raise Stopped
            self._free -= count
        try:
            yield
        finally:
            with self._changed:
                self._free += count
                self._changed.notify_all()

    def close(self) -> None:
        """Free its memory; nobody may be using it."""
        with loading.NATIVE:
            self.native = None

    def abandon(self) -> None:
        """Leave it as it is for ever: its threads are gone, or cannot be waited for."""
        if self.native is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.native))


class _Entry:
    """One model that is loaded, or being loaded."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.size = plan.size
        self.read = 0
        self.loaded: Future[Loaded] = Future()
        self.users = 0
        self.leaving = False
        self.last_used = time.monotonic()

    @property
    def idle(self) -> bool:
        return not self.users and self.loaded.done()


class Engine:
    """All loaded models; one of it is enough for a process."""

    def __init__(self) -> None:
        self._entries: dict[Plan, _Entry] = {}
        self._changed = threading.Condition()
        self.closing = False
        self._usable = True

    def loaded(self) -> Mapping[Path, int]:
        """Files in memory, each with the number of calls that use it."""
        with self._changed:
            ready = [e for e in self._entries.values() if e.loaded.done()]
            return {e.plan.path: e.users for e in ready}

    @contextmanager
    def lease(self, plan: Plan, report: Report) -> Generator[Loaded, None, None]:
        """The loaded model, for as long as the block lasts.

        Raises:
            Overloaded: It is being unloaded, or no room can be made.
            Stopped: ``report`` said so.
        """
        entry = self._admit(plan)
        try:
            yield self._wait(entry, report)
        finally:
            with self._changed:
                entry.users -= 1
                entry.last_used = time.monotonic()
                self._changed.notify_all()

    def unload(self, path: Path, report: Report) -> None:
        """Free a file's memory, once nothing uses it; ``Stopped`` if nobody waits so long."""
        with self._changed:
            leaving = [e for e in self._entries.values() if e.plan.path == path.resolve()]
            _set_leaving(leaving, True)
        try:
            self._wait_until_idle(leaving, report)
        finally:
            with self._changed:
                _set_leaving(leaving, False)
                gone = [e for e in leaving if e.idle]
                for entry in gone:
                    self._drop(entry)
        for entry in gone:
            _free(entry)

    def close(self) -> None:
        """Stop what runs, and free everything; called when the process ends."""
        self.closing = True
        with self._changed:
            entries = list(self._entries.values())
            self._changed.wait_for(lambda: all(e.idle for e in entries), LAST_WAIT)
            self._entries.clear()
        for entry in entries:
            if entry.idle:
                _free(entry)
            elif entry.loaded.done() and not entry.loaded.exception():
                entry.loaded.result().abandon()

    def forget(self) -> None:
        """After a fork the child has the memory without the library's threads: nothing can run."""
        for entry in self._entries.values():
            if entry.loaded.done() and not entry.loaded.exception():
                entry.loaded.result().abandon()
        self.__init__()  # type: ignore[misc]
        self._usable = "xllamacpp" not in sys.modules

    # ---- how it is done ------------------------------------------------------------------------

    def _admit(self, plan: Plan) -> _Entry:
        if not self._usable:
            raise LocalError(
                "llama.cpp was used before this process was forked, and cannot be used in the fork",
                hint='Start processes with multiprocessing.get_context("spawn").',
            )
        with self._changed:
            entry = self._entries.get(plan)
            if entry is not None and entry.leaving:
                raise Overloaded(f"{plan.path.name} is being unloaded", kind="model_unloaded")
            if entry is None:
                evicted = self._make_room(plan.options.max_loaded)
                entry = self._entries[plan] = _Entry(plan)
                entry.users = 1
                self._load_aside(entry, evicted)
            else:
                entry.users += 1
            return entry

    def _make_room(self, most: int) -> list[_Entry]:
        evicted = []
        while len(self._entries) >= most:
            idle = [e for e in self._entries.values() if e.idle and not e.leaving]
            if not idle:
                raise Overloaded(
                    f"All {len(self._entries)} models in memory are in use",
                    hint="Wait until one is done, or raise max_loaded in llm.toml.",
                )
            oldest = min(idle, key=lambda e: e.last_used)
            evicted.append(self._entries.pop(oldest.plan))
        return evicted

    def _load_aside(self, entry: _Entry, evicted: list[_Entry]) -> None:
        def load() -> None:
            for old in evicted:
                _free(old)
            self._load(entry)

        threading.Thread(target=load, name="multitap-llamacpp-load", daemon=True).start()

    def _load(self, entry: _Entry) -> None:
        try:
            if not loading.read_ahead(entry.plan, lambda done: self._wanted(entry, done)):
                raise Stopped
            key = loading.new_key()
            loaded = Loaded(entry.plan, loading.start(entry.plan, key), key)
        except BaseException as error:
            with self._changed:
                self._drop(entry)
                entry.loaded.set_exception(error)
                self._changed.notify_all()
        else:
            with self._changed:
                entry.loaded.set_result(loaded)
                self._changed.notify_all()

    def _wanted(self, entry: _Entry, read: int) -> bool:
        entry.read = read
        with self._changed:
            wanted = entry.users > 0 and not self.closing
            if not wanted:  # whoever comes now begins anew
                self._drop(entry)
            return wanted

    def _drop(self, entry: _Entry) -> None:
        if self._entries.get(entry.plan) is entry:
            del self._entries[entry.plan]

    def _wait(self, entry: _Entry, report: Report) -> Loaded:
        while not entry.loaded.done():
            if self.closing or not report("loading", entry.read, entry.size):
                raise Stopped
            wait([entry.loaded], LOOK_UP)
        error = entry.loaded.exception()
        if error is not None:
            raise copy(error)  # each caller adds to it what it was doing
        return entry.loaded.result()

    def _wait_until_idle(self, entries: list[_Entry], report: Report) -> None:
        with self._changed:
            while not self._changed.wait_for(lambda: all(e.idle for e in entries), LOOK_UP):
                if not report("waiting", 0, 0):
                    raise Stopped


def _set_leaving(entries: list[_Entry], leaving: bool) -> None:
    for entry in entries:
        entry.leaving = leaving


def _free(entry: _Entry) -> None:
    if not entry.loaded.exception():
        entry.loaded.result().close()


ENGINE = Engine()
atexit.register(ENGINE.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ENGINE.forget)
