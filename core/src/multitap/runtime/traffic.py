"""The bounds of each call, and what all calls of a backend share: its queue and its retries."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Union
from weakref import WeakSet

from multitap.config.bounds import limits_of, timeouts_of
from multitap.config.sections import Section
from multitap.errors import ConfigError
from multitap.policy.admission import Admission
from multitap.policy.clocks import Clocks, Limits
from multitap.policy.retry import Retry, RetryBudget, RetryPolicy

__all__ = ("WHOLE_CALL", "Timeouts", "Traffic", "once")

Timeouts = Union[None, float, Mapping[str, float]]
"""Seconds for the whole call; or by the clock's name, the whole call being ``total``."""

WHOLE_CALL = 600.0

_USUAL = Limits()
_OF_VECTORS = Limits(body_bytes=256 * 1024 * 1024)

_all: WeakSet[Traffic] = WeakSet()


class Traffic:
    """What the calls of each backend have in common.

    Args:
        clock: Seconds that only grow.

    Attributes:
        policy: How often a call is tried again, and after how long.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.policy = RetryPolicy()
        self.renew()
        _all.add(self)

    def renew(self) -> None:
        """Begin anew, as a forked child does: its parent's calls are none of its own."""
        self._retries: dict[str, Retry] = {}
        self._admissions: dict[str, Admission] = {}
        self._told: dict[str, set[str]] = {}

    def admission(self, section: Section) -> Admission:
        """Who may go to a backend, who waits and who is refused."""
        found = self._admissions.get(section.name)
        if found is None:
            slots, per_second = section.max_in_flight, section.requests_per_second
            made = Admission(self.clock, slots=slots, per_second=per_second)
            found = self._admissions.setdefault(section.name, made)
        return found

    def retry(self, section: Section) -> Retry:
        """How often a backend is tried again."""
        found = self._retries.get(section.name)
        if found is None:
            made = Retry(self.policy, RetryBudget(self.clock), self.clock)
            found = self._retries.setdefault(section.name, made)
        return found

    def forget(self, backend: str) -> None:
        """A backend that is there no more."""
        self._retries.pop(backend, None)
        self._told.pop(backend, None)
        admission = self._admissions.pop(backend, None)
        if admission is not None:
            admission.close()

    def deadline(self, section: Section, timeout: Timeouts) -> float:
        """When a call that begins now is over, as a reading of the clock."""
        return self.clock() + _seconds(timeout, section)

    def rules(
        self,
        section: Section,
        timeout: Timeouts,
        limits: Mapping[str, int] | None,
        *,
        first_byte: float,
        deadline: float | None,
        vectors: bool = False,
    ) -> dict[str, Any]:
        """The clocks, limits, retries and queue of one call; ``vectors`` take more room."""
        until = deadline or self.deadline(section, timeout)
        clocks = Clocks(first_byte=first_byte, deadline=until, now=self.clock)
        if section.timeouts or isinstance(timeout, Mapping):
            clocks = clocks.evolved(_but_total(section.timeouts) | _own_clocks(timeout))
        usual = _OF_VECTORS if vectors else _USUAL
        asked = {**section.limits, **_limits(limits)} if section.limits or limits else {}
        return {
            "clocks": clocks,
            "limits": usual.evolved(asked) if asked else usual,
            "retry": self.retry(section),
            "admission": self.admission(section),
            "told": self._told.setdefault(section.name, set()),
        }


def once() -> dict[str, Any]:
    """The rules of a call that asks once, whatever is known of the backend."""
    return {"retry": Retry(RetryPolicy(attempts=1)), "force": True}


def _seconds(timeout: Timeouts, section: Section) -> float:
    """The whole call's."""
    seconds = _clocks(timeout).get("total") if isinstance(timeout, Mapping) else timeout
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if seconds is not None and not (number and seconds > 0):
        raise ConfigError(f"timeout is {timeout!r}; it is a number of seconds above 0")
    if seconds is not None:
        return seconds
    usual = section.timeout_ms / 1000 if section.timeout_ms else WHOLE_CALL
    return section.timeouts.get("total", usual)


def _own_clocks(timeout: Timeouts) -> dict[str, float]:
    return _but_total(_clocks(timeout)) if isinstance(timeout, Mapping) else {}


def _but_total(clocks: Mapping[str, float]) -> dict[str, float]:
    """All but the whole call's."""
    return {name: seconds for name, seconds in clocks.items() if name != "total"}


def _clocks(table: Mapping[str, float]) -> dict[str, float]:
    try:
        return timeouts_of(table)
    except ValueError as error:
        raise ConfigError(f"timeout {error}") from None


def _limits(table: Mapping[str, int] | None) -> dict[str, int]:
    try:
        return limits_of(table or {})
    except ValueError as error:
        raise ConfigError(f"limits {error}") from None


def _renew_all() -> None:
    for traffic in tuple(_all):
        traffic.renew()


if hasattr(os, "register_at_fork"):  # a lock that a thread of the parent holds is held for ever
    os.register_at_fork(after_in_child=_renew_all)
