"""What the flow does about turns, loading models, other backends and limits: with no socket."""

from __future__ import annotations

import gc
import weakref

import pytest
from fake_clock import FakeClock, half
from interpreter import OK, Letters, a_call, course, drive, explain, post, text

from multitap.engine.commands import Pour, Read
from multitap.engine.flow import Flow
from multitap.errors import (
    BadRequest,
    EngineError,
    Overloaded,
    ProtocolError,
    ProviderDown,
    RateLimited,
    Timeout,
)
from multitap.events import (
    Loading,
    Notice,
    RateLimit,
    Stop,
    Text,
    ToolCallChunk,
    ToolCallStart,
)
from multitap.framing import JsonDecoder
from multitap.policy.admission import Admission
from multitap.policy.clocks import Clocks, Limits
from multitap.work import Backend, Head, HttpCall, Operation, Out, Sleep, fetch

LOADING = Overloaded("It loads the model", kind="model_loading", status=503)
UNLOADED = BadRequest("It is not loaded", kind="model_unloaded", status=400)
ELSEWHERE = Backend(id="there", provider="acme", endpoint="http://127.0.0.1:2")


def commands(flow, answer):
    """Drives a flow by hand; ``answer`` says what each command is sent back, or raises."""
    steps, seen = flow.run(), []
    resume, value = steps.send, None
    while True:
        try:
            command = resume(value)
        except StopIteration:
            return seen
        try:
            resume, value = steps.send, carried_out(command, answer, seen)
        except Exception as error:
            resume, value = steps.throw, error


def carried_out(command, answer, seen):
    if not isinstance(command, Pour):
        seen.append(command)
        return answer(command)
    while not command.over and (data := answer(Read())):
        items, command.over = command.step(data)
        seen.append(Out(items))
    return None


def outs(seen):
    return [item for command in seen if isinstance(command, Out) for item in command.items]


# ---- turns ---------------------------------------------------------------------------------------


def test_a_call_enters_before_each_attempt_and_leaves_after_it():
    gate = Admission(FakeClock(), half)
    flow = Flow(a_call(post(), admission=gate))
    counts = []

    def answer(command):
        name = type(command).__name__
        counts.append((name, gate.in_flight))
        if name == "Send" and len(flow.attempts) == 0:
            raise ProviderDown("Refused", kind="connect_failed", phase="connect")
        return {"Send": OK, "Read": b"hi."}.get(name)

    commands(flow, answer)
    assert counts[:4] == [("Send", 1), ("Drop", 0), ("Sleep", 0), ("Send", 1)]
    assert gate.in_flight == 0


def test_waiting_for_a_turn_is_told_once_and_ends_when_the_ticket_is_called():
    gate = Admission(FakeClock(), half, slots=1)
    first = gate.enter("tiny", 30)
    waits = []

    def answer(command):
        name = type(command).__name__
        if name == "Wait":
            waits.append(command.seconds)
            if len(waits) == 2:
                first.leave()
        return {"Send": OK, "Read": b"hi."}.get(name)

    seen = commands(Flow(a_call(post(), admission=gate)), answer)
    (told, *_) = outs(seen)
    assert [type(command).__name__ for command in seen[:4]] == ["Out", "Wait", "Wait", "Send"]
    assert isinstance(told, RateLimit)
    assert told.rate_limit["providerId"] == "here"
    assert told.rate_limit["queueLength"] == 1
    assert waits == [30, 30]


def test_a_refused_call_was_never_an_attempt():
    gate = Admission(FakeClock(), half, slots=1, longest=0)
    gate.enter("tiny", 30)
    flow = Flow(a_call(post(), admission=gate))
    seen, _, error = course(flow, [])
    assert (type(error), error.kind, error.backend, flow.attempts) == (
        Overloaded,
        "queue_full",
        "here",
        [],
    )
    assert "Send" not in seen


def test_where_the_circuit_opens_meanwhile_the_real_failure_is_told():
    gate = Admission(FakeClock(), half)
    for _ in range(4):
        gate.enter("tiny", 30).leave(ProviderDown("Refused", kind="connect_failed"))
    flow = Flow(a_call(post(), admission=gate))
    _, _, error = course(flow, [ProviderDown("Refused", kind="connect_failed")])
    assert (error.kind, len(flow.attempts)) == ("connect_failed", 1)


def test_giving_up_leaves_the_line_and_the_flight():
    gate = Admission(FakeClock(), half)
    flow = Flow(a_call(post(), admission=gate))
    steps = flow.run()
    next(steps)
    assert gate.in_flight == 1
    flow.leave()
    flow.leave()
    assert gate.in_flight == 0
    steps.close()
    assert gate.in_flight == 0


def test_each_request_of_an_operation_waits_for_its_own_turn():
    gate = Admission(FakeClock(), half)

    def steps():
        yield from fetch(HttpCall(method="GET", path="/one"))
        yield Out(["one"])

    flow = Flow(a_call(Operation(steps, explain), admission=gate, ends_with_stop=False))
    drive(flow, [OK, b"{}", b""])
    assert gate.in_flight == 0


def test_rates_that_an_answer_tells_hold_for_the_next_call():
    gate = Admission(FakeClock(), half)
    told = {
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "10s",
    }
    drive(Flow(a_call(post(), admission=gate)), [Head(200, told), b"hi."])
    assert gate.enter("tiny", 30, cost=lambda: 50.0).wait() == 5


# ---- models that load, and models that were unloaded ---------------------------------------------


def test_a_loading_model_is_waited_for_outside_of_the_attempts():
    flow = Flow(a_call(post()))
    seen = []

    def answer(command):
        seen.append(command)
        if type(command).__name__ == "Send" and sum(isinstance(c, Sleep) for c in seen) < 5:
            raise LOADING
        return {"Send": OK, "Read": b"hi."}.get(type(command).__name__)

    given = outs(commands(flow, answer))
    pauses = [command.seconds for command in seen if isinstance(command, Sleep)]
    assert pauses == [0.5, 0.75, 1.125, 1.6875, 2.0]
    assert [type(event) for event in given[:5]] == [Loading] * 5
    assert text(given) == "hi"
    assert len(flow.attempts) == 1


def test_a_model_that_never_gets_ready_ends_with_the_deadline():
    clocks = Clocks(deadline=1.0, now=lambda: 0.0)
    flow = Flow(a_call(post(), clocks=clocks))
    _, _, error = course(flow, [LOADING, LOADING, LOADING])
    assert error.kind == "model_loading"


def test_an_unloaded_model_is_loaded_once_and_asked_again():
    sent = []

    def load():
        sent.append("load")
        return a_call(post(), ends_with_stop=False)

    flow = Flow(a_call(post(), load=load))
    seen, given = drive(flow, [UNLOADED, OK, b"loaded", b"", OK, b"hi."])
    assert (sent, text(given)) == (["load"], "hi")
    assert len(flow.attempts) == 1
    assert seen.count("Send") == 3


def test_a_model_that_stays_unloaded_is_loaded_no_second_time():
    loads = []

    def load():
        loads.append(1)
        return a_call(post(), ends_with_stop=False)

    _, _, error = course(Flow(a_call(post(), load=load)), [UNLOADED, OK, b"", UNLOADED])
    assert (error.kind, loads) == ("model_unloaded", [1])


def test_where_loading_fails_that_is_the_error():
    def load():
        return a_call(post(), ends_with_stop=False)

    script = [UNLOADED, BadRequest("No memory left", status=400)]
    _, _, error = course(Flow(a_call(post(), load=load)), script)
    assert error.message == "No memory left"


# ---- what a server says of trying again ----------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "said", "attempts"),
    [(500, "false", 1), (400, "true", 3), (400, "", 1), (500, "", 3), (429, "false", 1)],
)
def test_a_server_may_forbid_or_ask_for_another_attempt(status, said, attempts):
    flow = Flow(a_call(post()))
    head = Head(status, {"x-should-retry": said})
    _, _, error = course(flow, [head, b"No", b""] * 3)
    assert len(flow.attempts) == attempts
    assert error.retryable is {"true": True, "false": False}.get(said, status >= 429)


def test_a_call_that_may_run_twice_is_tried_again_though_it_may_have_run():
    lost = Timeout("No answer", kind="first_byte_timeout")
    once = Flow(a_call(post(), streamed=False))
    course(once, [lost, OK, b"hi."])
    assert len(once.attempts) == 1
    twice = Flow(a_call(post(), streamed=False, idempotent=True))
    drive(twice, [lost, OK, b"hi."])
    assert len(twice.attempts) == 2


def test_a_hint_is_told_while_it_is_waited_for():
    slow = RateLimited("Slow down", status=429, retry_after=2)
    _, given = drive(Flow(a_call(post())), [slow, OK, b"hi."])
    assert given[0] == RateLimit({"providerId": "here", "estimatedWaitTime": 2200})


# ---- other backends ------------------------------------------------------------------------------


def test_a_call_goes_on_elsewhere_with_its_own_work_and_attempts():
    other = a_call(post(), backend=ELSEWHERE, notices=(Notice("fallback", "There."),))
    call = a_call(post(), elsewhere=lambda error: other)
    down = ProviderDown("Refused", kind="connect_failed")
    flow = Flow(call)
    seen, given = drive(flow, [down, down, down, OK, b"hi."])
    assert seen.count("Switch") == 1
    assert (given[0], text(given)) == (Notice("fallback", "There."), "hi")
    assert [a.error and a.error.backend for a in flow.attempts] == ["here"] * 3 + [None]


def test_after_the_first_text_nobody_else_is_asked():
    call = a_call(post(), elsewhere=lambda error: pytest.fail("asked"))
    _, _, error = course(Flow(call), [OK, b"a!"])
    assert isinstance(error, EngineError)


def test_where_nobody_else_may_be_asked_the_failure_is_the_first_one():
    call = a_call(post(), elsewhere=lambda error: None)
    _, _, error = course(Flow(call), [BadRequest("No", status=400)])
    assert error.message == "No"


# ---- silence and limits --------------------------------------------------------------------------


class Pings(Letters):
    def feed(self, data):
        return super().feed(data.replace(b"_", b""))


def test_signs_of_life_that_say_nothing_are_borne_for_a_time_only():
    clock = FakeClock()
    call = a_call(post(lambda head: Pings()), clocks=Clocks(progress=10, now=clock))
    course_of = iter([(OK, 0), (b"_", 0), (b"_", 9), (b"a", 5), (b"_", 0), (b"_", 9), (b"_", 1)])

    def answer(command):
        if type(command).__name__ in ("Send", "Read"):
            given, seconds = next(course_of)
            clock.pass_(seconds)
            return given
        return None

    with pytest.raises(Timeout) as caught:
        commands(Flow(call), answer)
    assert (caught.value.kind, caught.value.phase) == ("stall_timeout", "stream")
    assert next(course_of, None) is None


def test_a_whole_answer_may_come_slowly():
    clock, pieces = FakeClock(), iter([OK, b" ", b" ", b'"a', b'"', b""])

    def whole(head):
        return JsonDecoder(str, lambda letter: [Text(letter), Stop("complete")])

    def answer(command):
        clock.pass_(10)
        return next(pieces) if type(command).__name__ in ("Send", "Read") else None

    call = a_call(post(whole), streamed=False, clocks=Clocks(progress=1, now=clock))
    assert text(outs(commands(Flow(call), answer))) == "a"


def test_a_call_that_is_over_leaves_nothing_to_the_garbage_collector():
    flow = Flow(a_call(post()))
    gone = weakref.ref(flow)
    gc.disable()
    try:
        commands(flow, lambda command: {"Send": OK, "Read": b"hi."}.get(type(command).__name__))
        del flow
        assert gone() is None
    finally:
        gc.enable()


class Calls(Letters):
    def feed(self, data):
        kinds = {"s": self.start, "x": lambda: ToolCallChunk("c", "x" * 40)}
        return [kinds[letter]() for letter in data.decode()]

    def start(self):
        return ToolCallStart("c", "weather")


@pytest.mark.parametrize(
    ("data", "word"), [(b"sxxx", "arguments are longer than 100"), (b"sss", "more than 2 tools")]
)
def test_tool_calls_have_limits(data, word):
    limits = Limits(arguments_bytes=100, tool_calls=2)
    call = a_call(post(lambda head: Calls()), limits=limits)
    _, given, error = course(Flow(call), [OK, data])
    assert (type(error), error.kind) == (ProtocolError, "limit_exceeded")
    assert word in error.message
    assert len(given) == len(data) - 1
