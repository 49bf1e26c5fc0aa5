"""An observer in use: what it does wrong is counted, and reaches no call."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multitap.extensions import Observer

__all__ = ("Observed", "roles")

FAULTS_IN_A_ROW = 5
SLOW, STRIKE = 0.1, 1.0  # seconds
STRIKES = 3


class Observed:
    """An observer, and whose it is; its faults are counted, and reach no call.

    It is told of nothing more once it has raised five times in a row, or has held up calls for a
    second three times: ``given_up`` says why.

    Args:
        observer: What the extension made.
        distribution: Whose it is.
        gave_up: Called when it is given up.
        clock: Seconds that only grow.

    Attributes:
        faults: How often it raised, or took a second.
        traces: It wants to be told of every request.
        hears: It wants to be told of every answer.
        given_up: Why it is told of nothing more; empty while it is.
    """

    def __init__(
        self,
        observer: Observer,
        distribution: str,
        gave_up: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.distribution = distribution
        self.faults = 0
        self.traces = len(roles(observer)) > 1
        self.hears = len(roles(observer)) > 2
        self.given_up = ""
        self._observer = observer
        self._gave_up = gave_up
        self._clock = clock
        self._in_a_row = self._strikes = 0
        self._logged: set[tuple[str, str]] = set()

    def tell(self, method: str, *facts: object) -> None:
        """Call one of the observer's methods; what it raises is counted."""
        if self.given_up:
            return
        began = self._clock()
        try:
            getattr(self._observer, method)(*facts)
        except Exception as error:
            self._raised(method, type(error).__name__)
        else:
            self._in_a_row = 0
        seconds = self._clock() - began
        if seconds > SLOW:
            self._was_slow(method, seconds)

    def _raised(self, method: str, kind: str) -> None:
        """Its text is told nobody, since it may hold anything."""
        self.faults += 1
        self._in_a_row += 1
        self._log(method, kind, f"raised {kind} in {method}")
        if self._in_a_row >= FAULTS_IN_A_ROW:
            self._give_up(f"it raised {self._in_a_row} times in a row, {kind} in {method} last")

    def _was_slow(self, method: str, seconds: float) -> None:
        self._log(method, "slow", f"took {seconds:.1f} s in {method}, for which the call waited")
        if seconds < STRIKE:
            return
        self.faults += 1
        self._strikes += 1
        if self._strikes >= STRIKES:
            self._give_up(f"it held up {self._strikes} calls for a second or more")

    def _give_up(self, reason: str) -> None:
        if not self.given_up:
            self.given_up = f"its observer is told of nothing more: {reason}"
            self._log("", "given up", f"is told of nothing more: {reason}")
            self._gave_up()

    def _log(self, method: str, kind: str, what: str) -> None:
        if (method, kind) not in self._logged:
            self._logged.add((method, kind))
            import logging

            logging.getLogger("multitap").warning("The observer of %s %s", self.distribution, what)


def roles(observer: object) -> Sequence[type]:
    """The contracts that it has to keep, by the methods that it has."""
    from multitap.extensions import AnswerObserver, Observer, RequestObserver

    if hasattr(observer, "response_ended"):
        return Observer, RequestObserver, AnswerObserver
    traces = any(hasattr(observer, name) for name in ("request_sent", "response_started"))
    return (Observer, RequestObserver) if traces else (Observer,)
