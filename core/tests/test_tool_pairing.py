"""Calls and results of a history: what is mended, and that what is in order is left alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.messages import Message, ToolCall, ToolResult
from multitap.tool_pairing import NO_RESULT, in_call_order, repair_tool_pairing

USER = Message("user", "How cold is it?")


def asks(*ids, text=""):
    return Message("assistant", [*([text] if text else []), *(ToolCall(i, "look") for i in ids)])


def gave(call_id, content="cold"):
    return Message("tool", ToolResult(call_id, content))


def repaired(*messages):
    """The messages, and the first words of each notice."""
    found, notices = repair_tool_pairing(messages)
    assert all((n.code, n.option) == ("repaired_history", "messages") for n in notices)
    again = repair_tool_pairing(found)
    assert again == (found, ())
    assert again[0] is found
    return list(found), [notice.message for notice in notices]


@pytest.mark.parametrize(
    "messages",
    [
        (USER,),
        (Message("system", "Be brief."), USER, Message("assistant", "No."), USER),
        (USER, asks("a"), gave("a"), Message("assistant", "Cold."), USER),
        (USER, asks("a", "b"), gave("b"), gave("a")),
        (USER, asks("a"), gave("a"), asks("a"), gave("a")),
        (USER, asks("a", "a"), gave("a"), gave("a")),
        (asks("a", "b"), Message("tool", [ToolResult("b", "1"), ToolResult("a", "2")])),
    ],
    ids=range(7),
)
def test_what_is_in_order_is_the_same_object(messages):
    found, notices = repair_tool_pairing(messages)
    assert found is messages
    assert notices == ()


def test_a_result_without_a_call_is_dropped():
    assert repaired(USER, gave("x"), asks("a"), gave("a"), gave("a", "again")) == (
        [USER, asks("a"), gave("a")],
        [
            "The result 'x' belongs to no call; it was dropped.",
            "The result 'a' belongs to no call; it was dropped.",
        ],
    )


def test_a_call_without_a_result_is_told_so():
    found, notices = repaired(USER, asks("a", "b", text="Wait."), gave("b"), USER)
    stub = Message("tool", ToolResult("a", NO_RESULT, "look"))
    assert found == [USER, asks("a", "b", text="Wait."), gave("b"), stub, USER]
    assert notices == ["The call 'a' of 'look' has no result; it was given one."]


def test_a_result_that_comes_late_is_put_behind_its_call():
    found, notices = repaired(USER, asks("a", "b"), gave("a"), USER, gave("b"), USER)
    assert found == [USER, asks("a", "b"), gave("a"), gave("b"), USER, USER]
    assert notices == ["The result of the call 'b' stood elsewhere; it was put behind it."]


def test_a_result_belongs_to_the_latest_call_of_its_id():
    found, _ = repaired(asks("a"), USER, asks("a"), gave("a"))
    stub = Message("tool", ToolResult("a", NO_RESULT, "look"))
    assert found == [asks("a"), stub, USER, asks("a"), gave("a")]


def test_results_without_ids_go_to_the_calls_in_their_order():
    found, notices = repaired(asks("a", "b"), gave("", "1"), Message("tool", "2"))
    assert found == [asks("a", "b"), gave("a", "1"), gave("b", "2")]
    assert len(notices) == 2


def test_a_result_without_an_id_goes_to_the_first_turn_that_waits():
    found, _ = repaired(asks("a"), asks("b"), gave("", "1"), gave("", "2"))
    assert found == [asks("a"), gave("a", "1"), asks("b"), gave("b", "2")]


def test_an_id_that_is_given_is_nobody_elses():
    found, _ = repaired(asks("", "call_2", "call_3"), gave(""), gave("call_2"), gave("call_3"))
    assert len({call.id for call in found[0].tool_calls}) == 3


def test_calls_without_ids_get_some():
    found, notices = repaired(asks("", "call_1", ""), gave("call_1"), gave("", "1"), gave("", "2"))
    assert [call.id for call in found[0].tool_calls] == ["call_2", "call_1", "call_3"]
    assert [message.parts[0].call_id for message in found[1:]] == ["call_1", "call_2", "call_3"]
    assert len(notices) == 4


def test_one_message_with_results_of_several_calls_is_cut_only_where_it_must():
    both = Message("tool", [ToolResult("a", "1"), ToolResult("x", "?"), ToolResult("b", "2")])
    found, _ = repaired(asks("a", "b"), both)
    assert found[1:] == [Message("tool", [ToolResult("a", "1"), ToolResult("b", "2")])]


IDS = st.sampled_from(["", "a", "b", "c"])
HISTORY = st.lists(
    st.one_of(
        st.just(USER),
        st.just(Message("assistant", "No.")),
        st.lists(IDS, min_size=1, max_size=3).map(lambda ids: asks(*ids)),
        IDS.map(gave),
        st.lists(IDS, max_size=3).map(lambda i: Message("tool", [ToolResult(x, "1") for x in i])),
    ),
    max_size=8,
)


@given(HISTORY)
def test_every_history_is_in_order_afterwards(messages):
    found, notices = repaired(*messages)
    assert bool(notices) == (found != messages)
    waiting: list[str] = []
    for message in found:
        if message.role == "tool":
            for result in message.parts:
                waiting.remove(result.call_id)
        else:
            assert waiting == []
            waiting = [call.id for call in message.tool_calls]
    assert waiting == []
    spoken = [m for m in messages if m.role == "user" or (m.text and m.role == "assistant")]
    assert [m for m in found if m in spoken] == spoken


@given(st.lists(st.integers(0, 4), max_size=4), st.randoms(use_true_random=False))
def test_parallel_calls_may_be_answered_in_any_order(sizes, chance: random.Random):
    messages = []
    for turn, size in enumerate(sizes):
        ids = [f"{turn}.{number}" for number in range(size)]
        answers = [gave(call_id) for call_id in ids]
        chance.shuffle(answers)
        messages += [USER, asks(*ids, text="Look."), *answers]
    assert repair_tool_pairing(tuple(messages))[1] == ()


@given(st.lists(st.integers(0, 4), max_size=4), st.randoms(use_true_random=False))
def test_results_of_parallel_calls_are_put_in_the_order_of_the_calls(sizes, chance: random.Random):
    messages, wanted = [], []
    for turn, size in enumerate(sizes):
        ids = [f"{turn}.{number}" for number in range(size)]
        answers = [gave(call_id, f"of {call_id}") for call_id in ids]
        chance.shuffle(answers)
        messages += [USER, asks(*ids, text="Look."), *answers]
        wanted += ids
    found = in_call_order(tuple(messages))
    results = [part for m in found for part in m.parts if isinstance(part, ToolResult)]
    assert [(r.call_id, r.content) for r in results] == [(i, f"of {i}") for i in wanted]
    assert [m for m in found if m.role != "tool"] == [m for m in messages if m.role != "tool"]
    assert in_call_order(found) is found


@pytest.mark.parametrize(
    "messages",
    [
        (USER, asks("a", "b"), gave("a"), gave("b"), USER),
        (USER, asks("a", "a"), gave("a", "1"), gave("a", "2")),
        (gave("a"), gave("b")),
        (asks("a", "b"), Message("tool", [ToolResult("b", "1"), "a note", ToolResult("a", "2")])),
    ],
    ids=range(4),
)
def test_what_has_no_other_order_is_the_same_object(messages):
    assert in_call_order(messages) is messages
