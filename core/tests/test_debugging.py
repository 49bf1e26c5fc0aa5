"""``MULTITAP_DEBUG=llm``: each request and answer as one line of JSON; nothing without it."""

from __future__ import annotations

import json
import logging

import letters
import pytest
from letters import OverHttp, Poller, Typist

from multitap.engine import heard
from multitap.engine.trace import LONGEST_BODY
from multitap.errors import MultitapError
from multitap.testing import WORLDS, Gate, Server, hold, request, reset, respond, send

KEY = "hush-canary-1234567890"
PLAIN = {"content-type": "text/plain", "x-request-id": "r-1", "set-cookie": "a=b", "x-odd": "odd"}
HELLO = respond(200, PLAIN, "Hello.")


@pytest.fixture
def debugging(monkeypatch):
    monkeypatch.setenv("MULTITAP_DEBUG", "traceback,llm")


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes a runtime of one backend with a key."""
    opened = []

    def make(url, plugin=None):
        config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": url, "api_key": KEY}}
        opened.append(request.param(config, letters.registry(acme=plugin or OverHttp())))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def lines(capfd):
    """What was written to standard error: one object a line."""
    return lambda: [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_a_call_is_a_request_and_its_answer(world, debugging, lines):
    with Server([request, HELLO]) as server:
        assert world(server.url).call("chat", f"my key is {KEY}").text == "Hello"
        url = server.url
    sent, answer = lines()
    assert (sent["event"], sent["method"], sent["url"]) == ("request", "POST", f"{url}/chat")
    assert sent["body"] == {"prompt": "my key is ***", "stream": False}
    assert sent["headers"]["Authorization"] == "***"
    assert sent["headers"]["content-type"] == "application/json"
    assert (answer["event"], answer["status"], answer["body"]) == ("response", 200, "Hello.")
    assert (answer["size"], answer["headers"]["x-request-id"]) == (6, "r-1")
    shared = ("call", "attempt", "capability", "backend", "model")
    assert [sent[name] for name in shared] == [answer[name] for name in shared]
    assert [sent[name] for name in shared[1:]] == [1, "chat", "acme", "tiny"]


def test_headers_that_nobody_knows_are_masked(world, debugging, lines):
    with Server([request, HELLO]) as server:
        world(server.url).call("chat", "hi")
    headers = lines()[1]["headers"]
    assert (headers["x-odd"], headers["set-cookie"]) == ("***", "***")
    assert headers["content-type"] == "text/plain"


def test_each_attempt_has_its_lines_and_each_failure_its_reason(world, debugging, lines):
    busy = respond(503, {"retry-after": "0"}, f"busy with {KEY}")
    with Server([request, busy, request, HELLO]) as server:
        world(server.url).call("chat", "hi")
    found = lines()
    assert [(line["event"], line["attempt"]) for line in found] == [
        ("request", 1), ("response", 1), ("failure", 1), ("request", 2), ("response", 2),
    ]  # fmt: skip
    assert (found[1]["body"], found[2]["error"]["message"]) == ("busy with ***", "busy with ***")
    assert found[2]["retry_in"] is not None


def test_every_request_of_an_operation_is_written(world, debugging, lines):
    ready = respond(200, {}, json.dumps({"ready": True}))
    with Server([request, ready, request, HELLO]) as server:
        world(server.url, Poller()).call("chat", "hi")
    found = lines()
    assert [line["event"] for line in found] == ["request", "response"] * 2
    assert found[1]["body"] == {"ready": True}


def test_what_came_of_an_answer_that_breaks_off_is_written(world, debugging, lines):
    half = send("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nHel")
    with Server([request, half, reset]) as server, pytest.raises(MultitapError):
        world(server.url).call("chat", "hi")
    found = lines()
    assert [line["event"] for line in found] == ["request", "response", "failure"]
    assert found[1]["body"] == "Hel"


def test_what_came_of_an_answer_that_is_left_is_written(world, debugging, lines):
    half = send("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nHel")
    with Server([request, half, hold(Gate())]) as server:
        world(server.url).stream("hi", after=lambda seen, _: len(seen) < 3)
        assert [(line["event"], line.get("body")) for line in lines()][1:] == [("response", "Hel")]


def test_a_server_that_is_not_there_is_a_failure_without_an_answer(world, debugging, lines):
    with pytest.raises(MultitapError):
        world("http://127.0.0.1:1").call("chat", "hi", timeout=0.2)
    assert {line["event"] for line in lines()} == {"request", "failure"}


def test_a_query_is_not_written(world, debugging, lines):
    class Asking(OverHttp):
        def chat(self, request):
            work = super().chat(request)
            object.__setattr__(work.call, "path", "/chat?code=of-the-day")
            return work

    with Server([request, HELLO]) as server:
        world(server.url, Asking()).call("chat", "hi")
        assert lines()[0]["url"] == f"{server.url}/chat?***"


def test_of_a_long_answer_the_beginning_is_written(world, debugging, lines):
    with Server([request, respond(200, {}, "a" * 100_000 + ".")]) as server:
        world(server.url).call("chat", "hi")
    answer = lines()[1]
    assert (len(answer["body"]), answer["size"]) == (LONGEST_BODY, 100_001)


def test_handlers_of_the_logger_get_the_lines_in_place_of_standard_error(world, debugging, lines):
    class Kept(logging.Handler):
        def emit(self, record):
            kept.append((record.levelname, json.loads(record.getMessage())["event"]))

    kept, handler = [], Kept()
    logging.getLogger("multitap.llm").addHandler(handler)
    try:
        with Server([request, HELLO]) as server:
            world(server.url).call("chat", "hi")
    finally:
        logging.getLogger("multitap.llm").removeHandler(handler)
    assert kept == [("DEBUG", "request"), ("DEBUG", "response")]
    assert lines() == []


def test_work_in_this_process_has_nothing_to_write(world, debugging, lines):
    world("http://127.0.0.1:9", Typist("Hi.")).call("chat", "hi")
    assert lines() == []


@pytest.mark.parametrize("value", [None, "", "trace", "llms"])
def test_without_the_variable_nothing_is_built_and_nothing_written(
    world, lines, monkeypatch, value
):
    monkeypatch.delenv("MULTITAP_DEBUG", raising=False)
    if value is not None:
        monkeypatch.setenv("MULTITAP_DEBUG", value)
    built = []
    monkeypatch.setattr(heard, "Answer", lambda *facts: built.append(facts))
    monkeypatch.setattr("multitap.engine.request.wire_request", lambda *facts: built.append(facts))
    with Server([request, HELLO]) as server:
        world(server.url).call("chat", "hi")
    assert (built, lines()) == ([], [])


# ---- observers that hear answers -----------------------------------------------------------------


def test_an_observer_may_hear_answers(world):
    from test_trace import Tracer

    class Hearer(Tracer):
        def response_ended(self, call, answer):
            self.told.append(("ended", answer.status, answer.body, dict(answer.headers)))

    told = []
    with Server([request, respond(200, {}, f"It is {KEY}.")]) as server:
        here = world(server.url)
        registry = here.rt._parts.registry
        registry.add(Hearer(told), "hearer", ["extension"], distribution="dist-hearer")
        here.call("chat", "hi")
    kinds = [kind for kind, *_ in told]
    assert kinds[-3:] == ["ended", "attempt over", "call over"]
    (_, status, body, headers) = told[-3]
    assert (status, body, headers) == (200, "It is ***.", {"content-length": "29"})
