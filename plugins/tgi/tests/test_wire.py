"""Through sockets, blocking and on an event loop: recorded streams, errors, and hanging up."""

from __future__ import annotations

import json

import pytest
import tgi_reader
from over_sockets import abort, answer_of, asking, three_cuts
from tgi_here import tgi_config, tgi_registry

from multitap.errors import (
    AuthenticationError,
    ContextOverflow,
    EngineError,
    NotSupported,
    ProviderDown,
)
from multitap.testing import (
    WORLDS,
    Recording,
    Server,
    broken_rules,
    client_closed,
    repeat,
    request,
    sse,
)

ENDS = {"stop": "complete", "length": "max_tokens", "stop_sequence": "stop_sequence"}
# an error before the first word is tried again, with a wait: `test_errors` has all of those
NAMES = [
    name
    for name in tgi_reader.names("test_recordings")
    if name not in tgi_reader.CHATS
    and (body := tgi_reader.recorded(name).body)
    and not body.startswith(b'data: {"error"')
]
OK = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}
USAGE = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
WEATHER = {"name": "get_weather"}


ask = asking(tgi_config, tgi_registry)


@pytest.fixture(scope="module", params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes runtimes in blocking code, or on an event loop."""
    return request.param


def load(name):
    return Recording.load(tgi_reader.RECORDINGS / f"{name}.json")


def asked(recorded):
    """Of a recorded request, what decides how its answer is read."""
    body = json.loads(recorded.request)
    tools = [] if body.get("tool_choice") == "none" else body.get("tools") or []
    return {"tools": tools, "stop": body.get("stop")}


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_answer_is_read_however_it_arrives(world, name):
    recorded, recording = tgi_reader.recorded(name), load(name)
    options = asked(recorded)
    plain = tgi_reader.expected(recorded.body, stops=options["stop"] or ())
    cuts = three_cuts(name, recorded)
    aborted = recording.ended.startswith("client closed")
    steps = abort(recorded) if aborted else [request, recording.answer(cuts)]
    with Server([*steps, client_closed] if recorded.whole else steps) as server:
        answer, shown = answer_of(ask, world, server, **options)
    seen = (answer.reasoning.strip(), answer.text.strip()) if answer else ("", "")
    thinking, text = tgi_reader.thinking_apart(plain.text)
    assert seen == (thinking, text.strip())
    assert shown is None or broken_rules(shown) == []
    if answer:
        assert [(call.name, call.arguments) for call in answer.tool_calls] == plain.calls
        assert answer.stop_reason == stop_reason(plain, answer)


def stop_reason(plain, answer):
    if plain.calls and plain.finish != "length" and plain.error is None:
        return "tool_use"
    if plain.finish is None and plain.error is None and plain.counts[1] and not plain.text:
        return "max_tokens"
    return "error" if plain.error is not None else ENDS.get(plain.finish, "error")


def test_a_server_that_dies_without_a_word_is_down(world):
    assert not tgi_reader.recorded("killed_router_chat").raw
    with Server([request]) as server, pytest.raises(ProviderDown):
        ask(world, server)


# ---- a call as an application makes it -----------------------------------------------------------


def replay(name):
    return [load(name).script()]


def script(*answers):
    """These answers, one a request, on however many connections."""
    left = iter(answers)
    return repeat(request, lambda connection: next(left))


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
def test_an_endpoint_may_end_as_people_write_it(world, end):
    with Server(script(sse([OK]))) as server:
        here = world(tgi_config(server.url + end), tgi_registry())
        assert here.call("chat", "hi").text == "Hi"
        here.close()
    assert [sent.target for sent in server.requests] == ["/v1/chat/completions"]


def test_a_whole_answer_is_asked_for_as_a_stream(world):
    with Server(replay("tool_auto_plain_answer_length_stream")) as server:
        answer = ask(world, server, call="chat", tools=[WEATHER])
        sent = server.requests[0].json()
    assert (sent["stream"], answer.stop_reason) == (True, "max_tokens")
    assert answer.text.startswith("Once upon a time")


def test_an_answer_goes_back_with_the_next_question(world):
    second = sse([OK, USAGE])
    with Server(script(load("tool_named_stream").answer(), second)) as server:
        here = world(tgi_config(server.url), tgi_registry())
        answer = here.call("chat", "When?", tools=[WEATHER])
        call = answer.tool_calls[0]
        result = {"role": "tool", "tool_call_id": call.id, "content": "noon"}
        turns = [{"role": "user", "content": "When?"}, answer.message, result]
        here.call("chat", messages=turns, tools=[WEATHER])
        here.close()
        sent = server.requests[1].json()["messages"]
    function = {"name": call.name, "arguments": call.arguments}
    assert sent[1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": call.id, "type": "function", "function": function}],
        },
        {"role": "tool", "content": "noon", "tool_call_id": call.id},
    ]


def test_what_is_not_to_be_had_is_warned_of_or_with_strict_refused(world):
    with Server(script(sse([OK]))) as server:
        answer = ask(world, server, call="chat", think="high", n=2)
    assert {notice.option for notice in answer.warnings} == {"think", "n"}
    with Server(script(sse([OK]))) as server, pytest.raises(NotSupported):
        ask(world, server, call="chat", strict=True, response_format={"type": "json_object"})


def test_an_option_that_chat_does_not_read_is_refused_by_name(world):
    with Server(script()) as server, pytest.raises(Exception, match="top_k"):
        ask(world, server, extra={"top_k": 20})


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("error_context_overflow", ContextOverflow),
        ("error_context_overflow_stream", ContextOverflow),
        ("no_template_stream", NotSupported),
        ("no_key_stream", AuthenticationError),
    ],
)
def test_a_refusal_is_told_once_and_names_backend_and_model(world, name, cls):
    with Server(replay(name)) as server:
        with pytest.raises(cls) as caught:
            ask(world, server)
        assert len(server.requests) == 1
    assert (caught.value.backend, caught.value.model) == ("tgi", "tiny")


@pytest.mark.parametrize("name", ["overload_chat_stream", "overload_chat"])
def test_before_the_first_word_it_is_asked_again(world, name):
    with Server(script(load(name).answer(), sse([OK]))) as server:
        _, stream = ask(world, server)
    assert stream.answer.text == "Hi"
    assert [attempt.error is None for attempt in stream.answer.attempts] == [False, True]


def test_after_the_first_word_it_is_not(world):
    with Server(replay("fail_chat_stream")) as server:
        with pytest.raises(EngineError) as caught:
            ask(world, server)
        assert len(server.requests) == 1
    plain = tgi_reader.expected(tgi_reader.recorded("fail_chat_stream").body)
    assert caught.value.partial.text == plain.text


def test_thinking_is_told_from_text(world):
    recorded = tgi_reader.recorded("tool_choice_none")
    thinking, text = tgi_reader.thinking_apart(tgi_reader.expected(recorded.body).text)
    with Server(replay("tool_choice_none")) as server:
        answer = ask(world, server, call="chat")
    assert thinking == "The user asks for the weather."
    assert (answer.reasoning.strip(), answer.text) == (thinking, text)
