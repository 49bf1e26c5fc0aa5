"""The circuit: pure, on a clock of its own."""

from __future__ import annotations

import pytest
from fake_clock import FakeClock, half
from hypothesis import given
from hypothesis import strategies as st

from multitap.errors import (
    BadRequest,
    DeadlineExceeded,
    Overloaded,
    ProviderDown,
    ProxyFailed,
    RateLimited,
    Timeout,
    TLSFailed,
)
from multitap.policy.circuit import Circuit, is_down


def failing(circuit, times, clock=None, every=0.0):
    for _ in range(times):
        circuit.failed()
        if clock is not None:
            clock.pass_(every)


def opened(clock, draw=half):
    circuit = Circuit(clock, draw)
    failing(circuit, 5)
    return circuit


@pytest.mark.parametrize(
    ("error", "down"),
    [
        (ProviderDown("Refused", kind="connect_failed"), True),
        (ProviderDown("It broke", status=500, kind="server_error"), True),
        (ProviderDown("Come back", status=503, retry_after=3), False),
        (Timeout("No connection", kind="connect_timeout"), True),
        (Timeout("No answer", kind="first_byte_timeout"), True),
        (Timeout("Byte by byte", kind="slow_peer"), True),
        (Timeout("Silence", kind="stall_timeout"), False),
        (DeadlineExceeded("Over"), False),
        (TLSFailed("Expired"), False),
        (ProxyFailed("407"), False),
        (ProviderDown("Given up", kind="aborted"), False),
        (RateLimited("Slow down", status=429), False),
        (Overloaded("Busy", status=529), False),
        (BadRequest("No", status=400), False),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_what_says_that_a_backend_is_down(error, down):
    assert is_down(error) is down


def test_five_failures_in_a_row_open_it():
    circuit = Circuit(FakeClock(), half)
    failing(circuit, 4)
    assert circuit.refuses() is None
    failing(circuit, 1)
    assert circuit.refuses() == 1.0


def test_an_answer_between_them_begins_the_count_anew():
    circuit = Circuit(FakeClock(), half)
    failing(circuit, 4)
    circuit.answered()
    failing(circuit, 4)
    assert not circuit.is_open


def test_failures_far_apart_do_not_count_together():
    clock = FakeClock()
    circuit = Circuit(clock, half)
    failing(circuit, 20, clock, every=7.6)
    assert not circuit.is_open


def test_after_its_time_one_call_goes_through_and_no_second():
    clock = FakeClock()
    circuit = opened(clock)
    clock.pass_(1.0)
    assert circuit.refuses() is None
    assert circuit.begin() is True
    assert circuit.refuses() is not None
    assert circuit.begin() is False


def test_a_probe_that_is_answered_closes_it():
    clock = FakeClock()
    circuit = opened(clock)
    clock.pass_(1.0)
    circuit.begin()
    circuit.answered()
    assert circuit.refuses() is None
    failing(circuit, 4)
    assert not circuit.is_open


def test_each_failed_probe_doubles_the_time_up_to_ten_seconds():
    clock = FakeClock()
    circuit = opened(clock)
    waits = []
    for _ in range(6):
        waits.append(circuit.refuses())
        clock.pass_(waits[-1])
        circuit.failed(probe=circuit.begin())
    assert waits == [1, 2, 4, 8, 10, 10]


def test_a_probe_that_was_given_up_lets_another_one_go():
    clock = FakeClock()
    circuit = opened(clock)
    clock.pass_(1.0)
    circuit.gave_up(probe=circuit.begin())
    assert circuit.refuses() is None
    assert circuit.begin() is True


def test_failures_of_calls_that_were_under_way_do_not_move_it():
    clock = FakeClock()
    circuit = opened(clock)
    clock.pass_(0.5)
    failing(circuit, 10)
    assert circuit.refuses() == 0.5


@given(st.floats(0, 1), st.integers(0, 8))
def test_the_time_is_spread_by_a_fifth_and_never_beyond_twelve_seconds(drawn, probes):
    clock = FakeClock()
    circuit = opened(clock, lambda: drawn)
    for _ in range(probes):
        clock.pass_(circuit.refuses())
        circuit.failed(probe=circuit.begin())
    base = min(10, 2**probes)
    assert 0.8 * base - 1e-6 <= circuit.refuses() <= 1.2 * base + 1e-6


@given(st.lists(st.sampled_from(["failed", "answered", "second", "probe"]), max_size=60))
def test_it_is_open_only_after_five_failures_without_an_answer(steps):
    clock, run = FakeClock(), 0
    circuit = Circuit(clock, half)
    for step in steps:
        if step == "second":
            clock.pass_(1.0)
        elif step == "probe":
            circuit.gave_up(probe=circuit.begin())
        elif step == "answered":
            circuit.answered()
            run = 0
        else:
            circuit.failed()
            run += 1
        assert not circuit.is_open or run >= 5
