"""Calling a plugin's hook, and importing its module: for how long, and who is told when it is slow.

A hook makes an object and returns at once, so it is given up after ``PATIENCE`` seconds: what calls
it goes on, and the thread that it runs in is left behind. Time in which it imports something does
not count, since that is slow on some machines without any fault; for the same reason an import
itself is never given up, which would leave its module half made, and locked. One that does not come
to an end is told of while it lasts.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from multitap.registry.loading.identity import act_for, whoami
from multitap.registry.unusable import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pluggy

__all__ = ("call_hook", "timed_import")

PATIENCE = 5.0
SLOW_HOOK, SLOW_IMPORT, STUCK_IMPORT = 0.1, 2.0, 10.0
MOST_STUCK = 4  # threads of one module

_log = logging.getLogger("multitap")
_stuck: dict[str, list[threading.Thread]] = {}
_told: WeakSet[Callable[..., object]] = WeakSet()


def timed_import(module: str, distribution: str) -> object:
    """Import a module; a slow one is warned of, and one that does not return while it lasts."""
    who = distribution or "the application"
    timer = threading.Timer(STUCK_IMPORT, _still_importing, (module, who))
    timer.daemon, timer.name = True, "multitap-import"
    with suppress(RuntimeError):  # this machine has no thread left, or the process ends
        timer.start()
    began = time.monotonic()
    try:
        found = import_module(module)
    finally:
        timer.cancel()
    seconds = time.monotonic() - began
    if seconds > SLOW_IMPORT:
        _log.warning("Importing %s of %s took %.1f s", module, who, seconds)
    return found


def _still_importing(module: str, who: str) -> None:
    _log.warning(
        "Importing %s of %s has not come to an end in %g s; who needs it waits",
        *(module, who, STUCK_IMPORT),
    )


def call_hook(hook: pluggy.HookImpl, **given: object) -> object:
    """Call one implementation, and no other's, with the arguments that it asks for.

    Raises:
        ContractError: It does not return.
    """
    arguments = [given[name] for name in hook.argnames]
    name = hook.function.__name__
    return _in_time(hook.plugin_name, name, partial(_timed, hook.function, arguments))


def _timed(function: Callable[..., object], arguments: list[object]) -> object:
    began = time.monotonic()
    result = function(*arguments)
    seconds = time.monotonic() - began
    if seconds > SLOW_HOOK and function not in _told:
        _told.add(function)
        _log.warning(
            "%s of %s took %.1f s; who calls it waits, be it an event loop",
            *(function.__name__, function.__module__, seconds),
        )
    return result


def _in_time(owner: str, hook: str, step: Callable[[], object]) -> object:
    stuck = [thread for thread in _stuck.pop(owner, ()) if thread.is_alive()]
    if stuck:
        _stuck[owner] = stuck
    if len(stuck) >= MOST_STUCK:
        raise ContractError(f"{len(stuck)} calls of its hooks never returned")
    call = _Call(step)
    try:
        call.start()
    except RuntimeError:  # this machine has no thread left, or the process ends
        return step()
    try:
        call.join(PATIENCE)
        while call.is_alive() and _imports(call):
            call.join(PATIENCE)
    finally:
        if call.is_alive():  # it never returns, or the user pressed Ctrl-C
            _stuck.setdefault(owner, []).append(call)
    if call.is_alive():
        raise ContractError(f"{hook} did not return within {PATIENCE:g} s")
    return call.outcome()


class _Call(threading.Thread):
    """A call that can be left behind; to locks and prints it is the thread that waits for it."""

    def __init__(self, step: Callable[[], object]) -> None:
        super().__init__(name="multitap-hook", daemon=True)
        self._step = step
        self._context = copy_context()
        self._caller = whoami()
        self._result: object = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Call it."""
        try:
            act_for(self._caller)
            self._result = self._context.run(self._step)
        except BaseException as error:
            self._error = error

    def outcome(self) -> object:
        """What it returned, or the error that it raised."""
        if self._error is not None:
            raise self._error
        return self._result


def _imports(thread: threading.Thread) -> bool:
    """Is a module being imported there?"""
    frame: Any = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False
