"""Through sockets, blocking and on an event loop: streams in pieces, errors, keys, hanging up."""

from __future__ import annotations

import json
import random

import pytest
from lmstudio_here import lmstudio_config, lmstudio_registry

from multitap.errors import (
    BackendError,
    ContextOverflow,
    EngineError,
    NotSupported,
    ProtocolError,
    ProviderDown,
)
from multitap.events import Text, Usage
from multitap.testing import (
    WORLDS,
    Server,
    broken_rules,
    client_closed,
    drip,
    request,
    sse,
)
from multitap.testing import json as json_answer


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def make(request):
    """Makes a runtime of this plugin at one address."""
    opened = []

    def here(url, **settings):
        opened.append(request.param(lmstudio_config(url, **settings), lmstudio_registry()))
        return opened[-1]

    yield here
    for one in opened:
        one.close()


def chunk(finish=None, model="tiny", **delta):
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish}
    return {"model": model, "choices": [choice]}


COUNTS = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
SAID = [
    chunk(content="<think>"),
    chunk(content="Two and two."),
    chunk(content="</think>\n\nFo"),
    chunk(content="ur, é."),
    chunk("stop"),
    {"choices": [], "usage": COUNTS},
]
MESSAGE = {"role": "assistant", "content": "<think>Two and two.</think>\n\nFour, é."}
WHOLE = {
    "model": "tiny",
    "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
    "usage": COUNTS,
}


def raw(events):
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    return (head + body).encode()


@pytest.mark.parametrize("seed", range(8))
def test_a_stream_is_read_however_it_arrives(make, seed):
    data = raw(SAID)
    cuts = sorted(random.Random(seed).sample(range(1, len(data)), 3))
    with Server([request, drip(data, cuts=cuts)]) as server:
        events, stream = make(server.url).stream("What is 2 plus 2?")
    assert (stream.answer.reasoning, stream.answer.text) == ("Two and two.", "Four, é.")
    assert stream.answer.usage == Usage.reported(4, 2)
    assert broken_rules(events) == []


def test_a_whole_answer_is_the_same(make):
    with Server([request, json_answer(WHOLE), client_closed]) as server:
        answer = make(server.url).call("chat", "What is 2 plus 2?")
    assert (answer.reasoning, answer.text) == ("Two and two.", "Four, é.")
    assert "stream" not in server.requests[0].json()


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/api", "/api/", "/api/v1", "/api/v0/"])
def test_an_endpoint_may_end_as_people_write_it(make, end):
    with Server([request, json_answer(WHOLE), client_closed]) as server:
        make(server.url + end).call("chat", "hi")
    assert [sent.target for sent in server.requests] == ["/v1/chat/completions"]


def test_the_token_goes_with_every_call_and_into_no_error(make):
    said = {"error": {"message": "Bad token hush-canary-sesame", "type": "invalid_request_error"}}
    with Server([request, json_answer(said, 401), client_closed]) as server:
        with pytest.raises(BackendError) as caught:
            make(server.url, api_key="hush-canary-sesame").call("chat", "hi")
        assert server.requests[0].headers["authorization"] == "Bearer hush-canary-sesame"
    assert "hush-canary-sesame" not in f"{caught.value} {caught.value!r} {caught.value.to_dict()}"


def test_another_model_is_a_warning(make):
    said = {**WHOLE, "model": "other/model"}
    with Server([request, json_answer(said), client_closed]) as server:
        answer = make(server.url).call("chat", "hi")
    (notice,) = answer.warnings
    assert (notice.code, notice.provider_options) == ("other_model", {"model": "other/model"})


def test_what_is_not_to_be_had_is_a_warning_or_with_strict_an_error(make):
    with Server([request, json_answer(WHOLE), client_closed]) as server:
        answer = make(server.url).call("chat", "hi", think="low", logprobs=2)
    assert {notice.option for notice in answer.warnings} == {"think", "logprobs"}
    with Server([request, json_answer(WHOLE)]) as server, pytest.raises(NotSupported):
        make(server.url).call("chat", "hi", think="low", strict=True)


def test_an_overflow_within_a_stream_is_told_once(make):
    failure = {"error": {"message": "Context size has been exceeded.", "type": "server_error"}}
    with Server([request, sse([failure], done=None)]) as server:
        with pytest.raises(ContextOverflow) as caught:
            make(server.url).stream("hi")
        assert len(server.requests) == 1
    assert (caught.value.backend, caught.value.model) == ("lmstudio", "tiny")


def test_a_crash_after_the_first_word_keeps_it(make):
    crash = {"error": "The model has crashed without additional information."}
    with Server([request, sse([chunk(content="It"), crash], done=None)]) as server:
        with pytest.raises(EngineError) as caught:
            make(server.url).stream("hi")
        assert len(server.requests) == 1
    assert caught.value.partial.text == "It"


def test_leaving_early_closes_the_connection(make):
    with Server([request, sse([chunk(content="It"), client_closed])]) as server:
        make(server.url).stream("hi", after=lambda seen, _: not isinstance(seen[-1], Text))
        server.wait_until(lambda: server.connections[0].closed)


def test_vectors_come_without_counts_that_are_none(make):
    rows = [{"index": 1, "embedding": [3.0, 4.0]}, {"index": 0, "embedding": [1.0, 2.0]}]
    said = {"data": rows, "model": "nomic", "usage": {"prompt_tokens": 0, "total_tokens": 0}}
    with Server([request, json_answer(said), client_closed]) as server:
        found = make(server.url).call("embed", ["a", "b"])
    assert [list(row) for row in found.vectors] == [[1.0, 2.0], [3.0, 4.0]]
    assert found.usage == Usage()
    assert server.requests[0].json() == {"model": "tiny", "input": ["a", "b"]}


def test_a_route_that_is_not_there_is_no_answer(make):
    said = json_answer({"error": "Unexpected endpoint or method. (POST /v1/embeddings)"})
    with Server([request, said, client_closed]) as server:
        with pytest.raises(ProtocolError, match="Unexpected endpoint"):
            make(server.url).call("embed", ["a"])
        assert len(server.requests) == 1


def test_a_server_that_hangs_up_is_down(make):
    with Server([request]) as server, pytest.raises(ProviderDown):
        make(server.url).call("validate")
