"""Through sockets, blocking and on an event loop: recorded streams, errors, and hanging up."""

from __future__ import annotations

import openai_reader
import pytest
from openai_here import openai_config, openai_registry
from over_sockets import abort, answer_of, asking, script, three_cuts

from multitap.errors import (
    BackendError,
    EngineError,
    ModelNotFound,
    NotSupported,
    ProviderDown,
    QuotaExceeded,
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
STREAMS = [n for n in openai_reader.names("test_recordings") if openai_reader.recorded(n).streamed]
WHOLE = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
HI = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]}
END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


ask = asking(openai_config, openai_registry)


@pytest.fixture(scope="module", params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes runtimes in blocking code, or on an event loop."""
    return request.param


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_stream_is_read_however_it_arrives(world, name):
    recorded = openai_reader.recorded(name)
    recording = Recording.load(openai_reader.RECORDINGS / f"{name}.json")
    choices, usage = openai_reader.expected(recorded)
    (wanted,) = choices.values()
    cuts = three_cuts(name, recorded)
    aborted = recording.ended.startswith("client closed")
    steps = [request, recording.answer(cuts)] if not aborted else abort(recorded)
    with Server([*steps, client_closed] if recorded.whole else steps) as server:
        answer, shown = answer_of(ask, world, server)
    assert (answer.text, answer.reasoning) == (wanted.text, wanted.reasoning)
    calls = [(call.id, call.name, call.arguments_text) for call in answer.tool_calls]
    assert calls == wanted.calls
    if usage is not None:
        assert answer.usage.output_tokens == usage["completion_tokens"]
    assert answer.stop_reason == stop_reason(wanted)
    assert shown is None or broken_rules(shown) == []


def stop_reason(wanted):
    if wanted.finish not in ENDS:
        return "error"
    return "tool_use" if wanted.calls and wanted.finish == "stop" else ENDS[wanted.finish]


# ---- a call as an application makes it -----------------------------------------------------------


def replay(name):
    """A connection that says what was recorded, then waits for the client to leave."""
    return [Recording.load(openai_reader.RECORDINGS / f"{name}.json").script()]


def refusal(status, message, code, **headers):
    body = {"error": {"message": message, "type": None, "param": None, "code": code}}
    return json_answer(body, status, headers)


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_an_endpoint_may_end_as_people_write_it(world, end):
    with Server(script(json_answer(WHOLE))) as server:
        here = world(openai_config(server.url + end), openai_registry())
        assert here.call("chat", "hi").text == "Hi"
        here.close()
    assert [sent.target for sent in server.requests] == ["/v1/chat/completions"]


def test_a_whole_answer_is_asked_for_as_a_whole(world):
    with Server(replay("tool_auto")) as server:
        answer = ask(world, server, call="chat", tools=[{"name": "get_weather"}])
        sent = server.requests[0].json()
    assert answer.stop_reason == "tool_use"
    assert "stream" not in sent


def test_a_server_that_was_asked_to_stream_may_answer_with_a_body(world):
    with Server(script(json_answer(WHOLE))) as server:
        events, _ = ask(world, server)
    assert [event.type for event in events] == ["text", "usage", "stop"]


def test_an_answer_goes_back_with_the_next_question_but_for_its_thought(world):
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "now", "arguments": "{}"},
        "extra_content": {"signature": "s"},
    }
    message = {"reasoning": "hm", "content": None, "tool_calls": [call]}
    first = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    with Server(script(json_answer(first), json_answer(WHOLE))) as server:
        here = world(openai_config(server.url), openai_registry())
        answer = here.call("chat", "When?", tools=[{"name": "now"}])
        result = {"role": "tool", "tool_call_id": "call_1", "content": "noon"}
        here.call("chat", messages=[{"role": "user", "content": "When?"}, answer.message, result])
        here.close()
        sent = server.requests[1].json()["messages"]
    assert answer.reasoning == "hm"
    assert sent[1:] == [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
    ]


def test_the_key_and_the_account_go_with_every_call_and_the_key_into_no_error(world):
    said = refusal(401, "Incorrect API key provided: hush-canary-sesame", "invalid_api_key")
    settings = {"api_key": "hush-canary-sesame", "organization": "org-1", "project": "proj-1"}
    with Server(script(said)) as server:
        here = world(openai_config(server.url, **settings), openai_registry())
        with pytest.raises(BackendError) as caught:
            here.call("chat", "hi")
        here.close()
        headers = server.requests[0].headers
    sent = [headers[name] for name in ("authorization", "openai-organization", "openai-project")]
    assert sent == ["Bearer hush-canary-sesame", "org-1", "proj-1"]
    assert "hush-canary-sesame" not in f"{caught.value} {caught.value!r} {caught.value.to_dict()}"


def test_an_option_that_the_model_does_not_take_is_warned_of_or_with_strict_refused(world):
    config = {"server": "openai"}
    for strict in (False, True):
        with Server(script(json_answer(WHOLE))) as server:
            here = world(openai_config(server.url, **config), openai_registry())
            if strict:
                with pytest.raises(NotSupported):
                    here.call("chat", "hi", model="openai:o3", temperature=0.5, strict=True)
            else:
                answer = here.call("chat", "hi", model="openai:o3", temperature=0.5)
                assert [notice.option for notice in answer.warnings] == ["temperature"]
            here.close()


def test_a_spent_account_is_not_asked_again_and_a_busy_one_is(world):
    with Server(script(refusal(429, "no credit", "insufficient_quota"))) as server:
        with pytest.raises(QuotaExceeded):
            ask(world, server)
        assert len(server.requests) == 1
    busy = refusal(429, "slow", "rate_limit_exceeded", **{"x-ratelimit-reset-requests": "10ms"})
    with Server(script(busy, sse([HI, END]))) as server:
        _, stream = ask(world, server)
    assert stream.answer.text == "Hi"
    assert [attempt.error is None for attempt in stream.answer.attempts] == [False, True]


def test_a_refusal_is_told_once_and_names_backend_and_model(world):
    with Server(replay("error_unknown_model_stream")) as server:
        with pytest.raises(ModelNotFound) as caught:
            ask(world, server)
        assert len(server.requests) == 1
    assert (caught.value.backend, caught.value.model) == ("openai", "tiny")


def test_an_error_after_the_first_word_ends_the_answer(world):
    with Server(script(sse([HI, {"error": {"message": "broken", "type": "server_error"}}]))) as one:
        with pytest.raises(EngineError, match="broken") as caught:
            ask(world, one)
        assert len(one.requests) == 1
    assert caught.value.partial.text == "Hi"


def test_an_error_that_ollama_hides_is_a_truncated_stream(world):
    with Server(replay("crash_native_v1_stream")) as server:
        with pytest.raises(TruncatedStream) as caught:
            ask(world, server)
        assert len(server.requests) == 1
    choices, _ = openai_reader.expected(openai_reader.recorded("crash_native_v1_stream"))
    (wanted,) = choices.values()
    partial = caught.value.partial
    assert (partial.text, partial.reasoning) == (wanted.text, wanted.reasoning)


def test_a_server_that_dies_without_a_word_is_down(world):
    with Server([request]) as server, pytest.raises(ProviderDown):
        ask(world, server)


def test_leaving_early_closes_the_connection(world):
    with Server([request, sse([HI, client_closed])]) as server:
        ask(world, server, after=lambda seen, _: False)
        server.wait_until(lambda: server.connections[0].closed)


def test_a_proxys_page_is_named(world):
    page = respond(502, {"content-type": "text/html"}, "<html><title>Bad Gateway</title>")
    with Server(script(page, page, page)) as server:
        with pytest.raises(ProviderDown, match="Bad Gateway"):
            ask(world, server)
        assert len(server.requests) == 3


def test_vectors_models_and_the_key_come_from_the_wire(world):
    with Server(replay("embeddings_base64")) as server:
        found = ask(world, server, ["the little cat sat", "a red ball"], call="embed")
        assert server.requests[0].json()["input"] == ["the little cat sat", "a red ball"]
    assert len(found.vectors) == 2
    with Server(replay("v1_models")) as server:
        models = ask(world, server, "openai", call="models")
    (said,) = openai_reader.objects(openai_reader.recorded("v1_models"))
    assert [model.ref for model in models] == [f"openai:{row['id']}" for row in said["data"]]
    with Server(replay("v1_models")) as server:
        assert ask(world, server, "openai", call="validate").models == len(said["data"])
