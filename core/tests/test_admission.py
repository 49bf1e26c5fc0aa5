"""Who may go, who waits and who is refused: pure, on a clock of its own; and once with threads."""

from __future__ import annotations

import threading

import pytest
from fake_clock import FakeClock, half
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from multitap.errors import (
    BadRequest,
    Overloaded,
    ProviderDown,
    QuotaExceeded,
    RateLimited,
    Timeout,
)
from multitap.headers import Allowance
from multitap.policy.admission import Admission

DOWN = ProviderDown("Refused", kind="connect_failed", phase="connect")
BUSY = Overloaded("Busy", kind="server_busy", status=529)


def admission(clock=None, **limits):
    return Admission(clock or FakeClock(), half, **limits)


def entered(gate, model="m", seconds=30.0, **how):
    return gate.enter(model, seconds, **how)


def refused(ticket):
    with pytest.raises(Exception) as caught:
        ticket.wait()
    return caught.value


def test_mostly_it_is_a_calls_turn_at_once():
    gate = admission()
    tickets = [entered(gate) for _ in range(100)]
    assert [ticket.wait() for ticket in tickets] == [None] * 100
    assert (gate.in_flight, gate.waiting) == (100, 0)
    for ticket in tickets:
        ticket.leave()
    assert gate.in_flight == 0


def test_with_slots_the_others_wait_in_the_order_in_which_they_came():
    gate = admission(slots=2)
    tickets = [entered(gate) for _ in range(5)]
    calls = []
    for number, ticket in enumerate(tickets):
        ticket.called = lambda number=number: calls.append(number)
    assert [ticket.wait() is None for ticket in tickets] == [True, True, False, False, False]
    tickets[1].leave()
    tickets[0].leave()
    assert calls == [2, 3]
    assert tickets[4].wait() > 0


def test_models_have_lines_of_their_own():
    gate = admission(slots=1)
    first, other = entered(gate, "a"), entered(gate, "b")
    assert (first.wait(), other.wait()) == (None, None)


def test_one_that_gives_up_in_line_makes_room():
    gate = admission(slots=1)
    first, second, third = (entered(gate) for _ in range(3))
    second.leave(cancelled=True)
    assert gate.waiting == 1
    first.leave()
    assert third.wait() is None
    assert second.wait() is not None


def test_leaving_twice_counts_once():
    gate = admission(slots=1)
    first = entered(gate)
    first.leave()
    first.leave(DOWN)
    assert gate.in_flight == 0
    assert entered(gate).wait() is None
    assert entered(gate).wait() is not None


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back():
    gate = admission(slots=1, longest=3)
    for _ in range(4):
        entered(gate)
    error = refused(entered(gate))
    assert (type(error), error.kind, error.phase) == (Overloaded, "queue_full", "queue")
    assert 1 <= error.retry_after <= 1.2
    assert gate.waiting == 3


def test_a_turn_that_does_not_come_in_time_is_a_timeout():
    clock = FakeClock()
    gate = admission(clock, slots=1)
    entered(gate)
    second = entered(gate, seconds=5)
    assert second.wait() == 5
    clock.pass_(5)
    error = refused(second)
    assert (type(error), error.kind, error.phase) == (Timeout, "queue_timeout", "queue")
    assert gate.waiting == 0


def test_a_line_too_long_for_the_calls_time_refuses_early():
    clock = FakeClock()
    gate = admission(clock, slots=1)
    for _ in range(3):
        ticket = entered(gate)
        clock.pass_(10)
        ticket.leave()
    entered(gate)
    assert entered(gate, seconds=11).wait() is not None
    error = refused(entered(gate, seconds=11))
    assert (error.kind, "20 s" in error.message) == ("queue_full", True)
    assert 20 <= error.retry_after <= 24


def test_a_servers_hint_pauses_the_whole_line():
    clock = FakeClock()
    gate = admission(clock)
    entered(gate).leave(RateLimited("Slow down", status=429, retry_after=3))
    waiting = entered(gate)
    assert waiting.wait() == 3
    assert entered(gate, "other").wait() is None
    clock.pass_(3)
    assert waiting.wait() is None


def test_a_hint_that_is_too_long_pauses_nobody_else():
    gate = admission()
    entered(gate).leave(RateLimited("Slow down", status=429, retry_after=600))
    assert entered(gate).wait() is None


@pytest.mark.parametrize("kind", ["model_loading", "model_unloaded"])
def test_a_model_that_is_loading_is_no_reason_to_ask_less(kind):
    gate = admission()
    tickets = [entered(gate) for _ in range(10)]
    tickets[0].leave(Overloaded("Loading", kind=kind, status=503))
    assert entered(gate).wait() is None


def test_a_busy_server_is_asked_less_at_a_time():
    gate = admission()
    tickets = [entered(gate) for _ in range(10)]
    tickets[0].leave(BUSY)
    assert entered(gate).wait() is not None
    for ticket in tickets[1:4]:
        ticket.leave()
    assert gate.in_flight == 7


def test_a_backend_that_is_down_is_left_alone_and_then_probed():
    clock = FakeClock()
    gate = admission(clock)
    for _ in range(5):
        entered(gate).leave(DOWN)
    error = refused(entered(gate))
    assert (type(error), error.kind, error.phase) == (ProviderDown, "circuit_open", "queue")
    assert error.retry_after == 1.0
    assert entered(gate, force=True).wait() is None
    clock.pass_(1)
    probe = entered(gate)
    assert probe.wait() is None
    assert refused(entered(gate)).kind == "circuit_open"
    probe.leave()
    assert entered(gate).wait() is None


def test_what_the_caller_did_wrong_shows_that_the_backend_is_there():
    gate = admission()
    for _ in range(4):
        entered(gate).leave(DOWN)
    entered(gate).leave(BadRequest("No such thing", status=400))
    for _ in range(4):
        entered(gate).leave(DOWN)
    assert entered(gate).wait() is None


def test_a_spent_account_is_not_asked_for_five_minutes():
    clock = FakeClock()
    gate = admission(clock)
    entered(gate).leave(QuotaExceeded("No credit", kind="insufficient_quota", status=429))
    error = refused(entered(gate))
    assert (type(error), error.kind, error.status) == (QuotaExceeded, "insufficient_quota", 429)
    assert "No credit" in error.message
    assert entered(gate, force=True).wait() is None
    clock.pass_(300)
    assert entered(gate).wait() is None


def test_limits_that_change_wake_those_who_wait():
    gate = admission(slots=1)
    entered(gate)
    called = []
    second, third = entered(gate), entered(gate)
    second.called, third.called = lambda: called.append(2), lambda: called.append(3)
    gate.configure(slots=2, per_second=None)
    assert (second.wait(), called[0]) == (None, 2)
    gate.configure(slots=None, per_second=None)
    assert third.wait() is None


def test_who_waits_for_a_backend_that_is_taken_away_is_refused():
    gate = admission(slots=1)
    flying, waiting = entered(gate), entered(gate)
    called = []
    waiting.called = lambda: called.append(1)
    gate.close()
    assert (refused(waiting).kind, called, gate.waiting) == ("backend_removed", [1], 0)
    assert flying.wait() is None
    flying.leave()
    assert gate.in_flight == 0


def test_each_refusal_says_what_it_is_and_what_to_do():
    clock = FakeClock()
    gate = admission(clock, slots=1)
    first, late, away = entered(gate), entered(gate, seconds=1), entered(gate)
    clock.pass_(1)
    told = [refused(late)]
    gate.close()
    told.append(refused(away))
    for _ in range(5):
        first = gate.enter("m", 30, force=True)
        gate.look(first)
        first.leave(DOWN)
    gate.configure(None, None)
    for _ in range(5):
        entered(gate, "other", force=True).leave(DOWN)
    told.append(refused(entered(gate, "other")))
    spent = admission()
    entered(spent).leave(QuotaExceeded("No credit", kind="quota", status=429))
    told.append(refused(entered(spent)))
    assert [(error.message, error.hint) for error in told] == [
        (
            "No turn for this call before its time in the queue was over",
            "Nothing was sent. Ask again later, or ask less at a time.",
        ),
        (
            "The backend was taken away while this call waited for its turn",
            "Nothing was sent. Ask a backend that is there.",
        ),
        (
            "It failed 5 times in a row and is left alone for 1.0 s",
            "Nothing was sent. Start the server or check the endpoint; force=True asks it anyway.",
        ),
        (
            "A moment ago it said: No credit",
            "Nothing was sent. Add credit to the account; then force=True asks it at once.",
        ),
    ]
    assert {error.phase for error in told} == {"queue"}


def test_what_is_told_of_a_line():
    clock = FakeClock()
    gate = admission(clock, slots=2)
    for _ in range(4):
        ticket = entered(gate)
        clock.pass_(4)
        ticket.leave()
    entered(gate), entered(gate), entered(gate)
    assert gate.describe(entered(gate)) == {
        "qpsLimit": None,
        "currentQps": 0.3,
        "queueLength": 2,
        "estimatedWaitTime": 4000,
    }


def test_models_that_nobody_uses_are_forgotten():
    gate = admission()
    kept = entered(gate, "kept")
    for number in range(300):
        entered(gate, f"model {number}").leave()
    assert len(gate._lanes) <= 257
    assert "kept" in gate._lanes
    kept.leave()


def test_requests_by_the_second():
    clock = FakeClock()
    gate = admission(clock, per_second=2)
    first, second, third = (entered(gate) for _ in range(3))
    assert [first.wait(), second.wait(), third.wait()] == [None, 0.5, 0.5]
    clock.pass_(0.5)
    assert [second.wait(), third.wait()] == [None, 0.5]
    assert gate.describe(third)["estimatedWaitTime"] == 500


def test_tokens_are_counted_only_where_the_server_counts_them():
    gate = admission()
    first = gate.enter("m", 30, cost=lambda: 1 / 0)
    first.saw({"tokens": Allowance(limit=1000, remaining=100, reset=90)})
    first.leave()
    second = gate.enter("m", 30, cost=lambda: 300.0)
    assert second.wait() == 20


def test_threads_never_have_more_than_the_slots():
    gate, most, errors = Admission(slots=3), [0], []
    working = threading.Semaphore(3)

    def work():
        for _ in range(50):
            bell = threading.Event()
            ticket = gate.enter("m", 60)
            ticket.called = bell.set
            while ticket.wait() is not None:
                bell.wait(0.05)
                bell.clear()
            if not working.acquire(blocking=False):
                errors.append("more than three")
            else:
                working.release()
            most[0] = max(most[0], gate.in_flight)
            ticket.leave()

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (errors, gate.in_flight, gate.waiting, most[0] <= 3) == ([], 0, 0, True)


class Gate(RuleBasedStateMachine):
    """Whatever happens: no more in flight than slots, first come first served, nothing lost."""

    def __init__(self):
        super().__init__()
        self.clock = FakeClock()
        self.gate = Admission(self.clock, half, slots=2, longest=4)
        self.line = []  # in the order in which they came
        self.flying = []

    @rule(seconds=st.sampled_from([1.0, 5.0, 30.0]))
    def enter(self, seconds):
        ticket = self.gate.enter("m", seconds)
        if ticket.error is None:
            self.line.append(ticket)
        self.sort()

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), error=st.sampled_from([None, DOWN, BUSY, BadRequest("No", status=400)]))
    def end(self, data, error):
        ticket = data.draw(st.sampled_from(self.flying))
        self.flying.remove(ticket)
        ticket.leave(error)
        self.sort()

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def give_up(self, data):
        ticket = data.draw(st.sampled_from(self.line))
        self.line.remove(ticket)
        ticket.leave(cancelled=True)
        self.sort()

    @rule(seconds=st.floats(0.1, 20))
    def time_passes(self, seconds):
        self.clock.pass_(seconds)
        for ticket in self.line:
            if ticket.error is None and not ticket.admitted:
                self.gate.look(ticket)
        self.sort()

    def sort(self):
        admitted = [ticket for ticket in self.line if ticket.admitted]
        left = [t for t in self.line if not t.admitted and t.error is None]
        if left and admitted:
            assert self.line.index(admitted[-1]) < self.line.index(left[0])
        self.flying += admitted
        self.line = left

    @invariant()
    def bounds(self):
        assert self.gate.in_flight == len(self.flying) <= 2
        assert self.gate.waiting == len(self.line) <= 4


Gate.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestGate = Gate.TestCase
