"""What is sent: the exact body for each thing that is asked for, and nothing else."""

from __future__ import annotations

import json

import ollama_reader
import pytest

from multitap.capabilities.chat import ChatRequest
from multitap.errors import BadRequest, NotSupported
from multitap.events import Notice
from multitap.hookspecs import Backend
from multitap.messages import (
    Audio,
    Document,
    Image,
    Message,
    TextPart,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from multitap.plan import chat_request
from multitap.work import Head, Json
from multitap_ollama.chat import multitap_chat
from multitap_ollama.requests import SILENCE, LoadSettings, chat_body, chat_notices

WEATHER = Tool("weather", "How it is.", {"type": "object", "properties": {"city": {}}})
NOW = Tool("now")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
BARE = {
    "model": "m",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
    "truncate": False,
}


def body(*messages, settings=None, **asked):
    turns = messages or (Message("user", "hi"),)
    return chat_body(ChatRequest(model="m", messages=turns, **asked), settings or LoadSettings())


def encoded(*messages):
    return body(*messages)["messages"]


def test_what_is_not_asked_for_is_not_sent():
    assert body() == BARE


ASKED = {
    "unstreamed": ({"stream": False}, {"stream": False}),
    "max_tokens": ({"max_tokens": 5}, {"options": {"num_predict": 5}}),
    "temperature 0": ({"temperature": 0.0}, {"options": {"temperature": 0.0}}),
    "top_p": ({"top_p": 0.5}, {"options": {"top_p": 0.5}}),
    "seed 0": ({"seed": 0}, {"options": {"seed": 0}}),
    "stop": ({"stop": ("a", "b")}, {"options": {"stop": ["a", "b"]}}),
    "truncate": ({"truncate": True}, {"truncate": True}),
    "shift": ({"shift": True}, {"truncate": True}),
    "a schema": ({"response_schema": SCHEMA}, {"format": SCHEMA}),
    "any JSON": ({"response_schema": {}}, {"format": "json"}),
    "logprobs": ({"logprobs": 0}, {"logprobs": True}),
    "top logprobs": ({"logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
    "think auto": ({"think": "auto"}, {}),
    "think off": ({"think": "off"}, {"think": False}),
    "think minimal": ({"think": "minimal"}, {"think": "low"}),
    "think low": ({"think": "low"}, {"think": "low"}),
    "think medium": ({"think": "medium"}, {"think": "medium"}),
    "think high": ({"think": "high"}, {"think": "high"}),
    "think xhigh": ({"think": "xhigh"}, {"think": "max"}),
    "no choice among tools": ({"tools": (NOW,), "tool_choice": "none"}, {}),
    "an option of Ollama": ({"extra": {"top_k": 3}}, {"options": {"top_k": 3}}),
    "a field of Ollama": ({"extra": {"keep_alive": 0}}, {"keep_alive": 0}),
    "options as such": ({"extra": {"options": {"min_p": 0.1}}}, {"options": {"min_p": 0.1}}),
    "extra has the last word": (
        {"temperature": 0.5, "extra": {"temperature": 0.7, "truncate": True}},
        {"options": {"temperature": 0.7}, "truncate": True},
    ),
    "a context of its own": (
        {"extra": {"num_ctx": 4096}},
        {"options": {"num_ctx": 4096}, "shift": False},
    ),
    "a context that may shift": (
        {"extra": {"num_ctx": 4096, "shift": True}},
        {"options": {"num_ctx": 4096}, "shift": True},
    ),
    "a context in which to cut": (
        {"extra": {"num_ctx": 4096}, "truncate": True},
        {"options": {"num_ctx": 4096}, "truncate": True},
    ),
}


@pytest.mark.parametrize(("asked", "added"), ASKED.values(), ids=ASKED)
def test_what_is_asked_for_is_sent_so(asked, added):
    assert body(**asked) == {**BARE, **added}


def test_tools_are_sent_with_what_they_have():
    described = {"name": "weather", "description": "How it is.", "parameters": WEATHER.parameters}
    bare = {"name": "now", "parameters": {"type": "object"}}
    wanted = [{"type": "function", "function": each} for each in (described, bare)]
    assert body(tools=(WEATHER, NOW))["tools"] == wanted
    assert body(tools=(WEATHER, NOW), tool_choice="required")["tools"] == wanted
    assert body(tools=(WEATHER, NOW), tool_choice=NOW)["tools"] == wanted[1:]


SETTINGS = {
    "none": ({}, {}),
    "num_ctx": ({"num_ctx": 8192}, {"options": {"num_ctx": 8192}, "shift": False}),
    "num_ctx, shift": (
        {"num_ctx": 8192, "shift": True},
        {"options": {"num_ctx": 8192}, "shift": True},
    ),
    "no shift": ({"shift": False}, {"shift": False}),
    "a duration": ({"keep_alive": "10m"}, {"keep_alive": "10m"}),
    "seconds": ({"keep_alive": "300"}, {"keep_alive": 300}),
    "for ever": ({"keep_alive": "-1"}, {"keep_alive": -1}),
    "not at all": ({"keep_alive": "0"}, {"keep_alive": 0}),
}


@pytest.mark.parametrize(("settings", "added"), SETTINGS.values(), ids=SETTINGS)
def test_settings_of_the_backend_are_sent_with_every_call(settings, added):
    backend = Backend(id="box", provider="ollama", settings=settings)
    work = multitap_chat(backend).chat(chat_request("m", "hi"))
    assert work.call.body == Json({**BARE, **added})


def test_options_of_a_call_go_before_settings_of_the_backend():
    settings = LoadSettings(num_ctx=8192, keep_alive="10m")
    sent = body(settings=settings, extra={"num_ctx": 64, "keep_alive": "1h"}, max_tokens=3)
    assert sent["options"] == {"num_ctx": 64, "num_predict": 3}
    assert sent["keep_alive"] == "1h"


# ---- messages ------------------------------------------------------------------------------------

CALL = ToolCall("c1", "weather", '{"city": "Oslo"}')
SENT_CALL = {"id": "c1", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}


def test_a_blank_system_text_is_not_sent():
    assert encoded(Message("system", " "), Message("user", "hi")) == BARE["messages"]


def test_texts_of_a_turn_are_one_content():
    assert encoded(Message("user", ["a", TextPart("b")])) == [{"role": "user", "content": "ab"}]


def test_the_last_turn_of_the_assistant_is_sent_as_it_is_so_that_it_is_continued():
    turns = [Message("user", "Count."), Message("assistant", "One, ")]
    assert encoded(*turns)[-1] == {"role": "assistant", "content": "One, "}


def test_pictures_and_sounds_are_bare_base64():
    turn = Message("user", ["Look.", Image(b"\x01", "image/png"), Audio(b"\x02")])
    assert encoded(turn) == [{"role": "user", "content": "Look.", "images": ["AQ==", "Ag=="]}]


@pytest.mark.parametrize(
    ("part", "advice"),
    [(Image(url="https://x.example/a.png"), "bytes"), (Document(b"", "application/pdf"), "text")],
)
def test_what_ollama_cannot_take_is_refused_with_advice(part, advice):
    with pytest.raises(NotSupported) as caught:
        encoded(Message("user", part))
    assert advice in caught.value.hint


def test_arguments_of_a_call_are_an_object_and_opaque_data_of_others_stays_here():
    call = ToolCall("c1", "weather", '{"city": "Oslo"}', {"other": {"signature": "s"}})
    wanted = {"role": "assistant", "content": "", "tool_calls": [SENT_CALL]}
    assert encoded(Message("assistant", call)) == [wanted]


def test_a_call_without_arguments_has_an_empty_object():
    sent = encoded(Message("assistant", ToolCall("", "now", "")))
    assert sent[0]["tool_calls"] == [{"function": {"name": "now", "arguments": {}}}]


def test_arguments_that_are_no_object_are_shown_to_the_model_as_they_are():
    sent = encoded(Message("assistant", ToolCall("c1", "now", '{"a": ')))
    assert sent[0]["tool_calls"][0]["function"]["arguments"] == {"invalid": '{"a": '}


def test_a_result_names_the_tool_even_where_only_its_call_does():
    turns = [
        Message("assistant", CALL),
        Message("tool", ToolResult("c1", "sunny")),
        Message("tool", ToolResult("c2", "5", "add")),
        Message("tool", ToolResult("", "?")),
    ]
    assert encoded(*turns)[1:] == [
        {"role": "tool", "content": "sunny", "tool_name": "weather", "tool_call_id": "c1"},
        {"role": "tool", "content": "5", "tool_name": "add", "tool_call_id": "c2"},
        {"role": "tool", "content": "?"},
    ]


def test_a_turn_of_results_and_words_is_sent_as_both():
    turn = Message("user", [ToolResult("c1", "sunny", "weather"), "Thanks."])
    assert [sent["role"] for sent in encoded(turn)] == ["tool", "user"]


@pytest.mark.parametrize("turn", [Message("system", " "), Message("assistant", Thought("hm"))])
def test_nothing_to_say_is_refused_as_it_would_only_load_the_model(turn):
    with pytest.raises(BadRequest, match="every message is empty"):
        encoded(turn)


@pytest.mark.parametrize("tokens", [0, -1])
def test_no_tokens_are_refused_as_ollama_would_give_all(tokens):
    with pytest.raises(BadRequest, match=f"max_tokens is {tokens}"):
        body(max_tokens=tokens)


# ---- what cannot be had, and how long to wait ----------------------------------------------------


def chat(**asked):
    backend = Backend(id="box", provider="ollama")
    return multitap_chat(backend).chat(chat_request("m", "hi", **asked))


@pytest.mark.parametrize("choice", ["required", "weather"])
def test_that_a_call_cannot_be_forced_is_told_first(choice):
    work = chat(tools=[WEATHER], tool_choice=choice)
    first = work.decoder(Head(200, {})).feed(b'{"message": {"content": "Sunny."}}\n')
    assert [(event.type, getattr(event, "option", None)) for event in first] == [
        ("warning", "tool_choice"),
        ("text", None),
    ]


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_a_choice_that_ollama_makes_as_well_is_not_worth_a_word(choice):
    request = chat_request("m", "hi", tools=[WEATHER], tool_choice=choice)
    assert chat_notices(request) == []


def test_a_level_that_ollama_does_not_have_is_told():
    notices = chat_notices(chat_request("m", "hi", think="minimal"))
    assert [type(notice) for notice in notices] == [Notice]
    assert notices[0].option == "think"


def test_only_several_answers_cannot_be_asked_for():
    everything = {
        "tools": (NOW,),
        "tool_choice": "none",
        "response_schema": {},
        "max_tokens": 1,
        "temperature": 0.1,
        "top_p": 0.1,
        "seed": 1,
        "stop": ("a",),
        "think": "off",
        "logprobs": 1,
        "n": 2,
        "truncate": True,
        "shift": True,
    }
    asked = ChatRequest(model="m", messages=(), **everything).asked()
    options = multitap_chat(Backend(id="box", provider="ollama")).options
    assert set(asked) - set(options) == {"n"}


def test_a_whole_answer_may_be_written_over_several_lines():
    decoder = chat(stream=False).decoder(Head(200, {}))
    decoder.feed(json.dumps({"message": {"content": "Hi"}, "done": True}, indent=2).encode())
    assert [event.type for event in decoder.finish()] == ["text", "stop"]


def test_silence_while_the_model_loads_is_waited_for():
    assert SILENCE > 300
    assert chat().call.first_byte == SILENCE
    assert chat(stream=False).call.first_byte is None
    assert chat().call.idle is None
    assert chat(tools=[NOW]).call.idle == SILENCE


# ---- beside what was recorded --------------------------------------------------------------------

SAMPLING = {"num_predict": "max_tokens", "temperature": "temperature", "top_p": "top_p"}
SAMPLING |= {"seed": "seed"}
FIELDS = {"model", "messages", "stream", "options", "tools", "format", "think", "logprobs"}
FIELDS |= {"top_logprobs"}
OTHERWISE = "bad_role", "bad_option_int", "num_predict_zero", "top_logprobs_alone"


def comparable(name):
    """Did somebody ask there for what can be asked for here, without a slip of the pen?"""
    recorded = ollama_reader.recorded(name)
    if recorded.path != "/api/chat" or recorded.status != 200 or name.endswith(OTHERWISE):
        return False
    asked = json.loads(recorded.request)
    return (
        set(asked) <= FIELDS
        and set(asked.get("options", ["seed"]) or ()) - set(SAMPLING) == set()
        and asked.get("options", True) not in (None, {})
        and isinstance(asked.get("format", {}), dict)
        and len(asked.get("messages", ())) > 0
        and not any("thinking" in message for message in asked["messages"])
    )


COMPARABLE = [name for name in ollama_reader.names("test_recordings") if comparable(name)]


@pytest.mark.parametrize("name", COMPARABLE)
def test_a_recorded_request_is_what_we_send_for_the_same_wish(name):
    recorded = json.loads(ollama_reader.recorded(name).request)
    options = recorded.get("options", {})
    asked = {ours: options[theirs] for theirs, ours in SAMPLING.items() if theirs in options}
    asked["messages"] = [openai_shape(message) for message in recorded["messages"]]
    asked["tools"] = recorded.get("tools")
    asked["response_format"] = recorded.get("format")
    asked["logprobs"] = recorded.get("top_logprobs", recorded.get("logprobs"))
    think = recorded.get("think")
    asked["think"] = "xhigh" if think == "max" else think
    request = chat_request(recorded["model"], stream=recorded.get("stream", True), **asked)
    wanted = {"stream": True, "truncate": False, **recorded}
    wanted |= {"think": "high"} if think is True else {}
    wanted["messages"] = [sent_shape(message) for message in recorded["messages"]]
    assert chat_body(request, LoadSettings()) == wanted


def test_there_is_much_to_compare():
    assert len(COMPARABLE) > 50


def openai_shape(message):
    """The same turn, as an application would write it."""
    turn = {name: value for name, value in message.items() if name != "tool_name"}
    if "tool_name" in message:
        turn["name"] = message["tool_name"]
    if "tool_calls" in message:
        turn["tool_calls"] = [{"type": "function", **call} for call in message["tool_calls"]]
    return turn


def sent_shape(message):
    """The recorded turn with a content, and without the number that its answer gave a call."""
    turn = {"content": "", **message}
    for call in turn.get("tool_calls", ()):
        call["function"].pop("index", None)
    return turn
