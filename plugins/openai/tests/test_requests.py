"""What is sent: paths, headers, and bodies by server and model."""

from __future__ import annotations

import pytest
from openai_here import openai_registry

from multitap import errors
from multitap.config.values import base_url
from multitap.messages import Document, Message, Thought, Tool, ToolCall, ToolResult
from multitap.plan import chat_request
from multitap.work import Backend, Head
from multitap_openai.chat import multitap_chat

OPENAI = "https://api.openai.com"
LOCAL = "http://127.0.0.1:8000"
NOTHING = {"type": "object"}


def backend(endpoint=OPENAI, **settings):
    return Backend(id="b", provider="openai", endpoint=endpoint, settings=settings)


def exchange(model, *, at=OPENAI, settings=(), **options):
    options = {"stream": False, **options}
    if "messages" not in options:
        options["prompt"] = "hi"
    return multitap_chat(backend(at, **dict(settings))).chat(chat_request(model, **options))


def sent(model, **options):
    """What is sent beside the model and the messages."""
    body = exchange(model, **options).call.body.value
    return {name: value for name, value in body.items() if name not in ("model", "messages")}


def notices(model, **options):
    decoder = exchange(model, **options).decoder(Head(200, {"content-type": "application/json"}))
    decoder.feed(b'{"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}')
    return [(e.code, e.option) for e in decoder.finish() if e.type == "warning"]


# ---- where to ------------------------------------------------------------------------------------

(INFO,) = openai_registry().providers()


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://api.openai.com/", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1"),
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
        ("https://acme.openai.azure.com/openai/v1", "https://acme.openai.azure.com/openai/v1"),
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1"),
        ("https://api.groq.com/openai/v1/", "https://api.groq.com/openai/v1"),
        ("https://a.example/api/paas/v4", "https://a.example/api/paas/v4"),
        ("https://a.example/api/paas/v4/chat/completions", "https://a.example/api/paas/v4"),
        ("https://a.example/api/v3/", "https://a.example/api/v3"),
        ("https://a.example/v1beta/openai/", "https://a.example/v1beta/openai"),
    ],
)
def test_an_endpoint_is_understood_as_people_write_it(endpoint, url):
    base = base_url(endpoint, INFO.suffixes)
    call = exchange("m", at=base).call
    assert base + call.path == f"{url}/chat/completions"


@pytest.mark.parametrize(
    ("prefix", "path"),
    [("", "/chat/completions"), ("/", "/chat/completions"), ("v2/", "/v2/chat/completions")],
)
def test_a_prefix_is_used_as_it_is(prefix, path):
    call = exchange("m", at="https://a.example/v4", settings={"prefix": prefix}).call
    assert call.path == path


def test_organisation_and_project_are_headers():
    settings = {"organization": "org-1", "project": "proj-1"}
    wanted = {"OpenAI-Organization": "org-1", "OpenAI-Project": "proj-1"}
    assert exchange("gpt-5", settings=settings).call.headers == wanted
    assert exchange("gpt-5").call.headers == {}


# ---- bodies --------------------------------------------------------------------------------------


def test_a_whole_body():
    tool = Tool("get_weather", "Tells.", NOTHING)
    call = exchange(
        "gpt-4o",
        stream=True,
        system="Be brief.",
        tools=[tool],
        tool_choice="get_weather",
        temperature=0.0,
        top_p=0.5,
        seed=0,
        max_tokens=5,
        stop="END",
        n=2,
        logprobs=3,
        extra={"presence_penalty": 0.5, "extra_body": {"top_k": 5}},
    ).call
    assert call.body.value == {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [tool.to_dict()],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "temperature": 0.0,
        "top_p": 0.5,
        "seed": 0,
        "max_completion_tokens": 5,
        "stop": ["END"],
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
        "presence_penalty": 0.5,
        "top_k": 5,
    }


@pytest.mark.parametrize(
    ("at", "settings", "field"),
    [
        (OPENAI, {}, "max_completion_tokens"),
        (LOCAL, {}, "max_tokens"),
        ("https://a.openai.azure.com/openai", {}, "max_completion_tokens"),
        ("https://evil-openai.com", {}, "max_tokens"),
        (LOCAL, {"server": "openai"}, "max_completion_tokens"),
        (OPENAI, {"server": "compatible"}, "max_tokens"),
        (LOCAL, {"max_tokens_field": "max_completion_tokens"}, "max_completion_tokens"),
        (OPENAI, {"max_tokens_field": "max_tokens"}, "max_tokens"),
    ],
)
def test_what_max_tokens_is_called(at, settings, field):
    assert sent("gpt-4o", at=at, settings=settings, max_tokens=5) == {field: 5}


def test_a_stream_without_a_wish_for_usage():
    assert sent("m", settings={"stream_usage": False}, stream=True) == {"stream": True}


LEVELS = ("off", "minimal", "low", "medium", "high", "xhigh")


@pytest.mark.parametrize(
    ("model", "efforts"),
    [
        ("o3", "low low low medium high high"),
        ("o4-mini-2025-04-16", "low low low medium high high"),
        ("gpt-5", "minimal minimal low medium high high"),
        ("gpt-5-mini", "minimal minimal low medium high high"),
        ("gpt-5-pro", "high high high high high high"),
        ("gpt-5-codex", "low low low medium high high"),
        ("gpt-5.1", "none low low medium high high"),
        ("gpt-5.1-2025-11-13", "none low low medium high high"),
        ("gpt-5.1-codex-mini", "low low low medium high high"),
        ("gpt-5.1-codex-max", "low low low medium high xhigh"),
        ("gpt-5.2-codex", "low low low medium high xhigh"),
        ("gpt-5.3-chat-latest", "medium medium medium medium medium medium"),
        ("gpt-5.5-pro-2026-04-23", "medium medium medium medium high xhigh"),
        ("gpt-5.6-sol", "none low low medium high xhigh"),
        ("gpt-6.2-astra", "none low low medium high xhigh"),
        ("gpt-5.2", "none low low medium high xhigh"),
        ("gpt-5.2-pro", "medium medium medium medium high xhigh"),
        ("gpt-7-nano", "none low low medium high xhigh"),
        ("ft:o4-mini:acme::x", "low low low medium high high"),
        ("brand-new", "none minimal low medium high xhigh"),
    ],
)
def test_levels_of_thinking(model, efforts):
    effective = dict(zip(LEVELS, efforts.split(), strict=True))
    for level, effort in effective.items():
        assert sent(model, think=level) == {"reasoning_effort": effort}
        same = effort == ("none" if level == "off" else level)
        assert notices(model, think=level) == ([] if same else [("adjusted_option", "think")])
    assert sent(model, think="auto") == sent(model) == {}


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-3.5-turbo", "gpt-5-chat-latest"])
def test_a_model_that_does_not_think_is_not_asked_to(model):
    assert sent(model, think="high") == {}
    assert notices(model, think="high") == [("unsupported_option", "think")]
    assert sent(model, temperature=0.5) == {"temperature": 0.5}


SAMPLING = {"temperature": 0.5, "top_p": 0.5, "stop": "a", "logprobs": 1}


@pytest.mark.parametrize(
    ("model", "think"),
    [
        ("o3", None),
        ("gpt-5", None),
        ("gpt-5", "off"),
        ("gpt-5.1", "low"),
        ("gpt-5.2", "minimal"),
        ("gpt-5.3-chat-latest", None),
        ("gpt-6-sol", None),
        ("gpt-5-search-api", None),
        ("o1-mini", None),
    ],
)
def test_a_model_that_thinks_takes_no_sampling(model, think):
    levels = {} if think is None else {"think": think}
    body = sent(model, seed=1, **SAMPLING, **levels)
    assert {key for key in body if key != "reasoning_effort"} == {"seed"}
    options = {option for _, option in notices(model, **SAMPLING)}
    assert think is not None or options == set(SAMPLING)


@pytest.mark.parametrize(
    ("model", "think"),
    [
        ("gpt-5.1", None),
        ("gpt-5.2-2025-12-11", "auto"),
        ("gpt-5.4-mini", "off"),
        ("gpt-6-sol", "off"),
        ("gpt-4.1", "high"),
        ("brand-new", "high"),
    ],
)
def test_a_model_that_does_not_think_now_takes_sampling(model, think):
    body = sent(model, **SAMPLING, **({} if think is None else {"think": think}))
    assert {"temperature", "top_p", "stop", "logprobs"} <= set(body)


@pytest.mark.parametrize("model", ["gpt-4o-search-preview", "gpt-5-search-api", "o1-preview"])
def test_a_model_that_cannot_be_told_how_much_to_think(model):
    assert sent(model, think="high") == {}
    assert notices(model, think="high") == [("unsupported_option", "think")]


def test_an_effort_beyond_the_levels_is_passed_on():
    assert sent("gpt-6-sol", extra={"reasoning_effort": "max"}) == {"reasoning_effort": "max"}


def test_other_servers_get_every_level_and_all_sampling():
    asked = {"think": "xhigh", "temperature": 0.5, "max_tokens": 1}
    wanted = {"reasoning_effort": "xhigh", "temperature": 0.5, "max_tokens": 1}
    assert sent("gpt-5", at=LOCAL, **asked) == wanted


def test_openai_gets_clean_schemas_and_strict_where_it_can_be():
    closed = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    schema = sent("gpt-4o", response_format=closed)["response_format"]["json_schema"]
    assert schema == {"name": "answer", "schema": closed, "strict": True}
    loose = {"anyOf": [NOTHING, {"type": "null"}]}
    assert sent("gpt-4o", response_format=loose)["response_format"]["json_schema"] == {
        "name": "answer",
        "schema": NOTHING,
    }
    told = [("adjusted_schema", "response_schema"), ("schema_not_enforced", "response_schema")]
    assert notices("gpt-4o", response_format=loose) == told
    elsewhere = sent("m", at=LOCAL, response_format=loose)["response_format"]["json_schema"]
    assert elsewhere == {"name": "answer", "schema": loose}


def test_a_tool_that_openai_would_refuse_says_what_to_change():
    with pytest.raises(errors.BadRequest, match="get weather"):
        exchange("gpt-4o", tools=[Tool("get weather")])
    assert "tools" in sent("m", at=LOCAL, tools=[Tool("get weather")])


def test_a_pdf_is_sent_and_another_document_is_refused():
    pdf = Message("user", Document(b"x", "application/pdf", "a.pdf"))
    body = exchange("gpt-4o", messages=[pdf]).call.body.value
    file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,eA=="}
    assert body["messages"][0]["content"] == [{"type": "file", "file": file}]
    with pytest.raises(errors.NotSupported, match="application/pdf"):
        exchange("gpt-4o", messages=[Message("user", Document(b"x", "text/csv"))])


def test_system_messages_by_the_backends_setting():
    turns = [Message("user", "hi"), Message("system", "Be brief.")]
    roles = [
        [m["role"] for m in exchange("m", messages=turns, settings=s).call.body.value["messages"]]
        for s in ({}, {"system": "merge"})
    ]
    assert roles == [["user", "system"], ["system", "user"]]
    with pytest.raises(errors.BadRequest):
        exchange("m", messages=turns, settings={"system": "first"})


def test_thoughts_and_the_data_of_others_stay_here():
    meta = {"openai": {"extra_content": {"a": 1}}, "anthropic": {"signature": "s"}}
    turns = [
        Message("user", "hi"),
        Message("assistant", [Thought("secret"), ToolCall("c", "f", "{}", meta)]),
        Message("tool", ToolResult("c", "r")),
    ]
    body = exchange("gpt-4o", messages=turns).call.body.value
    function = {"name": "f", "arguments": "{}"}
    call = {"id": "c", "type": "function", "function": function, "extra_content": {"a": 1}}
    assert body["messages"][1] == {"role": "assistant", "content": None, "tool_calls": [call]}


# ---- options of its own --------------------------------------------------------------------------


def test_a_conversation_is_a_key_of_the_cache_and_of_no_other():
    keys = [
        sent(model, cache=talk)["prompt_cache_key"]
        for model, talk in (("gpt-5", "a"), ("gpt-5", "a"), ("gpt-5", "b"), ("gpt-4o", "a"))
    ]
    assert keys[0] == keys[1]
    assert len({*keys}) == 3
    assert keys[0].startswith("multitap:")
    assert len(keys[0]) == len("multitap:") + 20
    assert sent("gpt-5", cache="a", extra={"prompt_cache_key": "mine"}) == {
        "prompt_cache_key": "mine"
    }


def test_a_prompt_that_is_wanted_for_long_is_kept_for_long():
    assert sent("gpt-5", cache={"ttl": 7200}) == {"prompt_cache_retention": "24h"}
    assert sent("gpt-5", cache={"ttl": 60}) == {}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("frequency_penalty", -2, 2.5),
        ("presence_penalty", 0.25, "high"),
        ("logit_bias", {"50256": -100}, [50256]),
        ("parallel_tool_calls", False, "no"),
        ("verbosity", "low", "loud"),
        ("extra_body", {"top_k": 1}, "top_k"),
    ],
)
def test_options_of_its_own_are_checked(name, good, bad):
    INFO.parameters[name].check(good)
    with pytest.raises(ValueError, match="has to"):
        INFO.parameters[name].check(bad)
