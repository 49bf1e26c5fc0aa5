"""Calls that a model writes into its text."""

from unittest.mock import patch

from fuzz.answers import answer_of, filtered, is_within, said

from multitap.answer import fold
from multitap.events import Stop, ToolCallEnd
from multitap.filters import function_calls
from multitap.filters.function_calls import FunctionCalls
from multitap.messages import parse_arguments

WORDS = (
    *(b"<function_call>", b"</function_call>", b'{"name":"f","arguments":{}}', b'"arguments":'),
    *(b'{"name":"', b"```json\n", b"<func", b"</func", b"'", b'\\"', b"\\u00e9", b"None", b","),
    *(b"{", b"}", b"[", b"]", b'{"a":1}', b"\0\1", b"\0\4", b"\0\6", b"\0\7", b"\xc3\xa9", b"\n"),
    *(b"function_call_record", b"response", b"arguments: {"),
)
LIMITS = (40, 120, 256 * 1024)


def check(data):
    limit = LIMITS[data[0] % len(LIMITS)] if data else LIMITS[0]
    events = answer_of(data[2:])
    with patch.object(function_calls, "LONGEST_BLOCK", limit):
        found = filtered(lambda: FunctionCalls("call"), events, data[1:2])
        check_memory(events, limit)
    for choice in (0, 1):
        assert is_within(said(found, choice), said(events, choice))
    check_calls(events, found)


def check_memory(events, limit):
    stage = FunctionCalls("call")
    for event in events:
        stage.feed([event])
        held = [len(reader._held.text) for reader in stage._readers.values()]
        assert max(held, default=0) <= limit


def check_calls(events, found):
    """A call that is whole has arguments; an answer that calls says so; a text stays."""
    answer = fold(found, backend="b", provider="p", model="m")
    ends = [event for event in found if isinstance(event, ToolCallEnd)]
    assert len({event.tool_call_id for event in ends}) == len(ends)
    for event in ends:
        assert event.incomplete or parse_arguments(event.tool_call_arguments_complete) is not None
    if answer.tool_calls and isinstance(found[-1], Stop):
        assert answer.stop_reason in ("tool_use", "max_tokens")
    if not ends:
        assert said(found) == said(events)
