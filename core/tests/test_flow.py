"""The flow, carried out by a scripted interpreter: no socket, no thread, no clock."""

from __future__ import annotations

import attrs
import pytest
from interpreter import BACKEND, OK, Letters, a_call, course, drive, explain, post, text

from multitap.engine.flow import Flow
from multitap.errors import (
    BadRequest,
    EngineError,
    PluginError,
    ProtocolError,
    ProviderDown,
    Timeout,
    TruncatedStream,
)
from multitap.events import Notice, Stop, Text
from multitap.policy.clocks import Clocks
from multitap.work import (
    Head,
    HttpCall,
    LocalExchange,
    Operation,
    Out,
    Sleep,
    fetch,
)


def test_an_exchange_is_sent_read_and_finished():
    seen, given = drive(Flow(a_call(post())), [OK, b"hi", b"."])
    assert seen == ["Send", "Read", "Out", "Read", "Out", "Done"]
    assert (text(given), given[-1]) == ("hi", Stop("complete"))


def test_nothing_follows_the_terminal_event():
    _, given = drive(Flow(a_call(post())), [OK, b"a.b."])
    assert given == [Text("a"), Stop("complete")]


def test_an_answer_without_its_end_is_truncated_and_not_tried_again():
    flow = Flow(a_call(post()))
    with pytest.raises(TruncatedStream) as caught:
        drive(flow, [OK, b"hi", b""])
    assert (caught.value.backend, caught.value.model) == ("here", "tiny")
    assert [attempt.delay for attempt in flow.attempts] == [None]


def test_an_empty_answer_is_tried_again_from_the_start():
    flow = Flow(a_call(post()))
    seen, given = drive(flow, [OK, b"", OK, b"hi."])
    assert seen[:5] == ["Send", "Read", "Drop", "Sleep", "Send"]
    assert text(given) == "hi"
    assert [type(a.error) for a in flow.attempts] == [TruncatedStream, type(None)]


def test_each_attempt_has_a_decoder_of_its_own():
    made = []

    def decoder(head):
        made.append(Letters())
        return made[-1]

    drive(Flow(a_call(post(decoder))), [OK, b"!", OK, b"a."])
    assert len(made) == 2


def test_after_the_first_text_nothing_is_tried_again():
    flow = Flow(a_call(post()))
    with pytest.raises(EngineError):
        drive(flow, [OK, b"a!"])
    assert len(flow.attempts) == 1


def test_a_warning_does_not_commit():
    class Warns(Letters):
        def feed(self, data):
            return [Notice("slow", "Slow today."), *super().feed(data)]

    seen, _ = drive(Flow(a_call(post(lambda head: Warns()))), [OK, b"!", OK, b"a."])
    assert seen.count("Send") == 2


def test_three_attempts_are_all():
    flow = Flow(a_call(post()))
    with pytest.raises(ProviderDown):
        drive(flow, [ProviderDown("No") for _ in range(3)])
    assert [(a.number, a.delay) for a in flow.attempts] == [(1, 0.5), (2, 1.0), (3, None)]


def test_a_status_is_explained_and_a_hint_is_followed():
    flow = Flow(a_call(post()))
    slow_down = Head(429, {"retry-after": "2", "x-request-id": "r1"})
    drive(flow, [slow_down, b"Slow", b" down", b"", OK, b"a."])
    error = flow.attempts[0].error
    assert (error.message, error.status, error.request_id) == ("Slow down", 429, "r1")
    assert flow.attempts[0].delay == pytest.approx(2.2)


def test_what_is_not_retryable_is_raised_at_once():
    flow = Flow(a_call(post()))
    with pytest.raises(BadRequest, match="Bad"):
        drive(flow, [Head(400, {}), b"Bad", b""])
    assert len(flow.attempts) == 1


def test_no_retry_goes_beyond_the_deadline():
    with pytest.raises(ProviderDown):
        drive(Flow(a_call(post(), clocks=Clocks(deadline=0.4))), [ProviderDown("No")])


def test_an_unstreamed_generation_that_may_have_run_is_not_sent_twice():
    lost = Timeout("Silence", kind="first_byte_timeout")
    with pytest.raises(Timeout):
        drive(Flow(a_call(post(), streamed=False)), [lost])
    seen, _ = drive(Flow(a_call(post(idempotent=True), streamed=False)), [lost, OK, b"a."])
    assert seen.count("Send") == 2


def test_a_redirect_is_refused_and_names_the_host_only():
    with pytest.raises(ProtocolError) as caught:
        drive(Flow(a_call(post())), [Head(307, {"location": "https://evil.example/x?key=1"})])
    assert "evil.example" in str(caught.value)
    assert "key" not in str(caught.value)


def test_a_stage_that_raises_is_the_plugins_fault():
    class Broken(Letters):
        def feed(self, data):
            raise KeyError("role")

    with pytest.raises(PluginError) as caught:
        drive(Flow(a_call(post(lambda head: Broken()))), [OK, b"a"])
    assert caught.value.distribution == "multitap-acme"
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_explain_that_explains_nothing_is_the_plugins_fault():
    work = attrs.evolve(post(), explain=lambda reply: None)
    with pytest.raises(PluginError):
        drive(Flow(a_call(work)), [Head(500, {}), b""])


def test_the_key_is_taken_out_of_an_error():
    @attrs.frozen
    class Key:
        def __call__(self, call, body):
            return {}

        def redact(self, text):
            return text.replace("sesame", "***")

    backend = attrs.evolve(BACKEND, auth=Key())
    with pytest.raises(BadRequest) as caught:
        drive(Flow(a_call(post(), backend=backend)), [Head(400, {}), b"sesame is wrong", b""])
    assert "sesame" not in f"{caught.value} {caught.value!r} {caught.value.args}"


class Upper:
    """Holds one text back, as a filter that looks for a tag does."""

    def __init__(self):
        self.held = []

    def feed(self, events):
        events, self.held = [*self.held, *events], []
        if events and isinstance(events[-1], Text):
            self.held = [events.pop()]
        return [Text(e.content.upper()) if isinstance(e, Text) else e for e in events]

    def finish(self):
        return self.held


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([OK, b"ab", b"."], None),
        ([OK, b"ab", b""], TruncatedStream),
        ([OK, b"ab", ProviderDown("Reset", kind="connection_lost")], ProviderDown),
        ([OK, b"ab!"], EngineError),
    ],
)
def test_a_filter_gives_back_what_it_holds_however_the_answer_ends(script, error):
    _, given, raised = course(Flow(a_call(post(), filters=lambda: [Upper()])), script)
    assert type(raised) is (error or type(None))
    assert text(given) == "AB"


def test_filters_start_afresh_with_each_attempt():
    made = []

    def filters():
        made.append(Upper())
        return [made[-1]]

    _, given = drive(Flow(a_call(post(), filters=filters)), [OK, b"", OK, b"a."])
    assert (len(made), text(given)) == (2, "A")


def test_local_work_is_started_and_taken():
    work = LocalExchange(lambda emit: None)
    seen, given = drive(Flow(a_call(work)), [[Text("a")], [Stop("complete")]])
    assert seen == ["Start", "Take", "Out", "Take", "Out", "Done"]
    assert text(given) == "a"


def test_local_work_that_raises_is_the_plugins_fault():
    with pytest.raises(PluginError):
        drive(Flow(a_call(LocalExchange(lambda emit: None))), [ZeroDivisionError()])


def test_an_operation_polls_sleeps_and_answers():
    def steps():
        for _ in range(2):
            reply = yield from fetch(HttpCall(method="GET", path="/job"))
            yield Sleep(1.0)
        yield Out([Text(reply.body.decode()), Stop("complete")])

    script = [OK, b"x", b"", OK, b"done", b""]
    seen, given = drive(Flow(a_call(Operation(steps, explain))), script)
    assert seen.count("Sleep") == 2
    assert text(given) == "done"


def test_a_failure_is_raised_inside_the_operation_after_its_retries():
    def steps():
        try:
            yield from fetch(HttpCall(method="GET", path="/job"))
        except ProviderDown as error:
            yield Out([Text(error.kind), Stop("complete")])

    script = [ProviderDown("No") for _ in range(3)]
    _, given = drive(Flow(a_call(Operation(steps, explain))), script)
    assert text(given) == "provider_down"


def test_an_operation_may_end_in_an_exchange():
    def steps():
        yield from fetch(HttpCall(method="POST", path="/load", idempotent=True))
        yield post()

    seen, given = drive(Flow(a_call(Operation(steps, explain))), [OK, b"", OK, b"a."])
    assert (seen.count("Done"), text(given)) == (2, "a")


def test_results_that_are_no_events_need_no_stop():
    class Whole(Letters):
        def feed(self, data):
            return []

        def finish(self):
            return ["whole"]

    work = post(lambda head: Whole())
    _, given = drive(Flow(a_call(work, ends_with_stop=False)), [OK, b"x", b""])
    assert given == ["whole"]


@pytest.mark.parametrize("given", [[], ["half"]])
def test_results_that_need_a_last_one_are_cut_without_it(given):
    def work(emit):
        emit(given)

    call = a_call(LocalExchange(work), ends_with_stop=False, last=float)
    script = [given, None] if given else [None] * 3
    with pytest.raises(TruncatedStream):
        drive(Flow(call), script)
    _, found = drive(Flow(call), [[*given, 1.5], None])
    assert found == [*given, 1.5]


@pytest.mark.parametrize("last", [None, 1.5])
def test_the_last_result_of_an_operation_may_come_from_any_of_its_exchanges(last):
    class Read(Letters):
        def feed(self, data):
            return []

        def finish(self):
            return [self.result]

    def read(result):
        decoder = Read()
        decoder.result = result
        return post(lambda head: decoder)

    def steps():
        yield read("first")
        yield read(last or "second")

    call = a_call(Operation(steps, explain), ends_with_stop=False, last=float)
    _, given, error = course(Flow(call), [OK, b"x", b""] * 2)
    assert given == ["first", last or "second"]
    assert (error is None) == (last is not None)


def test_what_is_no_work_is_the_plugins_fault():
    with pytest.raises(PluginError):
        drive(Flow(a_call(None)), [])
