"""Small clocks for one call, and no waits between attempts."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest

from multitap.engine import aio, sync
from multitap.policy.clocks import Clocks
from multitap.policy.retry import RetryPolicy
from multitap.runtime import composition


def no_jitter(patch):
    """The random part of a wait is nothing, so that only a server's hint is waited for."""
    original = RetryPolicy.delay

    def delay(self, error, number, draw):
        return original(self, error, number, 0.0)

    patch.setattr(RetryPolicy, "delay", delay)


def clocks_of_a_call(patch):
    """``timeout={"total": 1, "idle": 0.2}``: each clock of one call, before any plugin's own."""
    asked = {}
    seconds, prepare = composition._seconds, sync.prepare

    def seconds_of(timeout, section):
        asked.clear()
        if isinstance(timeout, Mapping):
            asked.update(timeout)
            timeout = asked.pop("total", None)
        return seconds(timeout, section)

    def clocks(**own):
        return Clocks(**{**own, **asked})

    def without_hints(call, http):
        hints = {name: None for name in ("first_byte", "idle") if name in asked}
        return prepare(call, attrs.evolve(http, **hints))

    patch.setattr(composition, "_seconds", seconds_of)
    patch.setattr(composition, "Clocks", clocks)
    patch.setattr(sync, "prepare", without_hints)
    patch.setattr(aio, "prepare", without_hints)


@pytest.fixture(autouse=True)
def bounded(monkeypatch):
    """In every test of the fault matrix."""
    no_jitter(monkeypatch)
    clocks_of_a_call(monkeypatch)
