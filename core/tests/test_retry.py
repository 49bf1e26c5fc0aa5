"""Whether to try again, and after how long: with a clock and a draw of its own."""

from __future__ import annotations

import inspect
import math
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.errors import BadRequest, Overloaded, ProviderDown, RateLimited, Timeout
from multitap.policy.retry import Retry, RetryBudget, RetryPolicy

DOWN = ProviderDown("It is gone")
LATE = Timeout("No answer")


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def retry(clock, capacity=20.0, **policy):
    budget = RetryBudget(clock, capacity)
    return Retry(RetryPolicy(**policy), budget, clock, draw=lambda: 1.0)


# ---- the wait ------------------------------------------------------------------------------------


def test_three_attempts_with_waits_that_double():
    assert [RetryPolicy().delay(DOWN, n, 1.0) for n in (1, 2, 3, 4)] == [0.5, 1.0, None, None]


def test_a_server_that_throttles_is_given_twice_as_long():
    for error in (RateLimited("Slow down"), Overloaded("Busy")):
        assert [RetryPolicy().delay(error, n, 1.0) for n in (1, 2)] == [1.0, 2.0]


def test_the_wait_has_a_cap():
    policy = RetryPolicy(attempts=9)
    assert [policy.delay(DOWN, n, 1.0) for n in (4, 5, 6, 8)] == [4.0, 8.0, 8.0, 8.0]


@given(draw=st.floats(0, 1))
def test_the_jitter_is_full(draw):
    assert RetryPolicy().delay(DOWN, 1, draw) == draw * 0.5


def test_what_trying_again_does_not_cure_is_not_tried_again():
    assert RetryPolicy().delay(BadRequest("No", retry_after=1.0), 1, 1.0) is None


@pytest.mark.parametrize(
    ("hint", "draw", "expected"),
    [
        (2.0, 0.0, 2.0),
        (2.0, 0.5, 2.1),
        (60.0, 0.0, 60.0),
        (60.5, 0.0, None),
        (math.inf, 1.0, 1.0),
        (math.nan, 1.0, 1.0),
        (-1.0, 1.0, 1.0),
    ],
)
def test_a_hint_is_followed_unless_it_is_none_or_too_long(hint, draw, expected):
    assert RetryPolicy().delay(RateLimited("Slow down", retry_after=hint), 1, draw) == expected


def test_the_last_attempt_is_the_last_whatever_the_hint():
    assert RetryPolicy().delay(RateLimited("Slow down", retry_after=1.0), 3, 0.0) is None


# ---- the budget ----------------------------------------------------------------------------------


def spent(budget, cost=1.0):
    """How often this can be spent, one time after the other."""
    return next(n for n in range(100) if not budget.spend(cost))


def test_a_budget_begins_with_twenty():
    assert spent(RetryBudget(Clock())) == 20
    assert spent(RetryBudget(Clock()), 2.0) == 10


def test_what_is_not_there_is_not_taken():
    budget = RetryBudget(Clock(), 1.5)
    assert [budget.spend(2.0), budget.spend(1.5), budget.spend(0.5)] == [False, True, False]


def test_a_fifth_comes_back_with_each_success():
    budget = RetryBudget(Clock(), 3.0)
    spent(budget)
    for _ in range(6):
        budget.succeeded()
    assert spent(budget) == 1


def test_a_tenth_comes_back_with_each_second():
    clock = Clock()
    budget = RetryBudget(clock, 3.0)
    spent(budget)
    clock.now += 9.0
    assert not budget.spend(1.0)
    clock.now += 1.5
    assert [budget.spend(1.0), budget.spend(1.0)] == [True, False]


def test_seconds_are_counted_once():
    clock = Clock()
    budget = RetryBudget(clock, 8.0)
    spent(budget)
    clock.now += 25.0
    assert spent(budget) == 2


def test_a_clock_that_goes_back_takes_nothing():
    clock = Clock()
    budget = RetryBudget(clock, 2.0)
    clock.now -= 1000.0
    assert spent(budget) == 2


def test_it_never_holds_more_than_it_began_with():
    clock = Clock()
    budget = RetryBudget(clock, 2.0)
    budget.succeeded()
    clock.now += 1e6
    assert spent(budget) == 2


# ---- both together -------------------------------------------------------------------------------


def test_a_retry_costs_one_and_two_after_a_timeout():
    clock = Clock()
    assert [retry(clock, 1.0).delay(error, 1, None) for error in (DOWN, LATE)] == [0.5, None]
    assert retry(clock, 2.0).delay(LATE, 1, None) == 0.5


def test_without_a_budget_nothing_is_tried_again():
    tried = retry(Clock(), 2.0)
    assert [tried.delay(DOWN, 1, None) for _ in range(3)] == [0.5, 0.5, None]
    for _ in range(6):
        tried.succeeded()
    assert [tried.delay(DOWN, 1, None) for _ in range(2)] == [0.5, None]


def test_what_is_not_tried_again_costs_nothing():
    clock = Clock()
    tried = retry(clock, 1.0)
    assert tried.delay(BadRequest("No"), 1, None) is None
    assert tried.delay(DOWN, 3, None) is None
    assert tried.delay(DOWN, 1, clock.now + 0.5) is None
    assert tried.delay(DOWN, 1, clock.now + 0.51) == 0.5


def test_by_default_it_is_the_real_clock_and_chance():
    assert (Retry().clock, Retry().draw) == (time.monotonic, random.random)
    assert inspect.signature(RetryBudget).parameters["clock"].default is time.monotonic
    assert Retry().policy == RetryPolicy(
        attempts=3, base=0.5, throttle_base=1.0, cap=8.0, longest_hint=60.0
    )
