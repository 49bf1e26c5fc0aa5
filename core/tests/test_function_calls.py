"""Calls in text: which forms are read, which stay text, and that no cut changes it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.answer import fold
from multitap.errors import EngineError
from multitap.events import (
    Failed,
    Reasoning,
    Stop,
    Text,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
    Usage,
    UsageReport,
)
from multitap.filters import function_calls
from multitap.filters.calls_in_text import CLOSE, OPEN, WrittenCall, read_calls
from multitap.filters.function_calls import FunctionCalls
from multitap.filters.repair import read_json
from multitap.testing import assert_chunking_invariant, assert_stream_grammar

ARGUMENTS = '{"city": "Oslo"}'
PAYLOAD = f'{{"name": "weather", "arguments": {ARGUMENTS}}}'
BLOCK = f"{OPEN}\n{PAYLOAD}\n{CLOSE}"
USAGE = UsageReport(Usage.reported(1, 2))


def filtered(events):
    found = assert_chunking_invariant(lambda: FunctionCalls("call"), events)
    assert_stream_grammar(found)
    return found


def answered(text, reason="complete"):
    """The answer that a model's text becomes."""
    events = filtered([Text(text), USAGE, Stop(reason)]) if text else []
    return fold(events, backend="b", provider="p", model="m")


def call(number=0, arguments=ARGUMENTS, choice=0, incomplete=None):
    call_id = f"call-{choice}-{number}"
    return [
        ToolCallStart(call_id, "weather", choice),
        ToolCallChunk(call_id, arguments, choice),
        ToolCallEnd(call_id, arguments, incomplete, choice),
    ]


# ---- blocks in text ------------------------------------------------------------------------------


def test_a_block_becomes_a_call():
    assert filtered([Text(BLOCK), USAGE, Stop("complete")]) == [*call(), USAGE, Stop("tool_use")]


def test_text_around_blocks_stays():
    found = filtered([Text(f"First. {BLOCK}\n\n{BLOCK}\n Then.\n"), Stop("stop_sequence")])
    expected = [Text("First. "), *call(0), *call(1), Text("Then.\n"), Stop("tool_use")]
    assert found == expected


def test_choices_are_kept_apart_and_have_ids_of_their_own():
    cut = len(OPEN) + 5
    pieces = [Text(BLOCK[:cut], 1), Text(BLOCK[:3], 0), Text(BLOCK[cut:], 1), Text(BLOCK[3:], 0)]
    found = filtered([*pieces, Stop("complete", 1), Stop("complete", 0)])
    assert found == [*call(choice=1), *call(), Stop("tool_use", 1), Stop("tool_use", 0)]


@pytest.mark.parametrize("reason", ["max_tokens", "content_filter"])
def test_an_end_for_another_reason_keeps_it(reason):
    assert filtered([Text(BLOCK), Stop(reason)]) == [*call(), Stop(reason)]


@pytest.mark.parametrize(
    "text",
    [
        "Nothing here.",
        "a < b",
        f"{OPEN}no call{CLOSE} more",
        f'{OPEN}{{"name": "weather"}}{CLOSE}',
        f"{OPEN}{CLOSE}",
        f"Write {OPEN}",
        "<function_call",
        "<functional>",
        CLOSE,
        f"{OPEN}[{PAYLOAD}, 1]{CLOSE}",
    ],
)
def test_what_is_no_call_stays_text(text):
    assert filtered([Text(text), Stop("complete")]) == [Text(text), Stop("complete")]


def test_reasoning_is_never_read():
    events = [Reasoning(BLOCK), Text("No."), Stop("complete")]
    assert filtered(events) == events


def test_calls_of_the_server_itself_pass():
    native = [ToolCallStart("x", "look"), ToolCallChunk("x", "{}"), ToolCallEnd("x", "{}")]
    events = [Text("<func"), *native, Text("tion"), Stop("tool_use")]
    assert filtered(events) == events


def test_a_record_of_an_earlier_call_is_no_call():
    record = {"name": "weather", "arguments": {"city": "Oslo"}, "response": "-4"}
    begun = {"name": "weather", "arguments": {}}
    records = ({"function_call_record": record}, {"function_call_record": begun})
    for value in (*records, record, {"any": record}):
        text = f"{OPEN}{json.dumps(value)}{CLOSE}"
        assert filtered([Text(text), Stop("complete")]) == [Text(text), Stop("complete")]


def test_a_block_that_is_too_long_is_text(monkeypatch):
    monkeypatch.setattr(function_calls, "LONGEST_BLOCK", len(BLOCK) - 1)
    events = [Text(f"{BLOCK}{OPEN}x{CLOSE}"), Stop("complete")]
    assert filtered(events) == events
    monkeypatch.setattr(function_calls, "LONGEST_BLOCK", len(BLOCK))
    assert filtered([Text(BLOCK), Stop("complete")]) == [*call(), Stop("tool_use")]


# ---- the end of the answer within a block --------------------------------------------------------


@pytest.mark.parametrize("written", [PAYLOAD, PAYLOAD[:-1], f"{PAYLOAD}\n</function_ca"])
def test_a_block_that_lacks_only_its_end_is_a_call(written):
    answer = answered(OPEN + written)
    assert answer.tool_calls[0].arguments == {"city": "Oslo"}
    assert (answer.text, answer.stop_reason, answer.warnings) == ("", "tool_use", ())


def test_arguments_that_are_cut_are_kept_and_not_made_up():
    cut = '{"city": "Os'
    text = f'{OPEN}{{"name": "weather", "arguments": {cut}'
    assert filtered([Text(text), USAGE, Stop("max_tokens")]) == [
        *call(arguments=cut, incomplete=True),
        USAGE,
        Stop("max_tokens"),
    ]
    (found,) = answered(text, "max_tokens").tool_calls
    assert found.arguments is None


@pytest.mark.parametrize("end", range(PAYLOAD.index("{", 1), len(PAYLOAD) - 2))
def test_wherever_the_arguments_are_cut_there_is_a_call(end):
    (found,) = answered(OPEN + PAYLOAD[: end + 1], "max_tokens").tool_calls
    assert found.name == "weather"
    assert found.arguments_text == PAYLOAD[PAYLOAD.index("{", 1) : end + 1].strip()
    assert found.arguments is None


def test_of_several_calls_the_last_one_is_cut():
    first, second = answered(f"{OPEN}[{PAYLOAD}, {PAYLOAD[:-4]}", "max_tokens").tool_calls
    assert (first.arguments, second.arguments) == ({"city": "Oslo"}, None)


@pytest.mark.parametrize("text", ["", '{"na', '{"name": "weather', '{"name": "weather", "argum'])
def test_a_block_without_a_call_is_text_at_the_end(text):
    assert answered(OPEN + text).text == OPEN + text


def test_a_failure_keeps_what_is_there():
    error = Failed(EngineError("It broke"))
    found = filtered([Text(f"Now {OPEN}{PAYLOAD[:-5]}"), error])
    assert [type(event) for event in found] == [
        Text,
        ToolCallStart,
        ToolCallChunk,
        ToolCallEnd,
        Failed,
    ]


# ---- forms of the payload ------------------------------------------------------------------------

GOOD = [
    PAYLOAD,
    f"```json\n{PAYLOAD}\n```",
    f'{{"function_call": {PAYLOAD}}}',
    f'{{"id": "x", "type": "function", "function": {PAYLOAD}}}',
    f'{{"whatever": {PAYLOAD}}}',
    f"[{PAYLOAD}]",
    '{"name": "weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}',
    "{'name': 'weather', 'arguments': {'city': 'Oslo'}}",
    '{name: "weather", arguments: {city: "Oslo",},}',
    '{"name": "weather", "arguments": {"city": "Oslo"}',
    '{"name": "weather", "arguments": {"city": "Oslo"}}}',
    '{"name": weather, "arguments": {"city": Oslo}}',
    '{"name": "weather", "arguments": "{\'city\': \'Oslo\'}"}',
]


@pytest.mark.parametrize("payload", GOOD)
def test_forms_that_are_read(payload):
    (found,) = read_calls(payload)
    assert (found.name, json.loads(found.arguments_text)) == ("weather", {"city": "Oslo"})
    assert found.incomplete is False


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "weather",
        '"weather"',
        "null",
        "[]",
        "{}",
        '{"name": "", "arguments": {}}',
        '{"name": 1, "arguments": {}}',
        '{"name": "weather", "arguments": null}',
        '{"arguments": {}}',
        '{"name": "weather", "arguments": {"city": "Oslo}}',
        '{"name": "weather", "arguments": {]}',
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
    ids=lambda payload: payload[:40],
)
def test_forms_that_are_not_read(payload):
    assert read_calls(payload) == []


def test_arguments_that_are_no_object_are_kept_as_incomplete():
    assert read_calls('{"name": "f", "arguments": [1]}') == [WrittenCall("f", "[1]", True)]
    assert read_calls('{"name": "f", "arguments": "Oslo"}') == [WrittenCall("f", "Oslo", True)]
    assert read_calls('{"name": "f", "arguments": ""}') == [WrittenCall("f", "{}", False)]


def test_all_calls_of_a_list_are_read():
    first, second = read_calls(
        '[{"name": "a", "arguments": {}}, {"f": {"name": "b", "arguments": {}}}]'
    )
    assert (first.name, second.name) == ("a", "b")


# ---- repair --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 'it\\'s \"so\"'}", {"a": 'it\'s "so"'}),
        ('{"a": "line\nbreak"}', {"a": "line\nbreak"}),
        ('{"a": "C:\\dir", }', {"a": "C:\\dir"}),
        ('{"a": "\\u00e9\\n", }', {"a": "é\n"}),
        ("{a: [1, -2.5e3, True, none, null, 01],}", {"a": [1, -2500.0, True, None, None, "01"]}),
        ('{"a": {"b": [1, 2,', {"a": {"b": [1, 2]}}),
        ('{"a": 1} and more', {"a": 1}),
        ('["a", ["b"]', ["a", ["b"]]),
    ],
)
def test_broken_json_is_read(text, value):
    assert read_json(text)[0] == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON) | st.dictionaries(st.text(), JSON), st.booleans())
def test_json_with_a_comma_too_many_is_the_same_value(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    if value:
        text = text[:-1] + "," + text[-1]
    assert read_json(text) == (value, True)


@given(st.text("{}[]:,\"'\\ \nantrue019-.é"), st.booleans())
def test_any_text_is_read_or_refused(text, cut):
    try:
        value, _ = read_json(text, cut=cut)
    except ValueError:
        return
    json.dumps(value)


def test_repair_takes_time_that_grows_with_the_length_alone():
    for text in (
        "'" * 200_000,
        '{"a": ' + "\\" * 200_000,
        "{" + "a," * 100_000,
        "{'" + '"' * 200_000,
    ):
        assert read_calls(text, cut=True) == []


# ---- every cut -----------------------------------------------------------------------------------

FRAGMENTS = st.sampled_from(
    [OPEN, CLOSE, "<func", "tion_call>", "<", " ", "\n", "a", "{", "}", '"', PAYLOAD, PAYLOAD[:20]]
)
PIECES = st.lists(
    st.builds(
        lambda words, choice: Text("".join(words), choice),
        st.lists(FRAGMENTS, min_size=1, max_size=5),
        st.integers(0, 1),
    ),
    max_size=4,
)


@given(PIECES, st.integers(60, 300))
def test_no_cut_changes_the_outcome(pieces, longest):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(function_calls, "LONGEST_BLOCK", longest)
        choices = sorted({0, *(piece.choice for piece in pieces)}, reverse=True)
        events = filtered([*pieces, *(Stop("complete", choice) for choice in choices)])
    ids = [event.tool_call_id for event in events if isinstance(event, ToolCallStart)]
    assert len(ids) == len(set(ids))
