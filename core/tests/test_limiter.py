"""The limiter and the rates: pure, on a clock of their own."""

from __future__ import annotations

import pytest
from fake_clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from multitap.headers import Allowance, allowances, duration, retry_after, should_retry
from multitap.policy.limiter import MOST_IN_FLIGHT, Limiter
from multitap.policy.rates import Rates


def busy(in_flight, clock=None):
    limiter = Limiter(clock or FakeClock())
    limiter.in_flight = in_flight
    return limiter


# ---- calls in flight -----------------------------------------------------------------------------


def test_a_server_that_never_complains_has_no_cap_but_that_of_the_carrier():
    limiter = busy(MOST_IN_FLIGHT - 1)
    assert (limiter.cap, limiter.has_room) == (None, True)
    limiter.in_flight += 1
    assert not limiter.has_room


@pytest.mark.parametrize(("in_flight", "cap"), [(1, 1), (2, 1), (10, 7), (100, 70)])
def test_the_first_complaint_sets_the_cap_to_what_was_in_flight_less_three_tenths(in_flight, cap):
    limiter = busy(in_flight)
    limiter.throttled()
    assert limiter.cap == cap


def test_complaints_within_a_second_cut_once():
    clock = FakeClock()
    limiter = busy(100, clock)
    limiter.throttled()
    clock.pass_(0.9)
    limiter.throttled()
    assert limiter.cap == 70
    clock.pass_(0.1)
    limiter.throttled()
    assert limiter.cap == 49


def test_a_full_window_of_successes_adds_one():
    limiter = busy(10)
    limiter.throttled()
    for _ in range(7):
        assert limiter.cap == 7
        limiter.succeeded()
    assert limiter.cap == 8
    for _ in range(7):
        limiter.succeeded()
    assert limiter.cap == 8


def test_a_cut_begins_the_window_anew():
    clock = FakeClock()
    limiter = busy(10, clock)
    limiter.throttled()
    for _ in range(6):
        limiter.succeeded()
    clock.pass_(1)
    limiter.throttled()
    for _ in range(3):
        assert limiter.cap == 4
        limiter.succeeded()
    assert limiter.cap == 4


def test_a_minute_without_complaint_takes_the_cap_away():
    clock = FakeClock()
    limiter = busy(10, clock)
    limiter.throttled()
    clock.pass_(60)
    assert limiter.cap == 7
    clock.pass_(0.1)
    assert limiter.cap is None


def test_slots_are_neither_cut_nor_widened():
    limiter = Limiter(FakeClock(), fixed=2)
    limiter.throttled()
    for _ in range(50):
        limiter.succeeded()
    assert limiter.cap == 2
    limiter.fix(5)
    assert limiter.cap == 5


@given(st.lists(st.sampled_from(["throttled", "succeeded", "second"]), max_size=200))
def test_the_cap_stays_in_its_bounds_and_grows_by_one_at_a_time(steps):
    clock = FakeClock()
    limiter = busy(9, clock)
    before = None
    for step in steps:
        if step == "second":
            clock.pass_(1.0)
        else:
            getattr(limiter, step)()
        cap = limiter.cap
        assert cap is None or 1 <= cap <= MOST_IN_FLIGHT
        if before is not None and cap is not None:
            assert cap <= before + 1
        before = cap


# ---- requests and tokens in a span of time -------------------------------------------------------


def test_requests_are_spaced_evenly():
    clock = FakeClock()
    rates = Rates(clock, per_second=4)
    waits = []
    for _ in range(4):
        waits.append(rates.wait(0))
        rates.take(0)
    assert waits == [0, 0.25, 0.5, 0.75]
    clock.pass_(10)
    assert rates.wait(0) == 0
    rates.take(0)
    assert rates.wait(0) == 0.25


def test_without_a_rate_nothing_waits():
    rates = Rates(FakeClock())
    rates.take(1e9)
    assert (rates.wait(1e9), rates.counted) == (0, False)


def test_what_a_server_has_left_is_waited_for_and_refills():
    clock = FakeClock()
    rates = Rates(clock)
    rates.saw({"tokens": Allowance(limit=1000, remaining=100, reset=90)})  # 10 a second
    assert rates.wait(100) == 0
    assert rates.wait(300) == 20
    clock.pass_(15)
    assert rates.wait(300) == 5


def test_an_estimate_is_debited_until_the_next_answer_corrects_it():
    rates = Rates(FakeClock())
    told = {"tokens": Allowance(limit=1000, remaining=500, reset=50)}
    rates.saw(told)
    rates.take(400)
    assert rates.wait(200) == 10
    rates.saw(told)
    assert rates.wait(200) == 0


def test_more_than_there_ever_is_waits_for_all_of_it():
    rates = Rates(FakeClock())
    rates.saw({"tokens": Allowance(limit=1000, remaining=0, reset=60)})
    assert rates.wait(50_000) == pytest.approx(60)


def test_a_request_counts_as_one():
    rates = Rates(FakeClock())
    rates.saw({"requests": Allowance(limit=60, remaining=1, reset=59)})
    assert rates.wait(1e6) == 0
    rates.take(1e6)
    assert rates.wait(0) == pytest.approx(1.0)


@given(st.floats(1, 1e6), st.floats(0, 0.99), st.floats(0, 1e4), st.lists(st.floats(0, 1e4)))
def test_a_wait_is_never_negative_nor_longer_than_a_full_refill(limit, left, reset, amounts):
    rates = Rates(FakeClock())
    rates.saw({"tokens": Allowance(limit, left * limit, reset)})
    refill = reset / (1 - left) if reset else 1.0
    for amount in amounts:
        assert 0 <= rates.wait(amount) <= refill * (1 + 1e-9)


NOW, LATER = "Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 2026 00:00:09 GMT"


# ---- headers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "7"}, 7),
        (
            {
                "retry-after": "Thu, 01 Jan 2026 00:00:09 GMT",
                "date": "Thu, 01 Jan 2026 00:00:00 GMT",
            },
            9,
        ),
        (
            {
                "retry-after": "Thu, 01 Jan 2026 00:00:00 GMT",
                "date": "Thu, 01 Jan 2026 00:00:09 GMT",
            },
            0,
        ),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "31536000"}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, None),
        ({"retry-after": "Fri, 31 Dec 100000 23:59:59 GMT"}, None),
        ({"ratelimit": '"default";r=0;t=7'}, 7),
        ({"ratelimit": "limit=10, remaining=0, reset=4"}, 4),
        ({"ratelimit-reset": "3"}, 3),
        ({"retry-after": "1", "ratelimit-reset": "3"}, 1),
        ({}, None),
    ],
)
def test_hints_and_nonsense(headers, seconds):
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("said", "meant"), [("true", True), ("False", False), ("maybe", None), ("", None)]
)
def test_what_a_server_says_of_trying_again(said, meant):
    assert should_retry({"x-should-retry": said}) is meant


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h2m3s", 3723), ("1.5s", 1.5), ("20ms", 0.02), ("6m0s", 360), ("6", None), ("x1s", None)],
)
def test_durations(text, seconds):
    assert duration(text) == seconds


def test_an_allowance_that_lacks_a_part_is_none():
    whole = {
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": "40",
        "x-ratelimit-reset-tokens": "6s",
    }
    assert allowances(whole) == {"tokens": Allowance(100, 40, 6)}
    for name in whole:
        assert allowances({k: v for k, v in whole.items() if k != name}) == {}
