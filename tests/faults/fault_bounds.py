"""No waits between attempts but those that a server asks for."""

from __future__ import annotations

import pytest

from multitap.policy.retry import Loading, RetryPolicy


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    """The random part of a wait is nothing, and a model that loads is asked again soon."""
    retrying, polling = RetryPolicy.delay, Loading.delay

    def delay(self, error, number, draw):
        return retrying(self, error, number, 0.0)

    def poll(self, error, deadline):
        pause = polling(self, error, deadline)
        return pause and 0.01

    monkeypatch.setattr(RetryPolicy, "delay", delay)
    monkeypatch.setattr(Loading, "delay", poll)
