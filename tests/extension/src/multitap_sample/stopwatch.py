"""An observer: notes how each call went."""

from __future__ import annotations

from collections import deque

from multitap.extensions import AttemptEnd, CallEnd, CallInfo
from multitap.hookspecs import hookimpl

notes: deque[str] = deque(maxlen=100)


class Stopwatch:
    """One note for each call."""

    def call_started(self, call: CallInfo, /) -> None:
        """Nothing to note yet."""

    def attempt_started(self, call: CallInfo, number: int, /) -> None:
        """Nothing to note yet."""

    def attempt_ended(self, call: CallInfo, end: AttemptEnd, /) -> None:
        """The call's end has what is to be noted."""

    def call_ended(self, call: CallInfo, end: CallEnd, /) -> None:
        """Note what was asked, and how it ended."""
        ending = type(end.error).__name__ if end.error else end.stop_reason
        notes.append(f"{call.capability} {call.backend}:{call.model} {ending} x{end.attempts}")


@hookimpl
def multitap_observer() -> Stopwatch:
    """Watch every call."""
    return Stopwatch()
