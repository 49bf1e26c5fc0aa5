"""Chat over ``/v1/responses``: what is sent, and how events and whole bodies are read."""

from __future__ import annotations

import json

import openai_reader
import pytest
from openai_here import openai_config, openai_registry
from openai_kit_vectors import RESPONSES
from openai_vectors import ARGUMENTS, BODY, CALLED, REASONED, STREAM, ended, event, item

from multitap import errors
from multitap.answer import fold
from multitap.events import (
    Failed,
    ImageData,
    Notice,
    Reasoning,
    Stop,
    Text,
    TokenLogprob,
    normalise,
)
from multitap.messages import Audio, Document, Image, Message, Tool, ToolCall, ToolResult
from multitap.plan import chat_request
from multitap.testing import (
    WORLDS,
    Recording,
    Server,
    assert_chunking_invariant,
    assert_stream_grammar,
    client_closed,
    outputs_of,
    request,
)
from multitap.testing import json as json_answer
from multitap.work import Backend, Head
from multitap_openai.chat import multitap_chat

ANSWERS = openai_reader.names("test_responses")
OPENAI = "https://api.openai.com"
STREAMED = Head(200, {"content-type": "text/event-stream"})
WHOLE = Head(200, {"content-type": "application/json"})


def exchange(model="gpt-5", *, at=OPENAI, **options):
    backend = Backend(id="b", provider="openai", endpoint=at, settings={"api": "responses"})
    if "messages" not in options:
        options["prompt"] = "hi"
    return multitap_chat(backend).chat(chat_request(model, **{"stream": False, **options}))


def stage(recorded):
    return exchange("tiny", stream=recorded.streamed).decoder(Head(200, recorded.headers))


def folded(events):
    return fold(events, backend="b", provider="openai", model="m")


# ---- recordings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read_as_a_plain_reader_reads_it(name):
    recorded = openai_reader.recorded(name)
    wanted = openai_reader.expected_response(recorded)
    events = outputs_of(stage(recorded), [recorded.body])
    answer = folded(events)
    assert (answer.text, answer.reasoning) == (wanted.text, wanted.reasoning)
    assert [(c.id, c.name, c.arguments_text) for c in answer.tool_calls] == wanted.calls
    if wanted.finish is None:
        assert isinstance(events[-1].error, errors.TruncatedStream)
        return
    assert events[-1] == Stop("tool_use" if wanted.calls else "complete")
    usage = (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.source)
    assert usage == (wanted.usage["input_tokens"], wanted.usage["output_tokens"], "reported")


@pytest.mark.parametrize("name", [n for n in ANSWERS if n not in RESPONSES])  # the kit's are cut
def test_where_the_bytes_are_cut_makes_no_difference_and_the_grammar_is_kept(name):
    recorded = openai_reader.recorded(name)
    assert_stream_grammar(assert_chunking_invariant(lambda: stage(recorded), recorded.body))


@pytest.mark.parametrize("world", WORLDS, ids=["sync", "async"])
@pytest.mark.parametrize("name", [n for n in ANSWERS if "crash" not in n])
def test_a_recorded_answer_comes_through_sockets(world, name):
    recorded = openai_reader.recorded(name)
    wanted = openai_reader.expected_response(recorded)
    recording = Recording.load(openai_reader.RECORDINGS / f"{name}.json")
    size = len(recorded.raw)
    cuts = [size // 4, size // 2, size - 3]
    with Server([request, recording.answer(cuts), client_closed]) as server:
        here = world(openai_config(server.url, api="responses"), openai_registry())
        streamed = recorded.streamed
        answer = here.stream("hi")[1].answer if streamed else here.call("chat", "hi")
        here.close()
        assert server.requests[0].path == "/v1/responses"
    assert (answer.text, answer.reasoning) == (wanted.text, wanted.reasoning)
    assert [(c.id, c.name, c.arguments_text) for c in answer.tool_calls] == wanted.calls


# ---- what is sent --------------------------------------------------------------------------------


def test_a_whole_body():
    tool = Tool("f", "does f")
    closed = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    call = exchange(
        stream=True,
        tools=[tool],
        tool_choice="f",
        response_format=closed,
        max_tokens=5,
        think="low",
        cache="c",
        extra={"verbosity": "low", "extra_body": {"truncation": "auto"}},
    ).call
    body = call.body.value
    assert (call.method, call.path) == ("POST", "/v1/responses")
    assert body.pop("prompt_cache_key").startswith("multitap:")
    assert body == {
        "model": "gpt-5",
        "input": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", **tool.to_dict()["function"]}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {
            "format": {"type": "json_schema", "name": "answer", "schema": closed, "strict": True},
            "verbosity": "low",
        },
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "stream": True,
        "max_output_tokens": 5,
        "reasoning": {"effort": "low", "summary": "auto"},
        "truncation": "auto",
    }


def test_options_of_either_api_go_where_responses_have_them():
    search = {"type": "web_search"}
    extra = {"reasoning_effort": "high", "extra_body": {"tools": [search], "text": {"a": 1}}}
    body = exchange(extra={**extra, "verbosity": "low"}).call.body.value
    assert body["reasoning"] == {"effort": "high"}
    assert body["tools"] == [search]
    assert body["text"] == {"verbosity": "low", "a": 1}


def test_logprobs_are_included():
    body = exchange("gpt-4o", logprobs=2, temperature=0.0).call.body.value
    assert body["include"] == ["message.output_text.logprobs"]
    assert (body["top_logprobs"], body["temperature"]) == (2, 0.0)
    assert "logprobs" not in body


def test_any_json_object():
    body = exchange("gpt-4o", response_format={"type": "json_object"}).call.body.value
    assert body["text"] == {"format": {"type": "json_object"}}


THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}


def test_a_conversation_is_items_and_thoughts_go_before_their_call():
    meta = {"openai": {"response_items": [THOUGHT], "extra_content": 1}, "other": {"a": 1}}
    turns = [
        Message("system", "Be brief."),
        Message("user", ["see", Image(b"x"), Document(b"x", "application/pdf", "a.pdf")]),
        Message("assistant", ["Well.", ToolCall("c1", "f", '{"a": 1}', meta)]),
        Message("tool", ToolResult("c1", "r", "f")),
    ]
    assert exchange(messages=turns).call.body.value["input"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": "data:image/png;base64,eA=="},
                {
                    "type": "input_file",
                    "filename": "a.pdf",
                    "file_data": "data:application/pdf;base64,eA==",
                },
            ],
        },
        {"role": "assistant", "content": "Well."},
        THOUGHT,
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "r"},
    ]


def test_thoughts_of_responses_are_not_sent_to_chat_completions():
    meta = {"openai": {"response_items": [THOUGHT]}}
    turns = [Message("user", "hi"), Message("assistant", ToolCall("c", "f", "{}", meta))]
    backend = Backend(id="b", provider="openai", endpoint=OPENAI)
    call = multitap_chat(backend).chat(chat_request("gpt-5", messages=turns)).call
    assert "response_items" not in json.dumps(call.body.value)


def test_sound_and_what_responses_do_not_have():
    with pytest.raises(errors.NotSupported) as caught:
        exchange(messages=[Message("user", Audio(b"x"))])
    assert caught.value.model == "gpt-5"
    out = read_whole({"status": "completed"}, seed=1, n=2, stop="a")
    assert [e.option for e in out if isinstance(e, Notice)] == ["seed", "stop", "n"]


# ---- events --------------------------------------------------------------------------------------


def read(*events, **options):
    decoder = exchange(stream=True, **options).decoder(STREAMED)
    data = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
    return [*decoder.feed(data.encode()), *decoder.finish()]


def read_whole(body, **options):
    decoder = exchange(**options).decoder(WHOLE)
    return [*decoder.feed(json.dumps(body).encode()), *decoder.finish()]


def test_streamed_or_not_thought_call_and_usage_are_the_same():
    streamed, whole = normalise(read(*STREAM)), normalise(read_whole(BODY))
    assert streamed == whole
    answer = folded(streamed)
    assert answer.reasoning == "One\n\nTwo"
    (call,) = answer.tool_calls
    assert (call.id, call.name, call.arguments) == ("call_1", "weather", {"city": "Oslo"})
    assert call.provider_meta == {"openai": {"response_items": [REASONED]}}
    usage = answer.usage
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (4, 2, 8)
    assert answer.stop_reason == "tool_use"


def test_what_was_thought_before_a_call_goes_back_with_its_result():
    answer = folded(read(*STREAM))
    turns = [Message("user", "hi"), answer.message, Message("tool", ToolResult("call_1", "sunny"))]
    sent = exchange(messages=turns).call.body.value["input"]
    assert sent[1:] == [
        REASONED,
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": ARGUMENTS},
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
    ]


def test_a_call_without_pieces_is_read_at_its_end():
    out = read(item("output_item.done", **CALLED, arguments=ARGUMENTS), ended())
    assert folded(out).tool_calls[0].arguments == {"city": "Oslo"}
    done = event("function_call_arguments.done", output_index=0, arguments=ARGUMENTS)
    added = item("output_item.added", **CALLED)
    out = read(added, done, item("output_item.done", **CALLED, arguments=ARGUMENTS), ended())
    assert folded(out).tool_calls[0].arguments == {"city": "Oslo"}


def test_a_call_that_was_cut_says_so_though_its_text_is_whole():
    cut = item("output_item.done", **CALLED, arguments="{}", status="incomplete")
    out = read(cut, ended("incomplete", incomplete_details={"reason": "max_output_tokens"}))
    assert [event.incomplete for event in out if hasattr(event, "incomplete")] == [True]


def test_a_server_that_numbers_no_item_is_read_once():
    thought = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}]}
    said = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
    pieces = event("reasoning_text.delta", delta="hm"), event("output_text.delta", delta="Hi")
    out = read(*pieces, ended(output=[thought, said]))
    assert out == [Reasoning("hm"), Text("Hi"), Stop("complete")]


@pytest.mark.parametrize("encrypted", ["x", None, ""])
def test_a_thought_goes_with_the_next_call_alone_and_only_if_it_is_encrypted(encrypted):
    thought = {**REASONED, "encrypted_content": encrypted}
    calls = [{**CALLED, "call_id": name, "arguments": ARGUMENTS} for name in ("c1", "c2")]
    answer = folded(read_whole({"status": "completed", "output": [thought, *calls]}))
    first, second = answer.tool_calls
    goes = {"openai": {"response_items": [thought]}} if encrypted else None
    assert ((first.provider_meta or None), (second.provider_meta or None)) == (goes, None)


def test_an_open_call_is_ended_before_a_failure():
    begun = item("output_item.added", **CALLED, arguments="")
    piece = event("function_call_arguments.delta", output_index=0, delta='{"city"')
    for end in ([], [{"type": "error", "code": "server_error", "message": "no"}]):
        *_, last, failed = read(begun, piece, *end)
        assert (last.tool_call_arguments_complete, last.incomplete) == ('{"city"', True)
        assert isinstance(failed, Failed)


def test_two_calls_and_a_cut_one():
    other = {**CALLED, "call_id": "call_2", "status": "incomplete"}
    out = read(
        item("output_item.done", 0, **CALLED, arguments=ARGUMENTS),
        item("output_item.added", 1, **other),
        event("function_call_arguments.delta", output_index=1, delta='{"ci'),
        item("output_item.done", 1, **other, arguments='{"ci'),
        ended("incomplete", incomplete_details={"reason": "max_output_tokens"}),
    )
    ends = [(e.tool_call_id, e.incomplete) for e in out if e.type == "tool_call_end"]
    assert ends == [("call_1", None), ("call_2", True)]
    assert out[-1].stop_reason == "max_tokens"


def test_text_with_its_tokens_streamed_or_not():
    tokens = [{"token": "Hi", "logprob": -0.5}]
    delta = event("output_text.delta", output_index=0, delta="Hi", logprobs=tokens)
    message = {
        "type": "message",
        "content": [{"type": "output_text", "text": "Hi", "logprobs": tokens}],
    }
    wanted = [Text("Hi", 0, (TokenLogprob("Hi", -0.5),)), Stop("complete")]
    assert read(delta, item("output_item.done", **message), ended()) == wanted
    assert read_whole({"status": "completed", "output": [message]}) == wanted
    assert read(ended(output=[message])) == wanted


def test_a_thought_in_the_open_and_a_picture():
    out = read(
        event("reasoning_text.delta", output_index=0, delta="hm"),
        item("output_item.done", 1, type="image_generation_call", result="eA=="),
        ended(),
    )
    assert out == [Reasoning("hm"), ImageData(b"x", "image/png"), Stop("complete")]


def test_a_thought_that_comes_at_once_is_told_once():
    done = event("reasoning_text.done", output_index=0, text="hm")
    thought = item("output_item.done", type="reasoning", content=[{"text": "hm"}])
    delta = event("reasoning_text.delta", output_index=0, delta="hm")
    for events in ([done], [done, thought], [delta, done, thought]):
        assert read(*events, ended()) == [Reasoning("hm"), Stop("complete")]


@pytest.mark.parametrize(
    ("end", "cls"),
    [
        (ended("incomplete", incomplete_details={"reason": "content_filter"}), "ContentFiltered"),
        (ended("incomplete", incomplete_details={"reason": "other"}), "EngineError"),
        (ended("cancelled", "completed"), "EngineError"),
        (ended("failed", error={"code": "server_error", "message": "no"}), "EngineError"),
        (ended("failed", error={"code": "rate_limit_exceeded", "message": "no"}), "RateLimited"),
        (ended("failed"), "EngineError"),
        ({"type": "error", "code": "server_error", "message": "no"}, "EngineError"),
        ({"type": "error", "code": None, "message": None}, "EngineError"),
        (event("in_progress"), "TruncatedStream"),
    ],
)
def test_how_an_answer_fails_with_its_text_kept(end, cls):
    out = read(event("output_text.delta", output_index=0, delta="Hi"), end)
    assert out[0] == Text("Hi")
    assert isinstance(out[-1], Failed)
    assert type(out[-1].error).__name__ == cls


@pytest.mark.parametrize(
    "kind",
    ["output_text.delta", "refusal.delta", "reasoning_text.delta", "reasoning_summary_text.delta"],
)
@pytest.mark.parametrize("delta", [1, 0.5, True, ["Hi"], {"text": "Hi"}])
def test_a_piece_of_text_that_is_no_text_is_a_protocol_error(kind, delta):
    out = read(event("output_text.delta", delta="Oh"), event(kind, delta=delta), ended())
    assert out[0] == Text("Oh")
    assert (len(out), out[-1].error.kind) == (2, "bad_payload")


def test_a_refusal_streamed_or_not_is_text_and_a_failure():
    message = {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}
    delta = event("refusal.delta", output_index=0, delta="No.")
    for out in (
        read(delta, item("output_item.done", **message), ended()),
        read_whole({"status": "completed", "output": [message]}),
    ):
        assert out[0] == Text("No.")
        assert isinstance(out[-1].error, errors.Refused)


@pytest.mark.parametrize("world", WORLDS, ids=["sync", "async"])
def test_an_application_gets_the_same_answer(world):
    with Server([request, json_answer(BODY), client_closed]) as server:
        here = world(openai_config(server.url, api="responses"), openai_registry())
        answer = here.call("chat", "hi", think="high")
        here.close()
        sent = server.requests[0].json()
    assert answer.tool_calls[0].name == "weather"
    assert (sent["store"], sent["reasoning"]["effort"]) == (False, "high")
