"""What is sent to ``/v1/chat/completions``, to the last field."""

from __future__ import annotations

import pytest
import vllm_reader
from vllm_here import vllm_registry

from multitap.capabilities.chat import ChatRequest
from multitap.errors import BadRequest, ConfigError, NotSupported
from multitap.events import Notice
from multitap.hookspecs import Backend
from multitap.messages import Audio, Document, Image, Message, TextPart, Thought, Tool
from multitap.parameters import check_parameters
from multitap.plan import chat_request
from multitap.testing import outputs_of
from multitap.work import Head
from multitap_vllm.calls import SILENCE
from multitap_vllm.chat import multitap_chat

NOW = Tool("now")
NOW_SENT = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
BARE = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


def work(prompt="hi", *, settings=None, **options):
    backend = Backend(id="box", provider="vllm", settings=settings or {})
    return multitap_chat(backend).chat(chat_request("m", prompt, stream=False, **options))


def sent(*prompt, **options):
    return work(*prompt, **options).call.body.value


def thinking(effort, *, thinks=True):
    return {"reasoning_effort": effort, "chat_template_kwargs": {"enable_thinking": thinks}}


def form(**constraint):
    return {"structured_outputs": constraint}


@pytest.mark.parametrize(
    ("options", "added"),
    [
        ({}, {}),
        ({"max_tokens": 5, "temperature": 0.0, "top_p": 0.5, "seed": 0}, None),
        ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"n": 3}, {"n": 3}),
        ({"logprobs": True}, {"logprobs": True}),
        ({"logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        ({"tools": [NOW]}, {"tools": [NOW_SENT]}),
        ({"tools": [NOW], "tool_choice": "none"}, {"tools": [NOW_SENT], "tool_choice": "none"}),
        (
            {"tools": [NOW], "tool_choice": "required"},
            {"tools": [NOW_SENT], "tool_choice": "required"},
        ),
        (
            {"tools": [NOW], "tool_choice": NOW},
            {
                "tools": [NOW_SENT],
                "tool_choice": {"type": "function", "function": {"name": "now"}},
            },
        ),
        ({"response_format": {"type": "json_object"}}, None),
        (
            {"response_format": SCHEMA},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": SCHEMA},
                }
            },
        ),
        ({"extra": {"top_k": 0, "min_p": 0.0}}, {"top_k": 0, "min_p": 0.0}),
        ({"extra": {"regex": "[a-z]+"}}, form(regex="[a-z]+")),
        ({"extra": {"choice": ["yes", "no"]}}, form(choice=["yes", "no"])),
        ({"extra": {"grammar": 'root ::= "a"'}}, form(grammar='root ::= "a"')),
        ({"extra": form(json=SCHEMA)}, form(json=SCHEMA)),
        (
            {"extra": {"regex": "a", **form(disable_any_whitespace=True)}},
            form(disable_any_whitespace=True, regex="a"),
        ),
        (
            {"extra": {"truncate_prompt_tokens": 100, "truncation_side": "left"}},
            {"truncate_prompt_tokens": 100, "truncation_side": "left"},
        ),
    ],
)
def test_an_option_and_what_is_sent_for_it(options, added):
    assert sent(**options) == {**BARE, **(options if added is None else added)}


def test_a_stream_asks_for_its_usage():
    request = chat_request("m", "hi", stream=True)
    call = multitap_chat(Backend(id="box", provider="vllm")).chat(request).call
    assert call.body.value == {**BARE, **STREAMED}
    assert (call.method, call.path) == ("POST", "/v1/chat/completions")
    assert (call.first_byte, call.idle) == (SILENCE, SILENCE)


@pytest.mark.parametrize(
    ("settings", "asked", "usage"),
    [
        ({}, None, {"include_usage": True}),
        (
            {"usage_every_chunk": True},
            None,
            {"include_usage": True, "continuous_usage_stats": True},
        ),
        (
            {},
            {"continuous_usage_stats": True},
            {"include_usage": True, "continuous_usage_stats": True},
        ),
        (
            {"usage_every_chunk": True},
            {"continuous_usage_stats": False, "include_usage": False},
            None,
        ),
    ],
)
def test_usage_in_every_chunk_is_asked_for_by_the_setting_or_the_call(settings, asked, usage):
    extra = {"stream_options": asked} if asked else {}
    request = chat_request("m", "hi", stream=True, extra=extra)
    model = multitap_chat(Backend(id="box", provider="vllm", settings=settings))
    assert model.chat(request).call.body.value["stream_options"] == (usage or asked)
    assert "stream_options" not in sent(settings=settings)


# ---- thinking ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "fields", "effective"),
    [
        ("auto", {}, None),
        ("off", thinking("none", thinks=False), None),
        ("minimal", thinking("low"), "low"),
        ("low", thinking("low"), None),
        ("medium", thinking("medium"), None),
        ("high", thinking("high"), None),
        ("xhigh", thinking("high"), "high"),
    ],
)
def test_a_think_level_and_the_effective_one(level, fields, effective):
    asked = work(think=level)
    assert asked.call.body.value == {**BARE, **fields}
    answer = vllm_reader.recorded("chat")
    events = outputs_of(asked.decoder(Head(200, answer.headers)), [answer.body])
    notices = [event for event in events if isinstance(event, Notice)]
    assert [(n.code, n.option) for n in notices] == [("adjusted_option", "think")] * bool(effective)
    assert effective is None or effective in notices[0].message


def test_variables_of_the_template_are_laid_over_those_of_thinking():
    own = {"chat_template_kwargs": {"thinking": True}, "reasoning_effort": "max"}
    assert sent(think="high", extra=own) == {
        **BARE,
        "reasoning_effort": "max",
        "chat_template_kwargs": {"enable_thinking": True, "thinking": True},
    }


# ---- messages ------------------------------------------------------------------------------------


def messages(*parts):
    request = ChatRequest(model="m", messages=(Message("user", parts),), stream=False)
    model = multitap_chat(Backend(id="box", provider="vllm"))
    return model.chat(request).call.body.value["messages"][0]["content"]


def test_pictures_by_address_and_as_data_and_sound():
    assert messages(
        TextPart("What is this?"),
        Image(url="https://example.com/a.png"),
        Image(data=b"\x89PNG", mime_type="image/png"),
        Audio(b"RIFF", "audio/wav"),
        Audio(b"ID3", "audio/mpeg"),
    ) == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
    ]


def test_a_document_is_refused():
    with pytest.raises(NotSupported):
        messages(Document(b"%PDF", "application/pdf"))


def test_thoughts_are_never_sent_back_and_a_blank_system_text_is_not_either():
    history = (
        Message("system", " "),
        Message("user", "hi"),
        Message("assistant", [Thought("hm"), "Hello."]),
    )
    request = ChatRequest(model="m", messages=history, stream=False)
    body = multitap_chat(Backend(id="box", provider="vllm")).chat(request).call.body.value
    assert body["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Hello."},
    ]


# ---- what is refused before it is sent -----------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"extra": {"regex": "a", "choice": ["a"]}},
        {"extra": {"regex": "a"}, "response_format": SCHEMA},
        {"extra": {**form(json=SCHEMA), "grammar": "x"}},
        {"extra": {"choice": ["a"], "response_format": {"type": "json_object"}}},
        {"max_tokens": 0},
        {"max_tokens": -5},
    ],
)
def test_what_vllm_would_refuse_or_misread_is_refused_at_once(options):
    with pytest.raises(BadRequest) as caught:
        work(**options)
    assert caught.value.model == "m"


def checked(extra):
    (provider,) = vllm_registry().providers()
    request = chat_request("m", "hi", extra=extra)
    return check_parameters(request, provider).extra


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"guided_json": {}}, "has no option 'guided_json'"),  # vLLM would ignore it
        ({"guided_regex": "a"}, "has no option 'guided_regex'"),
        ({"return_token_ids": True}, "has no option"),
        ({"top_k": -2}, "at least -1"),
        ({"min_p": 1.5}, "at most 1"),
        ({"truncation_side": "middle"}, "one of 'left', 'right'"),
        ({"max_completion_tokens": 0}, "at least 1"),
    ],
)
def test_an_option_that_vllm_does_not_have_is_named(extra, says):
    with pytest.raises(ConfigError, match=says):
        checked(extra)


def test_the_options_of_vllm_are_taken():
    extra = {"top_k": -1, "min_p": 0.1, "repetition_penalty": 1.2, "choice": ["a"], "priority": -3}
    assert checked(extra) == extra


def test_a_prompt_that_is_not_to_be_found_has_a_salt_of_its_own():
    assert sent(cache="talk 7") == {**BARE, "session_id": "talk 7"}
    salts = [sent(cache=False)["cache_salt"] for _ in range(2)]
    assert salts[0] != salts[1]
    assert sent(cache=False, extra={"cache_salt": "mine"})["cache_salt"] == "mine"
