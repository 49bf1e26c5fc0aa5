"""Through sockets, blocking and on an event loop: recorded streams, errors, and hanging up."""

from __future__ import annotations

import ollama_reader
import pytest
from ollama_here import ollama_config, ollama_registry
from over_sockets import abort, answer_of, asking, script, three_cuts

from multitap.errors import (
    ConfigError,
    ContextOverflow,
    EngineError,
    ModelNotFound,
    NotSupported,
    ProviderDown,
    TruncatedStream,
)
from multitap.testing import (
    WORLDS,
    Recording,
    Server,
    broken_rules,
    client_closed,
    ndjson,
    request,
    respond,
)
from multitap.testing import json as json_answer

ENDS = {"stop": "complete", "length": "max_tokens"}


def is_stream(name):
    recorded = ollama_reader.recorded(name)
    stream = recorded.headers.get("content-type") == "application/x-ndjson"
    return recorded.path == "/api/chat" and recorded.status == 200 and stream


NAMES = [name for name in ollama_reader.names("test_recordings") if is_stream(name)]
STREAMS = [name for name in NAMES if name not in ollama_reader.CHATS]
OK = {"message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}


ask = asking(ollama_config, ollama_registry)


@pytest.fixture(scope="module", params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes runtimes in blocking code, or on an event loop."""
    return request.param


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_stream_is_read_however_it_arrives(world, name):
    recorded = ollama_reader.recorded(name)
    recording = Recording.load(ollama_reader.RECORDINGS / f"{name}.json")
    wanted = ollama_reader.expected(recorded.body)
    cuts = three_cuts(name, recorded)
    aborted = recording.ended.startswith("client closed")
    steps = [request, recording.answer(cuts)] if not aborted else abort(recorded)
    with Server([*steps, client_closed] if recorded.whole else steps) as server:
        answer, shown = answer_of(ask, world, server)
    assert (answer.text, answer.reasoning) == (wanted.text, wanted.reasoning)
    assert [(call.name, call.arguments) for call in answer.tool_calls] == wanted.calls
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == wanted.counts
    assert answer.stop_reason == stop_reason(wanted)
    assert shown is None or broken_rules(shown) == []


def stop_reason(wanted):
    if wanted.error is not None or wanted.finish not in ENDS:
        return "error"
    return "tool_use" if wanted.calls and wanted.finish == "stop" else ENDS[wanted.finish]


# ---- a call as an application makes it -----------------------------------------------------------


def replay(name):
    """A connection that says what was recorded, then waits for the client to leave."""
    return [Recording.load(ollama_reader.RECORDINGS / f"{name}.json").script()]


@pytest.mark.parametrize("end", ["", "/", "/api", "/api/", "/v1", "/v1/"])
def test_an_endpoint_may_end_as_people_write_it(world, end):
    with Server(script(json_answer(OK))) as server:
        here = world(ollama_config(server.url + end), ollama_registry())
        assert here.call("chat", "hi").text == "Hi"
        here.close()
    assert [sent.target for sent in server.requests] == ["/api/chat"]


def test_a_whole_answer_is_asked_for_as_a_whole(world):
    with Server(replay("api_chat_tools")) as server:
        answer = ask(world, server, call="chat", tools=[{"name": "get_weather"}])
        sent = server.requests[0].json()
    assert answer.stop_reason == "tool_use"
    assert [call.name for call in answer.tool_calls] == ["get_weather"]
    assert sent["stream"] is False


def test_an_answer_goes_back_with_the_next_question_but_for_its_thought(world):
    first = {"thinking": "hm", "content": "", "tool_calls": [{"function": {"name": "now"}}]}
    with Server(script(json_answer({**OK, "message": first}), json_answer(OK))) as server:
        here = world(ollama_config(server.url), ollama_registry())
        answer = here.call("chat", "When?", tools=[{"name": "now"}])
        call = answer.tool_calls[0]
        result = {"role": "tool", "tool_call_id": call.id, "content": "noon"}
        here.call("chat", messages=[{"role": "user", "content": "When?"}, answer.message, result])
        here.close()
        sent = server.requests[1].json()["messages"]
    asked = {"id": call.id, "function": {"name": "now", "arguments": {}}}
    assert sent[1:] == [
        {"role": "assistant", "content": "", "tool_calls": [asked]},
        {"role": "tool", "content": "noon", "tool_name": "now", "tool_call_id": call.id},
    ]


def test_what_is_not_to_be_had_is_warned_of_or_with_strict_refused(world):
    asked = {"tools": [{"name": "now"}], "tool_choice": "required", "n": 2}
    with Server(script(json_answer(OK))) as server:
        answer = ask(world, server, call="chat", **asked)
    assert {notice.option for notice in answer.warnings} == {"tool_choice", "n"}
    with Server(script(json_answer(OK))) as server, pytest.raises(NotSupported):
        ask(world, server, call="chat", strict=True, **{**asked, "n": 1})


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("api_chat_unknown_model", ModelNotFound),
        ("api_chat_over_error_stream", ContextOverflow),
        ("api_native_over_error_stream", ContextOverflow),
        ("api_chat_tools_unsupported", NotSupported),
        ("api_chat_think_unsupported", NotSupported),
    ],
)
def test_a_refusal_is_told_once_and_names_backend_and_model(world, name, cls):
    with Server(replay(name)) as server:
        with pytest.raises(cls) as caught:
            ask(world, server)
        assert len(server.requests) == 1
    assert (caught.value.backend, caught.value.model) == ("ollama", "tiny")


@pytest.mark.parametrize("name", ["queue_full", "crash_chat_tools_stream"])
def test_before_the_first_word_it_is_asked_again(world, name):
    recording = Recording.load(ollama_reader.RECORDINGS / f"{name}.json")
    with Server(script(recording.answer(), ndjson([OK]))) as server:
        _, stream = ask(world, server)
    assert stream.answer.text == "Hi"
    assert [attempt.error is None for attempt in stream.answer.attempts] == [False, True]


def test_after_the_first_word_it_is_not(world):
    with Server(replay("crash_chat_stream")) as server:
        with pytest.raises(EngineError) as caught:
            ask(world, server)
        assert len(server.requests) == 1
    wanted = ollama_reader.expected(ollama_reader.recorded("crash_chat_stream").body)
    assert caught.value.partial.text == wanted.text


def test_a_model_that_repeats_itself_ends_a_whole_answer_as_truncated(world):
    with Server(replay("repeat_guard_chat")) as server, pytest.raises(TruncatedStream) as caught:
        ask(world, server, call="chat")
    assert caught.value.partial.text.startswith('"aaaa')


def test_a_server_that_dies_without_a_word_is_down(world):
    with Server([request]) as server, pytest.raises(ProviderDown):
        ask(world, server)


def test_a_proxys_page_is_named(world):
    page = respond(502, {"content-type": "text/html"}, "<html><title>Bad Gateway</title>")
    with Server(script(page, page, page)) as server:
        with pytest.raises(ProviderDown, match="Bad Gateway"):
            ask(world, server)
        assert len(server.requests) == 3


@pytest.mark.parametrize("name", ["num_ctxx", "temprature", "top-k"])
def test_an_option_that_ollama_would_pass_over_is_refused_before_anything_is_sent(world, name):
    with Server([client_closed]) as server:
        with pytest.raises(ConfigError, match=f"no option {name!r} .did you mean"):
            ask(world, server, extra={name: 1})
        assert server.connections == []
