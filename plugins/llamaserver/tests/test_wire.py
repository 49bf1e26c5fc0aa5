"""Through sockets, blocking and on an event loop: recorded streams, errors, and hanging up."""

from __future__ import annotations

import llamaserver_reader as reader
import pytest
from llamaserver_here import llamaserver_config, llamaserver_registry
from over_sockets import abort, three_cuts

from multitap.errors import (
    BackendError,
    ContextOverflow,
    EngineError,
    ProviderDown,
    TruncatedStream,
)
from multitap.testing import (
    WORLDS,
    Recording,
    Server,
    broken_rules,
    client_closed,
    request,
    respond,
    sse,
)
from multitap.testing import json as json_answer

ENDS = {"stop": "complete", "length": "max_tokens", "tool_calls": "tool_use"}
OTHERS = [name for name in reader.names("test_recordings") if name not in reader.CHATS]
NAMES = [name for name in OTHERS if reader.recorded(name).whole]
OWN = "llama-server-0.7.0-b11669"


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def make(request):
    """Makes a runtime of this plugin at one server."""
    opened = []

    def here(server, **settings):
        config = llamaserver_config(server.url, **settings)
        opened.append(request.param(config, llamaserver_registry()))
        return opened[-1]

    yield here
    for one in opened:
        one.close()


def recording(name):
    return Recording.load(reader.RECORDINGS / f"{name}.json")


def word(text, finish=None):
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


WHOLE = sse([word("Hi", "stop")])


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_answer_is_read_however_it_arrives(make, name):
    recorded = reader.recorded(name)
    wanted = reader.expected(recorded)
    cuts = three_cuts(name, recorded)
    with Server([request, recording(name).answer(cuts), client_closed]) as server:
        try:
            events, stream = make(server).stream("hi")
            answer, shown = stream.answer, [event.to_dict() for event in events]
        except BackendError as error:
            answer, shown = error.partial, None
    choice = wanted.choices.get(0)
    if choice is None or choice.finish is None:
        assert shown is None
        return
    assert (answer.text, answer.reasoning) == (choice.text, choice.reasoning)
    assert [(c.name, c.arguments_text) for c in answer.tool_calls] == list(choice.calls.values())
    assert broken_rules(shown) == []
    cut = choice.calls and choice.finish != "length"
    assert answer.stop_reason == ("tool_use" if cut else ENDS[choice.finish])


def test_a_stream_that_broke_off_has_what_came(make):
    recorded = reader.of_llamaserver("abort_mid_stream")
    with Server(abort(recorded)) as server, pytest.raises(TruncatedStream) as caught:
        make(server).stream("hi")
    assert caught.value.partial.reasoning or caught.value.partial.text


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
def test_an_endpoint_may_end_as_people_write_it(make, end):
    with Server([request, WHOLE, client_closed]) as server:
        server_here = type("Here", (), {"url": server.url + end})
        assert make(server_here).call("chat", "hi").text == "Hi"
    assert [sent.target for sent in server.requests] == ["/v1/chat/completions"]


def test_a_whole_answer_is_asked_for_as_a_stream(make):
    with Server([request, recording(f"{OWN}/tool_auto_stream").answer(), client_closed]) as server:
        answer = make(server).call("chat", "hi", tools=[{"name": "get_weather"}])
    sent = server.requests[0].json()
    assert (sent["stream"], sent["return_progress"]) == (True, True)
    assert [(c.name, c.arguments) for c in answer.tool_calls] == [("get_weather", {"city": "Oslo"})]


def test_a_server_that_answers_in_one_body_is_read_too(make):
    with Server([request, recording(f"{OWN}/chat").answer(), client_closed]) as server:
        _, stream = make(server).stream("hi")
    assert stream.answer.text == "The capital of France is Paris."


@pytest.mark.parametrize("name", ["error_context_overflow", "error_context_overflow_stream"])
def test_an_overflow_is_told_once_in_numbers(make, name):
    with Server([request, recording(f"{OWN}/{name}").answer()]) as server:
        with pytest.raises(ContextOverflow) as caught:
            make(server).call("chat", "hi")
        assert len(server.requests) == 1
    error = caught.value
    assert (error.limit, error.needed, error.backend, error.model) == (
        512,
        2008,
        "llamaserver",
        "tiny",
    )


def test_while_the_model_loads_it_is_asked_again(make):
    loading = json_answer({"error": {"code": 503, "message": "Loading model"}}, 503)
    with Server([request, loading, request, WHOLE, client_closed]) as server:
        answer = make(server).call("chat", "hi")
    assert answer.text == "Hi"
    assert [attempt.error for attempt in answer.attempts] == [None]  # to wait is no attempt


def test_after_the_first_word_it_is_not(make):
    failure = {"error": {"code": 500, "message": "compute error", "type": "server_error"}}
    with Server([request, sse([word("It"), failure], done=False)]) as server:
        with pytest.raises(EngineError) as caught:
            make(server).stream("hi")
        assert len(server.requests) == 1
    assert caught.value.partial.text == "It"


def test_a_proxys_page_is_named(make):
    page = respond(502, {"content-type": "text/html"}, "<html><title>Bad Gateway</title>")
    script = [request, page, request, page, request, page, client_closed]
    with Server(script) as server, pytest.raises(ProviderDown, match="Bad Gateway"):
        make(server).stream("hi")
