"""Storms and churn: both sides' ledgers agree, and nothing is left behind."""

from __future__ import annotations

import pytest
from fault_asking import threads_freed
from fault_storm import SILENCE, SLOW, churn, churn_on_a_loop, storm, storm_on_a_loop


@pytest.fixture
def doses(request):
    """How many exchanges a storm has, how many calls a churn, and with which seeds."""
    asked = request.config.getoption
    return asked("exchanges", 5000), asked("churns", 200), range(asked("seeds", 1))


def test_a_storm_in_threads_loses_and_doubles_nothing(doses):
    exchanges, _, seeds = doses
    for seed in seeds:
        with threads_freed():
            ledger, server = storm(seed, exchanges // 2)
        assert ledger.faults(exchanges // 2, server.seen) == {}
        assert len(set(ledger.ends.values())) > 3


def test_a_storm_on_a_loop_loses_and_doubles_nothing(doses):
    exchanges, _, seeds = doses
    for seed in seeds:
        with threads_freed():
            ledger, server, left = storm_on_a_loop(seed, exchanges // 2)
        assert ledger.faults(exchanges // 2, server.seen) == {}
        assert (left, len(set(ledger.ends.values())) > 3) == (0, True)


def test_after_a_churn_of_closed_streams_every_call_succeeds(doses):
    _, churns, seeds = doses
    for seed in seeds:
        with threads_freed():
            assert churn(seed, churns) == 1000


def test_after_a_churn_of_cancelled_tasks_every_call_succeeds(doses):
    _, churns, seeds = doses
    for seed in seeds:
        with threads_freed():
            cancelled, succeeded = churn_on_a_loop(seed, churns)
        assert succeeded == 1000
        assert cancelled > churns // 4


CLOCKS = {"scripts": SILENCE, "section": SLOW}


def test_a_storm_of_silence_in_threads_loses_and_doubles_nothing(doses):
    exchanges, _, seeds = doses
    for seed in seeds:
        with threads_freed():
            ledger, server = storm(seed, exchanges // 50, **CLOCKS)
        assert ledger.faults(exchanges // 50, server.seen) == {}
        assert {"answered", "Timeout"} <= set(ledger.ends.values())


def test_a_storm_of_silence_on_a_loop_loses_and_doubles_nothing(doses):
    exchanges, _, seeds = doses
    for seed in seeds:
        with threads_freed():
            ledger, server, left = storm_on_a_loop(seed, exchanges // 50, **CLOCKS)
        assert ledger.faults(exchanges // 50, server.seen) == {}
        assert (left, {"answered", "Timeout"} <= set(ledger.ends.values())) == (0, True)
