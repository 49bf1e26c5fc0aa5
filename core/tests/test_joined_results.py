"""Old records with one result for several calls: taken apart where asked for, and never else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import multitap
from multitap.joined_results import split_joined_results
from multitap.messages import Message, ToolCall, ToolResult
from multitap.tool_pairing import repair_tool_pairing

USER = Message("user", "How cold is it?")


def asks(*ids):
    return Message("assistant", [ToolCall(call_id, f"look_{call_id}") for call_id in ids])


def joined(text):
    return Message("tool", ToolResult("", text))


def contents(messages):
    """Each result's id, content and name."""
    parts = [part for message in messages for part in message.parts]
    return [(p.call_id, p.content, p.name) for p in parts if isinstance(p, ToolResult)]


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ('["cold", {"degrees": 4}]', "cold", '{"degrees": 4}'),
        ('["käld", [1, 2]]', "käld", "[1, 2]"),
        ("cold\n---\nwarm", "cold", "warm"),
        ("cold\r\n---\r\nwarm", "cold", "warm"),
        ("cold\n\n===\n\nwarm\n", "cold", "warm"),
        ("cold\n *** \nwarm", "cold", "warm"),
        ("cold\n---\n", "cold", ""),
        ("cold\n\nwarm", "cold", "warm"),
        ("cold\r\n \r\n\r\nwarm\r\n\r\n", "cold", "warm"),
        ("one\n\ntwo\n---\nwarm", "one\n\ntwo", "warm"),
        ('["a", "b", "c"]\n---\nwarm', '["a", "b", "c"]', "warm"),
    ],
)
def test_one_result_becomes_one_for_each_call(text, first, second):
    found = split_joined_results([USER, asks("a", "b"), joined(text), USER])
    assert found[:2] == (USER, asks("a", "b"))
    assert contents(found[2:4]) == [("a", first, "look_a"), ("b", second, "look_b")]
    assert found[4:] == (USER,)
    assert repair_tool_pairing(found) == (found, ())


@pytest.mark.parametrize(
    "text",
    ["cold", "a\n---\nb\n---\nc", "a --- b", "a\n----\nb", "[1, 2, 3]", '{"a": 1, "b": 2}', ""],
)
def test_what_is_not_just_so_many_parts_stays_as_it_is(text):
    turns = (USER, asks("a", "b"), joined(text), USER)
    assert split_joined_results(turns) == turns


@pytest.mark.parametrize(
    "turns",
    [
        (asks("a"), joined("cold\n---\nwarm")),
        (asks("a", "b"), joined("cold\n---\nwarm"), joined("cold")),
        (asks("a", "b"), joined("cold\n---\nwarm"), joined("cold\n---\nwarm")),
        (asks("a", "b"), Message("tool", ToolResult("b", "cold\n---\nwarm"))),
        (asks("a", "b"), Message("tool", [ToolResult("", "a\n\nb"), ToolResult("", "c")])),
        (asks("a", "b"), USER, joined("cold\n---\nwarm")),
        (joined("cold\n---\nwarm"), USER),
        (asks("a", "b"), Message("tool", ())),
    ],
    ids=range(8),
)
def test_where_it_is_not_one_for_several_nothing_is_guessed(turns):
    assert split_joined_results(turns) == turns


def test_calls_with_a_result_of_their_own_take_no_part():
    named = Message("tool", ToolResult("b", "seen"))
    found = split_joined_results([asks("a", "b", "c"), joined("x\n\ny"), named])
    assert contents(found) == [("a", "x", "look_a"), ("c", "y", "look_c"), ("b", "seen", None)]


def test_a_record_in_the_chat_shape_is_read_too():
    calls = [{"id": i, "function": {"name": f"look_{i}", "arguments": "{}"}} for i in "ab"]
    record = [{"role": "assistant", "tool_calls": calls}, {"role": "tool", "content": "1\n\n2"}]
    found = split_joined_results(record)
    assert contents(found) == [("a", "1", "look_a"), ("b", "2", "look_b")]
    assert split_joined_results([calls_of(record), Message("tool", "1\n\n2")]) == found


def calls_of(record):
    return Message.from_dict(record[0])


def test_calls_without_an_id_get_one_when_they_are_sent():
    bare = Message("assistant", [ToolCall("", "look"), ToolCall("", "look")])
    found, notices = repair_tool_pairing(split_joined_results([bare, joined("x\n\ny")]))
    assert [content for _, content, _ in contents(found)] == ["x", "y"]
    assert [i for i, _, _ in contents(found)] == [call.id for call in found[0].tool_calls]
    assert not any("has no result" in notice.message for notice in notices)


def test_nothing_is_guessed_unless_it_is_asked_for():
    turns = [USER, asks("a", "b"), joined("cold\n---\nwarm"), USER]
    with multitap.Runtime({"defaults": {"model": "echo:echo"}}) as rt:
        left = [notice.message for notice in rt.chat(messages=turns).warnings]
        split = rt.chat(messages=split_joined_results(turns)).warnings
    assert left == [
        "A result has no id; it was taken for that of the call 'a'.",
        "The call 'b' of 'look_b' has no result; it was given one.",
    ]
    assert split == ()


@given(st.lists(st.text(max_size=8), min_size=2, max_size=5))
def test_an_array_gives_back_what_was_put_into_it(texts):
    ids = [str(number) for number in range(len(texts))]
    found = split_joined_results([asks(*ids), joined(json.dumps(texts))])
    assert [content for _, content, _ in contents(found)] == texts


@given(st.text(alphabet="a-=* \n[],", max_size=30), st.integers(2, 4))
def test_every_text_is_split_into_all_or_none(text, count):
    turns = (asks(*"abcd"[:count]), joined(text))
    found = split_joined_results(turns)
    assert found == turns or len(found) == 1 + count
    assert split_joined_results(found) == found
