"""From arguments to a request: what is asked, what is refused, what is only a warning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.capabilities.chat import (
    CacheHint,
    adjusted_think,
    clamp_max_output_tokens,
    nearest_think,
    only_text,
    think_level,
)
from multitap.errors import ConfigError, NotSupported
from multitap.messages import Image, Message, Thought, Tool, ToolCall, ToolResult
from multitap.plan import chat_request, fit_to_model, honoured, texts_of

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}


def test_a_prompt_is_the_users_turn_after_the_system_text():
    request = chat_request("tiny", "hi", system="Be brief.")
    assert request.messages == (Message("system", "Be brief."), Message("user", "hi"))


@pytest.mark.parametrize(
    "asked",
    [
        {"prompt": "a\ud800b"},
        {"prompt": "hi", "system": "a\ud800b"},
        {"messages": [Message("assistant", [Thought("a\ud800b")])]},
        {"messages": [Message("assistant", [ToolCall("1", "add", "a\ud800b")])]},
        {"messages": [Message("tool", [ToolResult("1", "a\ud800b")])]},
    ],
)
def test_half_a_character_is_refused_before_any_plugin_sees_it(asked):
    with pytest.raises(ConfigError, match=r"a lone surrogate, '\\ud800', at 1"):
        chat_request("tiny", **asked)


@pytest.mark.parametrize(
    "part", [Image(b"png", "image/png"), ToolCall("1", "add"), ToolResult("1", "2")]
)
def test_a_part_that_is_no_text_is_refused_where_text_alone_is_sent(part):
    with pytest.raises(NotSupported, match=type(part).__name__.lower()):
        only_text(Message("user", ["hi", part]))
    assert only_text(Message("assistant", [Thought("so"), "hi"])) == "hi"


def test_half_a_character_in_a_list_of_texts_is_refused():
    with pytest.raises(ConfigError, match=r"Number 1 of the texts has a lone surrogate"):
        texts_of(["\U0001f9ee", "\udc00"], "texts")


@pytest.mark.parametrize("blank", [None, "", "  \n"])
def test_a_blank_system_text_is_not_sent(blank):
    assert chat_request("tiny", "hi", system=blank).messages == (Message("user", "hi"),)


def test_messages_may_be_dicts():
    request = chat_request("tiny", messages=[{"role": "user", "content": "hi"}])
    assert request.messages == (Message("user", "hi"),)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"prompt": ""}, {"messages": []}, {"prompt": "a", "messages": [Message("user", "b")]}],
)
def test_there_has_to_be_one_question(arguments):
    with pytest.raises(ConfigError):
        chat_request("tiny", **arguments)


def test_nothing_that_was_not_asked_for_is_asked():
    assert list(chat_request("tiny", "hi").asked()) == []


def test_zero_is_asked_for():
    request = chat_request("tiny", "hi", temperature=0.0, seed=0)
    assert list(request.asked()) == ["temperature", "seed"]


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, {}),
        (SCHEMA, SCHEMA),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}, SCHEMA),
    ],
)
def test_a_schema_may_be_bare_or_wrapped(value, schema):
    assert chat_request("tiny", "hi", response_format=value).response_schema == schema


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        (None, None),
        ("auto", "auto"),
        ("required", "required"),
        ("weather", Tool("weather", "", SCHEMA)),
        ({"type": "function", "function": {"name": "weather"}}, Tool("weather", "", SCHEMA)),
    ],
)
def test_a_tool_choice_may_name_a_tool(value, choice):
    assert chat_request("tiny", "hi", tools=[WEATHER], tool_choice=value).tool_choice == choice


@pytest.mark.parametrize(
    "wrong",
    [
        {"tools": [WEATHER], "tool_choice": "wether"},
        {"response_format": {"type": "json_schema"}},
        {"temperature": "hot"},
        {"max_tokens": True},
        {"n": 0},
        {"logprobs": -1},
        {"think": "hard"},
        {"top_k": 5},
        {"response_schema": {}},
        {"temperature": -1},
        {"top_p": 1.5},
        {"temperature": float("nan")},
    ],
)
def test_a_wrong_argument_is_named(wrong):
    with pytest.raises(ConfigError):
        chat_request("tiny", "hi", **wrong)


@pytest.mark.parametrize(("value", "asked"), [(None, None), (False, None), (True, 0), (5, 5)])
def test_logprobs(value, asked):
    assert chat_request("tiny", "hi", logprobs=value).logprobs == asked


@pytest.mark.parametrize(
    ("words", "level"),
    [
        ((None, "", " "), None),
        (("default", "auto"), "auto"),
        ((False, "false", "none", "disabled", "disable", "no", "0", "OFF"), "off"),
        ((True, "true", "on", "yes", "1", " High "), "high"),
        (("minimal",), "minimal"),
        (("xhigh",), "xhigh"),
    ],
)
def test_think_levels(words, level):
    assert {think_level(word) for word in words} == {level}


def test_an_unknown_level_lists_the_known_ones():
    with pytest.raises(ConfigError, match="auto, off, minimal, low, medium, high, xhigh"):
        think_level("hard")


LEVELS = ("off", "minimal", "low", "medium", "high", "xhigh")


@pytest.mark.parametrize(
    ("offered", "effective"),
    [
        (LEVELS, LEVELS),
        (("off", "low", "medium", "high"), ("off", "low", "low", "medium", "high", "high")),
        (("low", "medium", "high"), ("low", "low", "low", "medium", "high", "high")),
        (("off", "minimal", "medium", "high"), ("off", "minimal", "minimal", *LEVELS[3:5], "high")),
        (("low", "high"), ("low", "low", "low", "low", "high", "high")),
        (("off", "high"), ("off", *["high"] * 5)),
        (("high",), ("high",) * 6),
        (("off",), ("off",) * 6),
        ((), (None,) * 6),
    ],
)
def test_a_think_level_is_rounded_to_one_that_the_model_has(offered, effective):
    assert tuple(nearest_think(level, offered) for level in LEVELS) == effective
    assert nearest_think("auto", offered) == "auto"


@given(st.sampled_from(LEVELS), st.sets(st.sampled_from(LEVELS), min_size=1))
def test_the_effective_think_level_is_offered_and_reported(level, offered):
    effective, notices = adjusted_think(level, offered)
    assert effective in offered
    assert adjusted_think(effective, offered) == (effective, [])
    said = [(notice.code, notice.option, notice.effective) for notice in notices]
    assert said == ([] if level in offered else [("adjusted_option", "think", effective)])


def test_a_model_that_takes_no_think_level_is_asked_without_and_that_is_said():
    level, notices = adjusted_think("low", ())
    assert (level, [notice.code for notice in notices]) == (None, ["unsupported_option"])


@pytest.mark.parametrize(
    ("requested", "ceiling", "result"),
    [
        (100, 50, (50, True)),
        (100, 0, (100, False)),
        (0, 50, (0, False)),
        (-1, 50, (-1, False)),
        (50, 50, (50, False)),
    ],
)
def test_output_tokens_are_clamped(requested, ceiling, result):
    assert clamp_max_output_tokens(requested, ceiling) == result


def test_a_clamp_leaves_the_callers_request_alone():
    request = chat_request("tiny", "hi", max_tokens=100)
    fitted, notices = fit_to_model(request, 50)
    assert (request.max_tokens, fitted.max_tokens) == (100, 50)
    assert [(notice.code, notice.effective) for notice in notices] == [("clamped", 50)]
    assert fit_to_model(request, None) == (request, [])


def test_an_option_that_is_not_declared_is_taken_out_with_a_warning():
    request = chat_request("tiny", "hi", seed=7, temperature=0)
    kept, notices = honoured(request, {"temperature"}, strict=False, backend="b")
    assert (kept.seed, kept.temperature) == (None, 0)
    assert [notice.option for notice in notices] == ["seed"]
    assert honoured(request, None, strict=True, backend="b") == (request, [])
    with pytest.raises(NotSupported, match="seed"):
        honoured(request, {"temperature"}, strict=True, backend="b")


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (None, None),
        ("talk 7", CacheHint(conversation="talk 7")),
        (True, CacheHint()),
        (False, CacheHint(keep=False)),
        ({"conversation": "c", "ttl": 60}, CacheHint(conversation="c", ttl=60)),
        (CacheHint(ttl=1.5), CacheHint(ttl=1.5)),
    ],
)
def test_a_hint_for_the_cache_in_any_form(given, hint):
    assert chat_request("tiny", "hi", cache=given).cache == hint


@pytest.mark.parametrize("given", [7, ["c"], {"ttl": "1h"}, {"talk": "c"}, {"keep": None}])
def test_what_is_no_hint_for_the_cache_is_told(given):
    with pytest.raises(ConfigError, match="cache is") as caught:
        chat_request("tiny", "hi", cache=given)
    assert "conversation" in caught.value.hint


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ([{"role": "user", "content": "hi"}], "messages="),
        ([Message("user", "hi")], "messages="),
        (["hi", 7], "7"),
        ([object()], "no text and no part"),
    ],
)
def test_what_is_no_part_of_a_prompt_is_told(prompt, said):
    with pytest.raises(ConfigError) as caught:
        chat_request("tiny", prompt)
    assert said in str(caught.value)
