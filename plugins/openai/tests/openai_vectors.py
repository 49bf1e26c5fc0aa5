"""What OpenAI says, by hand: exchanges, refusals, and a response of a thought and then a call.

The response is there whole, and as the events of a stream.
"""

from __future__ import annotations

import json

from multitap.testing.kit import Ask, Vector


def by_hand(name, ask, path, said, expect, *, status=200, kind="application/json", **headers):
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    method = "GET" if path == "models" else "POST"
    asked = f"{method} /v1/{path}"
    facts = {"status": status, "content_type": kind, **headers}
    return Vector.by_hand(name, ask, asked, body, expect, **facts)


def sse(events, done=()):
    said = [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events]
    return "".join([*said, *(f"data: {text}\n\n" for text in done)]).encode()


def no(
    status, error, message="no", code=None, kind=None, ask=None, path="chat/completions", **more
):
    """A refusal that OpenAI documents."""
    said = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    expect = {"error": error, "status": status, **more.pop("expect", {})}
    name = f"{error}_{status}_{code}"
    return by_hand(name, ask or Ask("chat"), path, said, expect, status=status, **more)


def event(kind, **facts):
    return {"type": f"response.{kind}", **facts}


def ended(status="completed", kind=None, **facts):
    return event(kind or status, response={"status": status, **facts})


def item(kind, index=0, **facts):
    return event(kind, output_index=index, item=facts)


USAGE = {
    "input_tokens": 30,
    "output_tokens": 20,
    "total_tokens": 50,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens_details": {"reasoning_tokens": 8},
}
REASONED = {
    "type": "reasoning",
    "id": "rs_1",
    "encrypted_content": "x",
    "summary": [{"type": "summary_text", "text": "One"}, {"type": "summary_text", "text": "Two"}],
}
CALLED = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather"}
ARGUMENTS = '{"city":"Oslo"}'
STREAM = [
    event("created", response={"status": "in_progress"}),
    item("output_item.added", type="reasoning", id="rs_1", summary=[]),
    event("reasoning_summary_part.added", output_index=0, summary_index=0),
    event("reasoning_summary_text.delta", output_index=0, summary_index=0, delta="One"),
    event("reasoning_summary_part.added", output_index=0, summary_index=1),
    event("reasoning_summary_text.delta", output_index=0, summary_index=1, delta="Two"),
    item("output_item.done", **REASONED),
    item("output_item.added", 1, **CALLED, arguments=""),
    event("function_call_arguments.delta", output_index=1, delta='{"city"'),
    event("function_call_arguments.delta", output_index=1, delta=':"Oslo"}'),
    event("function_call_arguments.done", output_index=1, arguments=ARGUMENTS),
    item("output_item.done", 1, **CALLED, arguments=ARGUMENTS),
    event("something.new", delta={"of": "another shape"}),
    ended(usage=USAGE, output=[]),
]
BODY = {
    "status": "completed",
    "output": [REASONED, {**CALLED, "arguments": ARGUMENTS}],
    "usage": USAGE,
    "error": None,
}
