"""The kit's rules, and tests of what they leave out: chat that takes several requests."""

from pathlib import Path

import pytest
from kiln_server import Kiln
from multitap_kiln.chat import KilnChat
from multitap_kiln.jobs import explain

from multitap import errors
from multitap.capabilities.chat import ChatRequest
from multitap.events import Loading, Stop, Text
from multitap.hookspecs import Backend
from multitap.messages import Message
from multitap.testing import WORLDS, Server, broken_rules, json, repeat, request, when
from multitap.testing.kit import CatalogSuite, ChatSuite, EmbeddingSuite, Vector
from multitap.work import HttpCall, HttpReply, Out, Sleep

VECTORS = Path(__file__).parent / "vectors"
ANSWERS = [Vector.load(VECTORS / f"{name}.json") for name in ("one", "baked", "cut", "whole")]
CRACKED = Vector.load(VECTORS / "cracked.json")
REFUSALS = [Vector.load(VECTORS / f"{name}.json") for name in ("no_model", "too_long")]
named = pytest.mark.parametrize("vector", ANSWERS, ids=lambda vector: vector.name)
worlds = pytest.mark.parametrize("world", WORLDS)


class TestKiln(ChatSuite, EmbeddingSuite, CatalogSuite):
    provider = "kiln"
    vectors = VECTORS


def asked(text, **options):
    """The work of one question, with the backend's own pause."""
    backend = Backend(id="kiln", provider="kiln", settings={"poll": 0.05})
    one = ChatRequest(model="clay", messages=(Message("user", text),), **options)
    return KilnChat(backend).chat(one)


def played(work, replies):
    """What the steps of a work put out, how long they wait, and what they ask for."""
    steps, replies = work.steps(), iter(replies)
    events, waits, calls = [], [], []
    step = next(steps)
    try:
        while True:
            if isinstance(step, HttpCall):
                calls.append(step)
                step = steps.send(next(replies))
                continue
            if isinstance(step, Out):
                events += step.items
            if isinstance(step, Sleep):
                waits.append(step.seconds)
            step = next(steps)
    except StopIteration:
        return events, waits, calls


def replies_of(vector):
    """The recorded answers, in the order in which they came."""
    return [recording.reply for recording in (*vector.beside, vector.recording)]


def reply(body, status=200, **headers):
    return HttpReply(status, headers, body)


def a_kiln():
    """A Kiln on a port of this machine, for one test."""
    kiln = Kiln()

    def answer(connection):
        came = connection.request
        status, headers, value = kiln.answer(
            came.method, came.path, came.json() if came.body else None
        )
        return json(value, status, headers)

    return Server(repeat(request, answer))


def a_runtime(world, server):
    return world({"kiln": {"endpoint": server.url}}, TestKiln.registry())


@named
def test_a_recorded_job_is_the_answer_that_it_became(vector):
    events, _, calls = played(asked(vector.ask.args[0], **vector.ask.options), replies_of(vector))
    assert not broken_rules(events)
    assert "".join(e.content for e in events if isinstance(e, Text)) == vector.expect["text"]
    assert events[-1] == Stop(vector.expect["stop_reason"])
    usage = events[-2].usage
    assert {name: getattr(usage, name) for name in vector.expect["usage"]} == vector.expect["usage"]
    assert len(calls) == len(vector.beside) + 1


def test_progress_is_told_once_and_the_server_says_how_long_to_wait():
    events, waits, calls = played(
        asked("a b"),
        [
            reply(b'{"job": "j7"}', 202),
            reply(b'{"state": "queued"}', **{"retry-after": "3"}),
            reply(b'{"state": "queued"}'),
            reply(b'{"state": "firing", "percent": 40}'),
            reply(b'{"state": "done", "text": "A B"}'),
        ],
    )
    assert events[:2] == [Loading("queued"), Loading("firing", completed=40, total=100)]
    assert waits == [3.0, 0.05, 0.05]
    assert [call.path for call in calls] == ["/jobs", *["/jobs/j7"] * 4]
    assert events[-2].usage.total_tokens is None


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", errors.ProtocolError),
        (b"[" * 100_000, errors.ProtocolError),
        (b'{"state": null}', errors.ProtocolError),
        (b'{"state": "lost"}', errors.ProtocolError),
        (b'{"state": "done"}', errors.ProtocolError),
        (b'{"state": "failed"}', errors.EngineError),
    ],
)
def test_nonsense_is_a_typed_failure(said, error):
    with pytest.raises(error):
        played(asked("a"), [reply(b'{"job": "j1"}', 202), reply(said)])


@pytest.mark.parametrize("said", [b"", b"{}", b'{"job": ""}', b"null", b"<html>"])
def test_a_job_without_a_name_is_a_typed_failure(said):
    with pytest.raises(errors.ProtocolError):
        played(asked("a"), [reply(said, 202)])


def test_a_recorded_failure_is_told_in_the_words_of_the_server():
    with pytest.raises(errors.EngineError, match="it cracked at 900 °C"):
        played(asked("crack"), replies_of(CRACKED))


@pytest.mark.parametrize("vector", REFUSALS, ids=lambda vector: vector.name)
def test_a_recorded_refusal_is_the_error_that_it_means(vector):
    assert type(explain(vector.recording.reply)).__name__ == vector.expect["error"]


@pytest.mark.parametrize(
    ("status", "error"), [(401, "AuthenticationError"), (429, "RateLimited"), (503, "Overloaded")]
)
def test_a_status_is_the_error_that_it_means_whatever_the_body(status, error):
    for body in (b"", b"<html>", b"null", b'{"why": 7}', b"[" * 100_000):
        assert type(explain(reply(body, status))).__name__ == error


def test_what_was_not_asked_for_is_not_sent():
    assert played_body(asked("a")) == {"model": "clay", "text": "a", "options": {}}
    options = played_body(asked("a", seed=0, max_tokens=1, extra={"glaze": "matt"}))["options"]
    assert options == {"seed": 0, "limit": 1, "glaze": "matt"}


def played_body(work):
    return next(work.steps()).body.value


@worlds
def test_it_is_streamed_and_answered_alike(world):
    with a_kiln() as server, a_runtime(world, server) as runtime:
        events, stream = runtime.stream("rise and shine", model="kiln:clay", max_tokens=2, top_p=1)
        answer = runtime.call("chat", "rise and shine", model="kiln:clay", max_tokens=2)
    assert not broken_rules(events)
    assert [e.type for e in events] == ["warning", "loading", "loading", "text", "usage", "stop"]
    assert stream.answer.text == answer.text == "RISE AND"
    assert answer.stop_reason == "max_tokens"
    assert answer.usage.total_tokens == 5


@worlds
def test_what_goes_wrong_is_typed(world):
    with a_kiln() as server, a_runtime(world, server) as runtime:
        with pytest.raises(errors.EngineError, match="cracked"):
            runtime.call("chat", "crack", model="kiln:clay")
        with pytest.raises(errors.ContextOverflow) as overflow:
            runtime.call("chat", "word " * 13, model="kiln:clay")
        with pytest.raises(errors.ModelNotFound, match="no dust"):
            runtime.call("chat", "hello", model="kiln:dust")
        with pytest.raises(errors.NotSupported, match="no conversation"):
            runtime.call("chat", "b", system="a", model="kiln:clay")
    assert (overflow.value.limit, overflow.value.needed) == (12, 13)


@worlds
def test_a_job_that_is_lost_is_no_missing_model(world):
    routes = {"/jobs": json({"job": "j1"}, 202), "/jobs/j1": json({"why": "never heard"}, 404)}
    with (
        Server(repeat(when(routes))) as server,
        a_runtime(world, server) as runtime,
        pytest.raises(errors.EngineError, match="never heard"),
    ):
        runtime.call("chat", "hello", model="kiln:clay")


@worlds
def test_who_leaves_while_it_is_fired_is_let_go(world):
    with a_kiln() as server, a_runtime(world, server) as runtime:
        seen, stream = runtime.items(
            "stream", "rise and shine", model="kiln:clay", after=lambda seen, stream: False
        )
        assert [event.type for event in seen] == ["loading"]
        assert runtime.call("chat", "again", model="kiln:clay").text == "AGAIN"
    assert stream.answer.stop_reason == "cancelled"
