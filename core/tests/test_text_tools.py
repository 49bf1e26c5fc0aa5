"""Tools in words: what a model without tools is told."""

from __future__ import annotations

import json

import pytest

from multitap.capabilities.chat import TextTools
from multitap.filters.calls_in_text import CLOSE, OPEN, read_calls
from multitap.messages import Image, Message, TextPart, Thought, Tool, ToolCall, ToolResult
from multitap.plan import chat_request
from multitap.text_tools import OUR_WORDS, offered_tools, tools_as_text

WEATHER = Tool("weather", "Warm & cold", {"type": "object"})
LOOK = Tool("look")
SHORT = TextTools(prompt="Tools: {tools}")
LISTED = """\
Tools: <tools>
<tool>
<name>weather</name>
<description>Warm &amp; cold</description>
<parameters>{"type": "object"}</parameters>
</tool>
<tool>
<name>look</name>
<parameters>{"type": "object"}</parameters>
</tool>
</tools>"""
CALL = ToolCall("c1", "weather", '{"city": "Oslo"}')


def told(*messages, words=SHORT, **options):
    """The messages that the model gets, as roles and texts."""
    options.setdefault("tools", [WEATHER, LOOK])
    request = chat_request("m", messages=messages, **options)
    plain = tools_as_text(request, words)
    assert (plain.tools, plain.tool_choice) == ((), None)
    assert bool(offered_tools(request)) == any("<tools>" in turn.text for turn in plain.messages)
    return [(message.role, message.text) for message in plain.messages]


def record(response, name="weather", arguments=None):
    facts = {"name": name, "arguments": arguments or {"city": "Oslo"}, "response": response}
    return f"{OPEN}{json.dumps({'function_call_record': facts}, ensure_ascii=False)}{CLOSE}"


def test_the_tools_stand_behind_the_last_message_of_the_user():
    turns = told(Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "!"))
    assert turns == [("user", "Hi"), ("assistant", "Yes?"), ("user", f"!\n\n{LISTED}")]


def test_without_a_message_of_the_user_they_get_one():
    assert told(Message("system", "Be brief.")) == [("system", "Be brief."), ("user", LISTED)]


def test_they_may_stand_in_the_system_message():
    words = TextTools(prompt="Tools: {tools}", place="system")
    assert told(Message("user", "Hi"), words=words) == [("system", LISTED), ("user", "Hi")]
    turns = told(Message("system", "Be brief."), Message("user", "Hi"), words=words)
    assert turns == [("system", f"Be brief.\n\n{LISTED}"), ("user", "Hi")]


@pytest.mark.parametrize("options", [{"tools": []}, {"tool_choice": "none"}])
def test_without_tools_nothing_is_said(options):
    assert told(Message("user", "Hi"), **options) == [("user", "Hi")]


def test_one_tool_that_must_be_called_is_the_only_one():
    ((_, text),) = told(Message("user", "Hi"), tool_choice="look")
    assert "weather" not in text
    assert text.endswith("</tools>\n\nNow use the tool look.")


def test_some_tool_that_must_be_called_is_asked_for():
    ((_, text),) = told(Message("user", "Hi"), tool_choice="required")
    assert text.endswith("\n\nNow use at least one tool.")


def test_our_words_show_the_form_that_is_read():
    start, end = OUR_WORDS.index(f"{OPEN}\n") + len(OPEN), OUR_WORDS.index(f"\n{CLOSE}")
    shown = OUR_WORDS[start:end].replace("{<arguments as the schema asks for>}", "{}")
    assert [call.name for call in read_calls(shown)] == ["<name of the tool>"]
    ((_, text),) = told(Message("user", "Hi"), words=TextTools())
    assert text == "Hi\n\n" + OUR_WORDS.replace("{tools}", LISTED.removeprefix("Tools: "))


def test_calls_and_results_become_records_of_the_user():
    turns = told(
        Message("user", "How cold?"),
        Message("assistant", [Thought("Look."), TextPart("I look."), CALL]),
        Message("tool", ToolResult("c1", "-4 °C")),
        Message("assistant", "-4 °C."),
        tools=[],
    )
    assert turns == [
        ("user", "How cold?"),
        ("assistant", "I look."),
        ("user", record("-4 °C")),
        ("assistant", "-4 °C."),
    ]


def test_a_message_of_calls_alone_vanishes_and_roles_take_turns():
    turns = told(
        Message("user", "How cold?"),
        Message("assistant", [Thought("Look."), CALL, ToolCall("c2", "look", "[1")]),
        Message("tool", ToolResult("c2", '{"a": 1}')),
        Message("tool", ToolResult("c1", "</function_call>")),
        Message("user", "Well?"),
        tools=[],
    )
    first = record({"a": 1}, "look", "[1")
    second = record("</function_call>").replace("</function_call>", "<\\/function_call>", 1)
    assert turns == [("user", f"How cold?\n\n{first}\n\n{second}\n\nWell?")]


def test_messages_of_the_user_that_follow_each_other_stay_apart():
    turns = told(Message("user", "One."), Message("user", "Two."), tools=[])
    assert turns == [("user", "One."), ("user", "Two.")]


def test_the_messages_of_the_application_stay_as_they_are():
    picture = Message("user", ["What is this?", Image(b"1", "image/png")])
    request = chat_request("m", messages=[picture], tools=[WEATHER])
    plain = tools_as_text(request, SHORT)
    assert plain.messages[0].parts[:2] == picture.parts
    assert request.messages == (picture,)
    assert tools_as_text(request, SHORT) == plain


def test_a_record_is_never_read_as_a_call():
    turns = told(
        Message("assistant", [CALL]), Message("tool", ToolResult("c1", '{"name": "x"}')), tools=[]
    )
    text = turns[0][1]
    assert text.startswith(OPEN)
    assert read_calls(text[len(OPEN) : -len(CLOSE)]) == []


def test_a_prompt_without_a_place_for_the_tools_is_refused():
    with pytest.raises(ValueError, match=r"prompt needs \{tools\}"):
        TextTools(prompt="There are tools.")
