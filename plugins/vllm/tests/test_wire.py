"""Through sockets, blocking and on an event loop: recorded streams, errors, and hanging up."""

from __future__ import annotations

from array import array

import pytest
import vllm_reader
from over_sockets import abort, asking, script, three_cuts
from vllm_here import vllm_config, vllm_registry

from multitap.errors import (
    BackendError,
    ContextOverflow,
    EngineError,
    ModelNotFound,
    NotSupported,
    ProviderDown,
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


def is_stream(name):
    return vllm_reader.recorded(name).streamed


STREAMS = [name for name in vllm_reader.names("test_recordings") if is_stream(name)]
WHOLE = [name for name in vllm_reader.names("test_recordings") if not is_stream(name)]
MESSAGE = {"role": "assistant", "content": "Hi"}
OK = {"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}
PIECE = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]}
END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


ask = asking(vllm_config, vllm_registry)


@pytest.fixture(scope="module", params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes runtimes in blocking code, or on an event loop."""
    return request.param


def recording(name):
    return Recording.load(vllm_reader.RECORDINGS / f"{name}.json")


def agrees(answer, wanted):
    choice = wanted[0]
    assert (answer.text, answer.reasoning) == (choice["text"], choice["reasoning"])
    calls = [(call.id, call.name, call.arguments_text) for call in answer.tool_calls]
    assert calls == choice["calls"]
    assert answer.stop_reason == vllm_reader.reason(choice)
    assert [each.text for each in answer.choices] == [
        wanted[index]["text"] for index in range(len(wanted))
    ]


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_stream_is_read_however_it_arrives(world, name):
    recorded = vllm_reader.recorded(name)
    wanted, usage = vllm_reader.expected(recorded)
    cuts = three_cuts(name, recorded)
    aborted = vllm_reader.was_aborted(recorded)
    with Server(abort(recorded) if aborted else script(recording(name).answer(cuts))) as server:
        if aborted:
            with pytest.raises(BackendError) as caught:
                ask(world, server)
            assert caught.value.partial.text == wanted[0]["text"]
            return
        events, stream = ask(world, server)
    agrees(stream.answer, wanted)
    assert broken_rules([event.to_dict() for event in events]) == []
    if usage is not None:
        found = stream.answer.usage
        assert (found.input_tokens, found.output_tokens) == (
            usage["prompt_tokens"],
            usage["completion_tokens"],
        )


@pytest.mark.parametrize("name", WHOLE)
def test_a_recorded_answer_is_read_however_it_arrives(world, name):
    recorded = vllm_reader.recorded(name)
    cuts = three_cuts(name, recorded)
    with Server(script(recording(name).answer(cuts))) as server:
        answer = ask(world, server, call="chat")
        assert "stream" not in server.requests[0].json()
    agrees(answer, vllm_reader.expected(recorded)[0])


# ---- a call as an application makes it -----------------------------------------------------------


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
def test_an_endpoint_may_end_as_people_write_it(world, end):
    with (
        Server(script(json_answer(OK))) as server,
        world(vllm_config(server.url + end), vllm_registry()) as here,
    ):
        assert here.call("chat", "hi").text == "Hi"
    assert [sent.target for sent in server.requests] == ["/v1/chat/completions"]


def test_an_answer_goes_back_with_the_next_question_but_for_its_thought(world):
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    first = {"content": None, "reasoning": "hm", "tool_calls": [call]}
    said = {"choices": [{"index": 0, "message": first, "finish_reason": "tool_calls"}]}
    with Server(script(json_answer(said), json_answer(OK))) as server:
        with world(vllm_config(server.url), vllm_registry()) as here:
            answer = here.call("chat", "When?", tools=[{"name": "now"}])
            result = {"role": "tool", "tool_call_id": "c1", "content": "noon"}
            asked = {"role": "user", "content": "When?"}
            here.call("chat", messages=[asked, answer.message, result])
        sent = server.requests[1].json()["messages"]
    assert sent[1:] == [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
    ]


def test_the_key_goes_with_every_call_and_into_no_error(world):
    said = json_answer({"error": "Unauthorized: hush-canary-sesame"}, 401)
    with Server(script(said)) as server:
        with pytest.raises(BackendError) as caught:
            ask(world, server, call="chat", section={"api_key": "hush-canary-sesame"})
        assert server.requests[0].headers["authorization"] == "Bearer hush-canary-sesame"
    assert "hush-canary-sesame" not in f"{caught.value} {caught.value!r} {caught.value.to_dict()}"


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("error_unknown_model_stream", ModelNotFound),
        ("error_context_overflow_stream", ContextOverflow),
        ("error_image_to_text_model", NotSupported),
        ("embeddings_error_chat_unsupported", NotSupported),
    ],
)
def test_a_refusal_is_told_once_and_names_backend_and_model(world, name, cls):
    with Server([recording(name).script()]) as server:
        with pytest.raises(cls) as caught:
            ask(world, server)
        assert len(server.requests) == 1
    assert (caught.value.backend, caught.value.model) == ("vllm", "tiny")


def failed(status, message):
    return {"error": {"message": message, "type": "x", "param": None, "code": status}}


BUSY = failed(503, "The engine is currently busy and cannot accept new requests.")
DEAD = failed(500, "EngineCore encountered an issue.")


@pytest.mark.parametrize(
    "first", [json_answer(BUSY, 503), sse([BUSY]), sse([DEAD])], ids=["503", "200", "dead"]
)
def test_before_the_first_word_it_is_asked_again(world, first):
    good = sse([PIECE, END])
    # a stream that failed is not read to its end: the next attempt has a connection of its own
    with Server(script(first, good), script(good)) as server:
        _, stream = ask(world, server)
    assert stream.answer.text == "Hi"
    assert [attempt.error is None for attempt in stream.answer.attempts] == [False, True]


def test_after_the_first_word_it_is_not_and_its_usage_is_kept(world):
    counted = {**PIECE, "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}}
    section = {"usage_every_chunk": True}
    with Server(script(sse([counted, DEAD]))) as server:
        with pytest.raises(EngineError) as caught:
            ask(world, server, section=section)
        (sent,) = server.requests
    assert sent.json()["stream_options"]["continuous_usage_stats"] is True
    partial = caught.value.partial
    assert (partial.text, partial.usage.output_tokens) == ("Hi", 1)


def test_a_server_that_dies_without_a_word_is_down(world):
    with Server([request]) as server, pytest.raises(ProviderDown):
        ask(world, server)


def test_leaving_early_closes_the_connection(world):
    with Server([request, sse([PIECE, client_closed])]) as server:
        ask(world, server, after=lambda seen, _: False)
        server.wait_until(lambda: server.connections[0].closed)


def test_a_proxys_page_is_named(world):
    page = respond(502, {"content-type": "text/html"}, "<html><title>Bad Gateway</title>")
    with Server(script(page, page, page)) as server:
        with pytest.raises(ProviderDown, match="Bad Gateway"):
            ask(world, server)
        assert len(server.requests) == 3


def test_options_of_vllm_reach_it_from_the_application(world):
    with Server(script(json_answer(OK))) as server:
        ask(world, server, call="chat", extra={"choice": ["yes", "no"], "top_k": 3}, think=False)
        sent = server.requests[0].json()
    assert (sent["top_k"], sent["structured_outputs"]) == (3, {"choice": ["yes", "no"]})
    assert sent["chat_template_kwargs"] == {"enable_thinking": False}


def test_what_is_not_to_be_had_is_warned_of(world):
    with Server(script(json_answer(OK))) as server:
        answer = ask(world, server, call="chat", think="xhigh")
    assert [(notice.code, notice.option) for notice in answer.warnings] == [
        ("adjusted_option", "think")
    ]


# ---- the other capabilities ----------------------------------------------------------------------


def test_vectors_come_from_the_wire(world):
    texts = ["the little cat sat", "a red ball"]
    with Server([recording("embeddings_base64").script()]) as server:
        found = ask(world, server, texts, call="embed")
        assert server.requests[0].json()["input"] == texts
    (reply,) = vllm_reader.objects(vllm_reader.recorded("embeddings_batch"))
    rows = [list(array("f", row["embedding"])) for row in reply["data"]]
    assert [list(row) for row in found.vectors] == rows


def test_ranks_come_from_the_wire_sorted_and_cut(world):
    documents = ["the little cat", "a red ball", "a golden key"]
    with Server([recording("rerank").script()]) as server:
        with world(vllm_config(server.url), vllm_registry()) as here:
            found = here.call("rerank", "cat", documents, threshold=0.7)
        assert server.requests[0].path == "/v1/rerank"
    assert [row.index for row in found.results] == [1, 2]


def test_tokens_and_back_come_from_the_wire(world):
    with Server([recording("tokenize").script()]) as server:
        assert ask(world, server, "Once upon a time", call="tokenize").ids == (357, 353, 256, 314)
    with Server([recording("detokenize").script()]) as server:
        assert ask(world, server, [40, 41, 42], call="detokenize") == "IJK"
