"""The state of the process that code of a plugin may change, and how to put it back.

Used around the import of a plugin's modules and its hook. Where they fail, nothing stays of what
they changed. Where they work it stays and is told, but for what is the application's own: signals,
and the policy of event loops. What cannot be undone: threads that were started, functions of
``atexit``, what was changed inside of other modules, and what was done outside of this process.
"""

from __future__ import annotations

import locale
import os
import signal
import sys
import threading
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import FrameType

__all__ = ("Guard", "Interrupts", "loop_policy")

_LISTS = ("path", "argv")
_FINDERS = ("meta_path", "path_hooks")
_VALUES = ("stdin", "stdout", "stderr", "excepthook", "unraisablehook", "displayhook")


class Guard:
    """The state as it is now; ``restore`` brings it back, each part whatever becomes of others."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        for part in (_environment, _folder, _warnings, _limits, _locale, _root_logger, _timeout):
            with suppress(Exception):
                self._undo.append(part())
        self._not_theirs = [_signals(), _loop_policy()]
        self._undo += self._not_theirs
        self._finders = [_Finders(name) for name in _FINDERS]
        self._undo += [_sys_list(name) for name in _LISTS]
        self._undo += [_attribute(sys, name) for name in _VALUES]
        self._undo.append(_attribute(threading, "excepthook"))

    def restore(self, kept: Collection[str] = ()) -> None:
        """Put everything back; what modules that are ``kept`` find others with stays."""
        for undo in self._undo:
            with suppress(Exception):
                undo()
        for finders in self._finders:
            finders.restore(kept)

    def take_back(self) -> None:
        """Put back what is the application's own, also where the plugin works."""
        for undo in self._not_theirs:
            with suppress(Exception):
                undo()


def _environment() -> Callable[[], None]:
    before = dict(os.environ)

    def undo() -> None:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value

    return undo


def _folder() -> Callable[[], None]:
    before = os.getcwd()  # noqa: PTH109 - a text, as it was
    return lambda: os.chdir(before)


def _warnings() -> Callable[[], None]:
    before, show = list(warnings.filters), warnings.showwarning

    def undo() -> None:
        if list(warnings.filters) != before:
            warnings.filters[:] = before  # type: ignore[index]
            with warnings.catch_warnings():  # which tells the module that its filters changed
                pass
        warnings.showwarning = show

    return undo


def _limits() -> Callable[[], None]:
    before = sys.getrecursionlimit()
    return lambda: sys.setrecursionlimit(before)


def _signals() -> Callable[[], None]:
    """Only the main thread can set handlers, so only there is anything to put back."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}

    def undo() -> None:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)

    return undo


def _loop_policy() -> Callable[[], None]:
    before, known = _set_policy(), loop_policy()

    def undo() -> None:
        if loop_policy() is not known:
            import asyncio

            asyncio.set_event_loop_policy(before)  # pyright: ignore[reportDeprecated]

    return undo


def loop_policy() -> Any:
    """The policy of event loops; ``None``: the usual one. Nothing is imported to see it."""
    policy = _set_policy()
    usual = getattr(sys.modules.get("asyncio"), "DefaultEventLoopPolicy", None)
    return None if type(policy) is usual else policy


def _set_policy() -> Any:
    return getattr(sys.modules.get("asyncio.events"), "_event_loop_policy", None)


def _root_logger() -> Callable[[], None]:
    import logging

    before, level = list(logging.root.handlers), logging.root.level

    def undo() -> None:
        logging.root.handlers[:] = before
        logging.root.setLevel(level)

    return undo


def _timeout() -> Callable[[], None]:
    import socket

    before = socket.getdefaulttimeout()
    return lambda: socket.setdefaulttimeout(before)


def _locale() -> Callable[[], None]:
    before = locale.setlocale(locale.LC_ALL)

    def undo() -> None:
        if locale.setlocale(locale.LC_ALL) != before:
            locale.setlocale(locale.LC_ALL, before)

    return undo


def _sys_list(name: str) -> Callable[[], None]:
    whole: list[Any] = getattr(sys, name)
    before = list(whole)

    def undo() -> None:
        whole[:] = before
        setattr(sys, name, whole)

    return undo


class _Finders:
    """A list of ``sys`` of what finds modules.

    A library that the plugin imported stays, for many cannot be imported twice; so must its finder.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._whole: list[Any] = getattr(sys, name)
        self._before = list(self._whole)

    def restore(self, kept: Collection[str]) -> None:
        now = [*self._whole, *getattr(sys, self._name)]
        new = [each for each in now if all(each is not one for one in self._before)]
        stay = {id(each): each for each in new if _home(each) in kept}
        self._whole[:] = [*self._before, *stay.values()]
        setattr(sys, self._name, self._whole)


def _home(finder: Any) -> str:
    """The module that a finder comes from."""
    return str(getattr(finder, "__module__", ""))


def _attribute(owner: Any, name: str) -> Callable[[], None]:
    before = getattr(owner, name)
    return lambda: setattr(owner, name, before)


class Interrupts:
    """Notes the user's Ctrl-C, which is not the ``KeyboardInterrupt`` that a plugin raises itself.

    Ctrl-C reaches the main thread only.
    """

    came = False
    _before: Any = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(signal.SIGINT)
            if callable(self._before):
                signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        if callable(self._before) and signal.getsignal(signal.SIGINT) == self._note:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        self._before(number, frame)
