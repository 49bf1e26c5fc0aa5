"""A script as work in this process, which whoever reads it may leave at any moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar, Union

from multitap.errors import EngineError
from multitap.events import Failed
from multitap.testing.gate import CEILING, Gate
from multitap.testing.mocks.script import Pause
from multitap.work import Emit, LocalExchange

__all__ = ("played",)

T = TypeVar("T")
GLANCE = 0.01  # seconds between two looks whether the reader has left


def played(script: Callable[[], Iterable[Union[T, Failed, Gate, Pause]]]) -> LocalExchange[T]:
    """Work that gives the script's results, and waits where it says so; read by each attempt."""

    def run(emit: Emit[T]) -> None:
        for line in script():
            if isinstance(line, Pause):
                _wait(threading.Event(), line.seconds, emit)
            elif isinstance(line, Gate):
                if not _wait(line, CEILING, emit):
                    emit([Failed(_never_opened())])
                    return
            elif not emit([line]):
                return

    return LocalExchange(run)


def _wait(event: threading.Event, seconds: float, emit: Emit[T]) -> bool:
    """Whether the event came in time; also ends, as if it had, when the reader has left."""
    glances = range(round(seconds / GLANCE))
    return any(event.wait(GLANCE) or not emit([]) for _ in glances)


def _never_opened() -> EngineError:
    return EngineError(
        f"The mock waited {CEILING:g} seconds for a gate", hint="Open it in the test: gate.open()."
    )
