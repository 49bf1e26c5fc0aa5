"""Streams of LM Studio by hand, from what is documented and what its users saw."""

from __future__ import annotations

import json

from multitap.errors import ContextOverflow, EngineError


def chunk(finish=None, model="acme/m", **delta):
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    facts = {"id": "chatcmpl-x", "object": "chat.completion.chunk", "created": 1}
    return {**facts, "model": model, "system_fingerprint": model, "choices": [choice]}


def usage(prompt, written):
    counts = {"prompt_tokens": prompt, "completion_tokens": written}
    return {"choices": [], "usage": {**counts, "total_tokens": prompt + written}}


def sse(*events, done=True):
    said = [e if isinstance(e, str) else f"data: {json.dumps(e)}\n\n" for e in events]
    return "".join([*said, "data: [DONE]\n\n" if done else ""]).encode()


def documented(thought="reasoning_content"):
    """The stream of the documentation."""
    function = {"name": "weather", "arguments": ""}
    call = {"index": 0, "id": "123", "type": "function", "function": function}
    return sse(
        chunk(role="assistant", **{thought: "Hm"}),
        chunk(role="assistant", tool_calls=[call]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"city":"Oslo"}'}}]),
        chunk("tool_calls"),
    )


FULL = "Context size has been exceeded."
KEEP = (
    "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded"
    " with context length of only 4096 tokens, which is not enough."
)
N_KEEP = (
    "The number of tokens to keep from the initial prompt is greater than the context length"
    " (n_keep: 5000>= n_ctx: 4096). Try to load the model with a larger context length."
)
CRASH = "The model has crashed without additional information."
INSIDE = {
    "a named event": (
        f'event: error\ndata: {{"error":{{"message":"{FULL}","type":"server_error"}}}}\n\n',
        ContextOverflow,
    ),
    "a text": (f'data: {{"error":"{CRASH}"}}\n\n', EngineError),
    "an object": (
        'data: {"error":{"type":"internal_error","message":"engine stopped"}}\n\n',
        EngineError,
    ),
    "an overflow as a text": (f"data: {json.dumps({'error': KEEP})}\n\n", ContextOverflow),
}
