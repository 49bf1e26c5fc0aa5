"""Thinking and calls in text through both runtimes, and how they are switched on."""

from __future__ import annotations

import letters
import pytest

from multitap.capabilities.chat import TextTools, ThinkTags
from multitap.config import load_config
from multitap.config.by_model import written
from multitap.errors import ConfigError, ContextOverflow, EngineError, NotSupported
from multitap.events import Failed, Reasoning, Stop, Text, TokenLogprob
from multitap.hookspecs import hookimpl
from multitap.messages import Message, Tool, ToolCall, ToolResult
from multitap.testing import WORLDS
from multitap.work import LocalExchange

BLOCK = '<function_call>{"name": "weather", "arguments": {"city": "Oslo"}}</function_call>'
SAID = f"<think>Cold? {BLOCK}</think>I look.{BLOCK}"
WEATHER = Tool("weather")
CONFIG = {"think_tags": True, "tools": "text"}


class Parrot:
    """Says its text letter by letter; keeps the requests that it was given."""

    def __init__(self, text=SAID, **declared):
        self.text = text
        self.requests = []
        for name, value in declared.items():
            setattr(self, name, value)

    @hookimpl
    def multitap_chat(self, backend):
        return self

    def chat(self, request):
        self.requests.append(request)

        def run(emit):
            for letter in self.text:
                emit([Text(letter)])
            emit([Stop("complete")])

        return LocalExchange(run)


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes a runtime of one plugin."""
    opened = []

    def make(plugin, **section):
        config = {"defaults": {"model": "acme:tiny"}, "acme": section}
        opened.append(request.param(config, letters.registry(acme=plugin)))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def facts(answer):
    calls = [(call.name, call.arguments) for call in answer.tool_calls]
    return answer.reasoning, answer.text, calls, answer.stop_reason


READ = (f"Cold? {BLOCK}", "I look.", [("weather", {"city": "Oslo"})], "tool_use")


def test_whole_and_streamed_are_the_same(world):
    one = world(Parrot(), **CONFIG)
    whole = one.call("chat", "Cold?", tools=[WEATHER])
    _, stream = one.stream("Cold?", tools=[WEATHER])
    assert facts(whole) == facts(stream.answer) == READ
    assert whole.tool_calls[0].id != stream.answer.tool_calls[0].id
    assert whole.warnings == ()


def test_by_default_the_text_is_left_alone(world):
    plugin = Parrot()
    answer = world(plugin).call("chat", "Cold?", tools=[WEATHER])
    assert facts(answer) == ("", SAID, [], "complete")
    assert plugin.requests[0].tools == (WEATHER,)


def test_a_plugin_declares_what_its_server_does(world):
    plugin = Parrot(think_tags=ThinkTags(), tools=TextTools(place="system"))
    assert facts(world(plugin).call("chat", "Cold?", tools=[WEATHER])) == READ
    system, user = plugin.requests[0].messages
    assert (system.role, user.text) == ("system", "Cold?")
    assert "<name>weather</name>" in system.text


def test_a_plugin_that_takes_no_tools_is_told_of_them_in_words(world):
    plugin = Parrot(options={"seed"})
    answer = world(plugin).call("chat", "Cold?", tools=[WEATHER])
    assert (answer.warnings, plugin.requests[0].tools) == ((), ())
    assert len(answer.tool_calls) == 2  # what may be thinking is text here


def test_the_configuration_has_the_last_word(world):
    plugin = Parrot(think_tags=ThinkTags(), tools=TextTools())
    section = {"think_tags": {"tiny": False}, "tools": {"tiny": "native", "*": "text"}}
    answer = world(plugin, **section).call("chat", "Cold?", tools=[WEATHER])
    assert facts(answer) == ("", SAID, [], "complete")
    assert plugin.requests[0].tools == (WEATHER,)


def test_what_holds_for_another_model_does_not_for_this_one(world):
    answer = world(Parrot(), think_tags={"other": True}, tools={"other": "text"}).call("chat", "?")
    assert answer.text == SAID


def test_without_tools_blocks_are_text(world):
    assert world(Parrot(BLOCK), tools="text").call("chat", "Cold?").text == BLOCK
    options = {"tools": [WEATHER], "tool_choice": "none"}
    assert world(Parrot(BLOCK), tools="text").call("chat", "Cold?", **options).text == BLOCK


def test_a_conversation_goes_from_words_to_tools_and_back(world):
    in_words, native = Parrot(BLOCK), Parrot("Cold.")
    turns = [Message("user", "Cold?")]
    first = world(in_words, tools="text").call("chat", messages=turns, tools=[WEATHER])
    turns += [first.message, Message("tool", ToolResult(first.tool_calls[0].id, "-4"))]
    world(native).call("chat", messages=turns, tools=[WEATHER])
    assert native.requests[0].messages == tuple(turns)
    again = Parrot("Cold.")
    answer = world(again, tools="text").call("chat", messages=turns, tools=[WEATHER])
    (told,) = again.requests[0].messages
    assert told.role == "user"
    assert '"function_call_record": {"name": "weather", "arguments": {"city": "Oslo"}' in told.text
    assert facts(answer) == ("", "Cold.", [], "complete")
    echoed = Parrot(told.text)
    assert world(echoed, tools="text").call("chat", "?", tools=[WEATHER]).tool_calls == ()


def test_what_cannot_be_promised_is_a_warning_or_with_strict_an_error(world):
    one = world(Parrot(), tools="text")
    options = {"tools": [WEATHER], "tool_choice": "required"}
    (notice,) = one.call("chat", "Cold?", **options).warnings
    assert (notice.code, notice.option) == ("unsupported_option", "tool_choice")
    with pytest.raises(NotSupported, match="in words"):
        one.call("chat", "Cold?", strict=True, **options)


def test_that_thinking_has_no_logprobs_is_a_warning(world):
    one = world(Parrot(), think_tags=True)
    (notice,) = one.call("chat", "Cold?", logprobs=True).warnings
    assert (notice.code, notice.option) == ("adjusted_option", "logprobs")
    assert one.call("chat", "Cold?").warnings == ()


def test_a_history_is_mended_before_it_is_sent(world):
    plugin = Parrot()
    turns = [Message("assistant", ToolCall("a", "weather")), Message("user", "Well?")]
    answer = world(plugin).call("chat", messages=turns)
    assert [message.role for message in plugin.requests[0].messages] == [
        "assistant",
        "tool",
        "user",
    ]
    assert [notice.code for notice in answer.warnings] == ["repaired_history"]
    assert len(turns) == 2


def test_a_prompt_that_is_made_to_fit_still_tells_of_the_tools(world):
    plugin = Parrot("Cold.")
    turns = [Message("user", "a" * 400), Message("assistant", "No."), Message("user", "Cold?")]
    options = {"tools": [WEATHER], "shift": True}
    one = world(plugin, tools="text", max_input_tokens=250)
    answer = one.call("chat", messages=turns, **options)
    (sent,) = plugin.requests[0].messages
    assert len(sent.text.encode()) / 4 < 250
    assert sent.text.startswith("Cold?\n\n")
    assert "<name>weather</name>" in sent.text
    assert [notice.code for notice in answer.warnings] == ["shifted"]


def test_the_words_of_the_tools_count_where_the_prompt_is_limited(world):
    one = world(Parrot("Cold."), tools="text", max_input_tokens=100)
    one.call("chat", messages=[Message("user", "Cold?")])
    with pytest.raises(ContextOverflow, match=r"about 2\d\d tokens; max_input_tokens is 100"):
        one.call("chat", messages=[Message("user", "Cold?")], tools=[WEATHER])
    one.call("chat", messages=[Message("user", "Cold?")], tools=[WEATHER], tool_choice="none")


def test_thinking_is_never_sent_back(world):
    plugin = Parrot(think_tags=ThinkTags())
    one = world(plugin)
    turns = [Message("user", "Cold?")]
    turns += [one.call("chat", messages=turns).message, Message("user", "Why?")]
    one.call("chat", messages=turns)
    sent = plugin.requests[1].messages[1]
    assert sent.text == f"I look.{BLOCK}"
    assert sent.reasoning == f"Cold? {BLOCK}"  # known to the plugin, whose dialect leaves it out


def test_a_failure_has_what_was_read_before_it(world):
    class Fails(Parrot):
        def chat(self, request):
            events = [Text("<think>a</think>b <func"), Failed(EngineError("It broke"))]
            return LocalExchange(lambda emit: emit(events) and None)

    with pytest.raises(EngineError) as caught:
        world(Fails(), **CONFIG).call("chat", "Cold?", tools=[WEATHER])
    assert (caught.value.partial.reasoning, caught.value.partial.text) == ("a", "b <func")


def test_logprobs_of_the_answer_are_those_of_its_text(world):
    class Says(Parrot):
        def chat(self, request):
            words = ["<think>", "Hm", "</think>", "Yes", "."]
            events = [Text(w, logprobs=(TokenLogprob(w, -1.0),)) for w in words]
            return LocalExchange(lambda emit: emit([*events, Stop("complete")]) and None)

    events, stream = world(Says(), **CONFIG).stream("Cold?", tools=[WEATHER], logprobs=True)
    assert [entry.token for entry in stream.answer.logprobs] == ["Yes", "."]
    assert Reasoning("Hm") in events


# ---- configuration -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, ThinkTags()),
        (False, None),
        (["<a>", "</a>"], ThinkTags(open="<a>", close="</a>")),
        ({"*": {"opened": True}}, ThinkTags(opened=True)),
    ],
)
def test_forms_of_think_tags(value, expected):
    section = load_config({"acme": {"think_tags": value}}).sections["acme"]
    assert section.think_tags == {"*": expected}
    again = load_config({"acme": {"think_tags": {"*": written(expected)}}})
    assert again.sections["acme"].think_tags == section.think_tags


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("native", {"*": None}),
        ("text", {"*": TextTools()}),
        (
            {"a": "text", "b": {"place": "system"}},
            {"a": TextTools(), "b": TextTools(place="system")},
        ),
    ],
)
def test_forms_of_tools(value, expected):
    assert load_config({"acme": {"tools": value}}).sections["acme"].tools == expected


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("THINK_TAGS", "true", ThinkTags()),
        ("THINK_TAGS", "<a>, </a>", ThinkTags(open="<a>", close="</a>")),
        ("THINK_TAGS", '["<a>", "</a>"]', ThinkTags(open="<a>", close="</a>")),
        ("THINK_TAGS", '{"*" = {anywhere = true}}', ThinkTags(anywhere=True)),
        ("TOOLS", "text", TextTools()),
    ],
)
def test_forms_of_the_environment(key, text, expected, tmp_path):
    environ = {f"MULTITAP_ACME__{key}": text}
    section = load_config(environ=environ, directory=tmp_path).sections["acme"]
    assert getattr(section, key.lower()) == {"*": expected}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"think_tags": "yes"}, "think_tags in [acme] has to be true, false, two tags"),
        ({"think_tags": ["<a>"]}, "has to be true, false, two tags"),
        ({"think_tags": ["<a>", "b "]}, "close has to be a tag"),
        ({"think_tags": {"tiny": {"shut": "x"}}}, "has no 'shut' for a model"),
        ({"think_tags": {"tiny": {"opened": 1}}}, "'opened' must be"),
        ({"tools": "txt"}, 'tools in [acme] has to be "native", "text", or a table'),
        ({"tools": {"tiny": {"place": "here"}}}, "'place' must be in"),
        ({"tools": {"tiny": {"prompt": "none"}}}, "prompt needs {tools}"),
    ],
)
def test_what_is_wrong_is_said(section, message):
    with pytest.raises(ConfigError) as caught:
        load_config({"acme": section})
    assert message in str(caught.value)
