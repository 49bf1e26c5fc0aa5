"""Calls of tools in OpenAI's dialect, from their deltas to the answer."""

from __future__ import annotations

import json
from collections import Counter

from fuzz.inputs import same_however_cut

from multitap.answer import fold
from multitap.dialects.openai.chat import ChatChunk, ChatRecords
from multitap.events import Failed
from multitap.framing import SseDecoder
from multitap.messages import parse_arguments
from multitap.testing import broken_rules

WORDS = (b"\x00\x00\x00\x00", b"\x01\x01\x02\x05", b"\x10\x20\x30\x40")
INDICES = (None, 0, 1, 2)
IDS = (None, "", "a", "b", "call_0", "call_1")
NAMES = (None, "", "look", "go")
ARGUMENTS = (None, "", "{", "}", '{"a": 1}', '"a":', "1", " ", "é", {"a": [1]}, '{"b":')
FINISHES = (None, None, None, None, "tool_calls", "stop", "length", "content_filter")


def check(data):
    deltas = [delta_of(*padded(data[at : at + 5])) for at in range(1, min(len(data), 60), 5)]
    body = b"".join(event(delta) for delta in deltas) + b"data: [DONE]\n\n"
    outputs = same_however_cut(decoder, body, data[:1])
    assert broken_rules(outputs) == []
    answer = fold(outputs, backend="b", provider="p", model="m")
    json.dumps(answer.to_dict())
    check_calls(answer, deltas, failed=isinstance(outputs[-1], Failed))


def decoder():
    records = ChatRecords()
    return SseDecoder(ChatChunk, records.record, finish=records.finish)


def padded(numbers):
    return (*numbers, 0, 0, 0, 0)[:5]


def delta_of(index, wire_id, name, arguments, where):
    function = {"name": chosen(NAMES, name), "arguments": chosen(ARGUMENTS, arguments)}
    call = {"index": chosen(INDICES, index), "id": chosen(IDS, wire_id), "function": function}
    form = where // 16 % 8
    delta = {"function_call": function} if form == 7 else {"tool_calls": [call]}
    kind = "message" if form == 6 else "delta"
    return {"index": where % 2, kind: delta, "finish_reason": chosen(FINISHES, where // 2)}


def chosen(among, number):
    return among[number % len(among)]


def event(choice):
    return b"data: " + json.dumps({"choices": [choice]}, separators=(",", ":")).encode() + b"\n\n"


def check_calls(answer, choices, *, failed):
    """Each call has an id of its own; of the arguments only a call that is said twice is lost."""
    calls = [call for choice in answer.choices for call in choice.tool_calls]
    assert [times for times in Counter(call.id for call in calls).values() if times > 1] == []
    for call in calls:
        assert call.incomplete or call.arguments == parse_arguments(call.arguments_text)
    if not failed and "repaired" not in {notice.code for notice in answer.warnings}:
        sent = "".join(map(arguments_of, choices))
        assert Counter("".join(call.arguments_text for call in calls)) == Counter(sent)


def arguments_of(choice):
    delta = choice.get("delta") or choice["message"]
    function = delta.get("function_call") or delta["tool_calls"][0]["function"]
    found = function["arguments"]
    return json.dumps(found, separators=(",", ":")) if isinstance(found, dict) else found or ""
