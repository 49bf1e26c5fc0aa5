"""Bodies: what TGI refuses of an ordinary request of OpenAI's is put so that it takes it."""

from __future__ import annotations

import json

import pytest
import tgi_reader
from hypothesis import given
from hypothesis import strategies as st

from multitap.errors import BadRequest, NotSupported
from multitap.plan import chat_request, honoured
from multitap.testing.chunking import outputs_of
from multitap.work import Backend, Head
from multitap_tgi.chat import TgiChat

CHAT = TgiChat(Backend(id="tgi", provider="tgi"))
ASKED = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
NOW = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
HEAD = Head(200, {"content-type": "text/event-stream"})


def body(*prompt, **options):
    return work(*prompt, **options).call.body.value


def work(*prompt, **options):
    given = prompt or (() if "messages" in options else ("hi",))
    return CHAT.chat(chat_request("tiny", *given, **options))


def notices(**options):
    events = outputs_of(work(**options).decoder(HEAD), [b"data: [DONE]\n\n"])
    return [(event.code, event.option) for event in events if event.type == "warning"]


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, {}),
        ({"stream": False}, {}),
        ({"stream": True}, {}),
        (
            {"max_tokens": 48, "temperature": 0, "seed": 0},
            {"max_tokens": 48, "temperature": 0, "seed": 0},
        ),
        ({"top_p": 0.9}, {"top_p": 0.9}),
        ({"top_p": 1}, {}),
        ({"top_p": 1.0}, {}),
        ({"top_p": 0}, {"top_p": 1e-6}),
        ({"seed": -1}, {"seed": 2**64 - 1}),
        ({"stop": " four"}, {"stop": [" four"]}),
        ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"logprobs": True}, {"logprobs": True}),
        ({"logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        ({"logprobs": 6}, {"logprobs": True, "top_logprobs": 5}),
        ({"tools": []}, {}),
        ({"tools": [{"name": "now"}]}, {"tools": [NOW]}),
        ({"tools": [NOW], "tool_choice": "auto"}, {"tools": [NOW], "tool_choice": "auto"}),
        ({"tools": [NOW], "tool_choice": "required"}, {"tools": [NOW], "tool_choice": "required"}),
        ({"tools": [NOW], "tool_choice": "none"}, {}),
        (
            {"tools": [NOW], "tool_choice": "now"},
            {"tools": [NOW], "tool_choice": {"type": "function", "function": {"name": "now"}}},
        ),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {}),
        (
            {"response_format": SCHEMA},
            {"response_format": {"type": "json_object", "value": SCHEMA}},
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
            {"response_format": {"type": "json_object", "value": SCHEMA}},
        ),
        ({"extra": {"frequency_penalty": 0.5}}, {"frequency_penalty": 0.5}),
        ({"extra": {"tool_prompt": "Use:"}}, {"tool_prompt": "Use:"}),
        ({"extra": {"regex": "[ab]"}}, {"response_format": {"type": "regex", "value": "[ab]"}}),
        # presence_penalty p becomes the repetition penalty p + 2
        ({"extra": {"repetition_penalty": 1.1}}, {"presence_penalty": -0.9}),
        ({"extra": {"repetition_penalty": 1}}, {"presence_penalty": -1}),
        ({"n": 2, "think": "high"}, {}),
    ],
)
def test_a_body_has_what_tgi_takes_and_nothing_else(options, sent):
    assert body(**options) == {**ASKED, **STREAMED, **sent}


def test_what_is_sent_is_json_on_its_path():
    call = work().call
    assert (call.method, call.path) == ("POST", "/v1/chat/completions")
    assert json.dumps(call.body.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"logprobs": 5}, []),
        ({"logprobs": 6}, [("adjusted_option", "logprobs")]),
        ({"response_format": {"type": "json_object"}}, [("unsupported_option", "response_schema")]),
        ({"response_format": {"type": "object"}}, [("unsupported_option", "response_schema")]),
        ({"response_format": SCHEMA}, []),
        ({"top_p": 1, "seed": -1}, []),
    ],
)
def test_what_is_not_as_it_was_asked_for_is_told(options, told):
    assert notices(**options) == told


def test_options_that_reach_nothing_become_warnings():
    request = chat_request("tiny", "hi", n=2, think="high", truncate=True, shift=True, seed=1)
    asked, told = honoured(request, CHAT.options, strict=False, backend="tgi")
    assert {notice.option for notice in told} == {"n", "think"}
    assert asked.seed == 1


def test_a_schema_gets_the_properties_at_its_root_that_tgi_looks_for():
    wrapped = {"$ref": "#/$defs/Place", "$defs": {"Place": SCHEMA}}
    sent = body(response_format=wrapped)["response_format"]
    assert sent["value"]["properties"] == SCHEMA["properties"]
    assert tgi_reader.recorded("format_without_properties").status == 422
    with pytest.raises(NotSupported):
        work(response_format={"type": "array", "items": SCHEMA})


def test_a_regular_expression_and_a_schema_cannot_both_be():
    with pytest.raises(BadRequest):
        work(response_format=SCHEMA, extra={"regex": "[ab]"})


def call_of(arguments, call_id="0"):
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": "now", "arguments": arguments},
    }


def test_trap_9_a_text_beside_calls_would_lose_the_calls_so_it_stands_before_them():
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Let me look.", "tool_calls": [call_of('{"at": 1}')]},
        {"role": "tool", "tool_call_id": "0", "content": "noon"},
    ]
    assert body(messages=turns)["messages"][1:] == [
        {"role": "assistant", "content": "Let me look."},
        {"role": "assistant", "content": None, "tool_calls": [call_of({"at": 1})]},
        {"role": "tool", "tool_call_id": "0", "content": "noon"},
    ]


@pytest.mark.parametrize("content", [None, ""])
def test_trap_9_content_beside_calls_is_null_never_an_empty_text(content):
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": content, "tool_calls": [call_of("{}")]},
    ]
    (sent,) = body(messages=turns)["messages"][1:]
    assert sent == {"role": "assistant", "content": None, "tool_calls": [call_of({})]}


def templated(name):
    """What the model is shown of a request."""
    return json.loads(tgi_reader.recorded(name).body)["templated_text"]


def test_trap_9_with_content_the_calls_are_lost_even_with_an_empty_one():
    assert "get_weather" in templated("tool_chat_tokenize_history")
    for name in ("content_and_calls", "empty_content_and_calls"):
        assert "get_weather" not in templated(f"tool_chat_tokenize_{name}")


def test_trap_arguments_go_back_as_an_object_as_a_text_is_encoded_twice():
    assert '"arguments":"{\\"city' in templated("tool_chat_tokenize_arguments_object")
    assert r'"arguments":"\"{\\\"city' in templated("tool_chat_tokenize_history")
    broken = [{"role": "assistant", "content": None, "tool_calls": [call_of("no json")]}]
    turns = [{"role": "user", "content": "hi"}, *broken]
    assert body(messages=turns)["messages"][1] == broken[0]


def test_pictures_are_urls_and_sound_is_refused():
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    turns = [{"role": "user", "content": [{"type": "text", "text": "What?"}, picture]}]
    assert body(messages=turns)["messages"] == turns
    with pytest.raises(NotSupported):
        work(messages=[{"role": "user", "content": [sound]}])


# ---- beside the recordings: nothing that TGI refused is sent -------------------------------------

REFUSED = [
    "error_top_p_one",
    "error_stop_string",
    "error_stream_options_null",
    "error_stream_null",
    "error_negative_seed",
    "format_text",
    "format_json_object_openai",
    "format_json_schema_openai",
    "chat_both_max_tokens",
    "tool_without_parameters",
    "error_top_logprobs",
]
NAMED = ("seed", "top_p", "stop", "tools", "response_format", "max_tokens", "logprobs")


@pytest.mark.parametrize("name", REFUSED)
def test_what_tgi_refused_is_sent_as_something_else(name):
    recorded = tgi_reader.recorded(name)
    assert recorded.status == 422
    refused = json.loads(recorded.request)
    options = {key: refused[key] for key in NAMED if refused.get(key) is not None}
    if "top_logprobs" in refused:
        options["logprobs"] = refused["top_logprobs"]
    sent = body(messages=[m for m in refused["messages"] if m], **options)
    changed = {key for key in refused if sent.get(key, "absent") != refused[key]}
    assert changed - {"model"}


# ---- whatever is asked for, nothing that TGI refuses is sent -------------------------------------


def refusals(sent):
    """Why TGI would refuse a body, by its source and by what was recorded."""
    found = [key for key, value in sent.items() if value is None or value == []]
    found += ["presence_penalty"] * ("presence_penalty" in sent)
    found += ["top_p"] * (not 0 < sent.get("top_p", 0.5) < 1)
    found += ["seed"] * (not 0 <= sent.get("seed", 0) < 2**64)
    found += ["stop"] * (not isinstance(sent.get("stop", []), list))
    found += ["top_logprobs"] * (sent.get("top_logprobs", 0) > 5)
    found += ["top_logprobs alone"] * ("top_logprobs" in sent and "logprobs" not in sent)
    found += ["value"] * ("value" not in sent.get("response_format", {"value": {}}))
    found += ["n"] * ("n" in sent)
    for message in sent["messages"]:
        both = message.get("tool_calls") and message["content"] is not None
        neither = not message.get("tool_calls") and message["content"] is None
        found += ["message"] * bool(both or neither)
    return found


TEXTS = st.text(min_size=1, max_size=4)
CALLS = st.lists(st.sampled_from([call_of("{}", "1"), call_of('{"a": 1}', "2")]), max_size=2)
ANSWERED = st.builds(
    lambda text, calls: {"role": "assistant", "content": text, "tool_calls": calls},
    st.none() | st.text(max_size=3),
    CALLS,
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "top_p": st.floats(0, 1),
        "seed": st.integers(-(2**63), 2**63),
        "temperature": st.sampled_from([0, 1.5]),
        "stop": TEXTS | st.lists(TEXTS, max_size=3),
        "logprobs": st.booleans() | st.integers(0, 20),
        "tools": st.lists(st.just(NOW), max_size=1),
        "response_format": st.sampled_from([None, {}, SCHEMA, {"type": "json_object"}]),
        "n": st.integers(1, 3),
        "think": st.sampled_from(["off", "high"]),
        "stream": st.booleans(),
        "max_tokens": st.integers(1, 2**20),
    },
)


@given(st.lists(ANSWERED, max_size=3), OPTIONS)
def test_traps_6_and_9_nothing_is_sent_that_tgi_is_known_to_refuse(answered, options):
    turns = [{"role": "user", "content": "hi"}, *answered]
    assert refusals(body(messages=turns, **options)) == []
