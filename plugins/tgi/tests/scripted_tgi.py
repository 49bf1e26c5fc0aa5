"""A scripted server that answers as TGI does, by rules instead of a model.

It serves for what has to work with any model: the suite of all plugins, and the README's examples.
It refuses what TGI refuses, and ends a call as TGI does: with ``[DONE]`` alone.
"""

from __future__ import annotations

import json as stdlib_json

from multitap.testing import Server, json, repeat, respond, sse, when

MODEL = "acme/tiny-llama"
CONTEXT, INPUT = 1024, 700  # tokens; a token is a word
ANSWERS = {
    "capital of France": "The capital of France is Paris.",
    "sky blue": "Because air scatters blue light more than red.",
    "story": "Once there was a dragon. " * 100,
    "2 plus 2": "Four.",
}
INFO = {
    "model_id": MODEL,
    "max_input_tokens": INPUT,
    "max_total_tokens": CONTEXT,
    "version": "3.3.6",
}


class ScriptedTgi(Server):
    """Listens on a port of its own; a context manager."""

    def __init__(self):
        routes = {
            "POST /v1/chat/completions": chat,
            "POST /tokenize": tokenize,
            "GET /info": json(INFO),
            "GET /health": respond(),
            "GET /v1/models": json({"object": "list", "data": [{"id": MODEL, "owned_by": MODEL}]}),
        }
        super().__init__(repeat(when(routes, otherwise=respond(404))))


def chat(connection):
    asked = connection.request.json()
    fault = wrong(asked)
    if fault is not None:
        return refused(fault, asked)
    size = sum(len(str(message["content"] or "").split()) for message in asked["messages"])
    if size > INPUT:
        words = f"`inputs` must have less than {INPUT} tokens. Given: {size}"
        return refused(f"Input validation error: {words}", asked)
    return sse(list(answer(asked, size)))


def wrong(asked):
    """What TGI refuses of an ordinary request of OpenAI's, or None."""
    if asked.get("top_p") is not None and not 0 < asked["top_p"] < 1:
        return "Input validation error: `top_p` must be > 0.0 and < 1.0"
    if asked.get("tools") and asked.get("response_format"):
        return "Tool error: Grammar and tools are mutually exclusive"
    if asked.get("top_logprobs", 0) > 5:
        return "Input validation error: `top_n_tokens` must be >= 0 and <= 5. Given: 6"
    bare = isinstance(asked.get("stop", []), str) or not asked.get("response_format", {"value": 1})
    return "Failed to deserialize the JSON body into the target type: x" if bare else None


def refused(message, asked):
    if asked.get("stream") and not message.startswith("Tool error"):
        return sse([{"error": {"message": message, "http_status_code": 422}}])
    return json({"error": message, "error_type": "validation"}, 422)


def answer(asked, size):
    """The chunks of an answer: words with their end, or a call without one; then the usage."""
    called = called_tool(asked)
    words = [] if called else pieces(text_of(asked))
    most, reason = asked.get("max_tokens", len(words)), "stop"
    shown = words[:most]
    for place, word in enumerate(shown):
        last = place + 1 == len(shown)
        met = any("".join(shown[: place + 1]).endswith(stop) for stop in asked.get("stop", []))
        reason = "stop_sequence" if met else "length" if last and most < len(words) else None
        yield chunk({"content": word}, reason, [token(word)] if asked.get("logprobs") else None)
        if reason:
            break
    if called:
        yield from call_chunks(*called)
    elif reason not in ("length", "stop_sequence"):
        yield chunk({"content": ""}, "stop")
    counts = {"prompt_tokens": size, "completion_tokens": len(shown)}
    yield {"choices": [], "usage": {**counts, "total_tokens": size + len(shown)}, "id": ""}


def chunk(delta, reason=None, tokens=None):
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": reason}
    logprobs = {"content": tokens} if tokens else None
    return {"id": "", "choices": [{**choice, "logprobs": logprobs}], "usage": None}


def call_chunks(name, arguments):
    first, rest = arguments[:1], arguments[1:]
    for name_or_none, text in ((name, first), (None, rest)):
        function = {"name": name_or_none, "arguments": text}
        call = {"index": 0, "id": "0", "type": "function", "function": function}
        yield chunk({"tool_calls": [call]})


def token(word):
    return {"token": word, "logprob": -0.5, "top_logprobs": [{"token": word, "logprob": -0.5}]}


def called_tool(asked):
    """Name and arguments of the first tool, where the user asks for the weather, or None."""
    last = asked["messages"][-1]
    if not asked.get("tools") or last["role"] == "tool" or "weather" not in str(last["content"]):
        return None
    return asked["tools"][0]["function"]["name"], stdlib_json.dumps({"city": "Oslo"})


def text_of(asked):
    last = asked["messages"][-1]
    if last["role"] == "tool":
        return f"It is {last['content']}."
    wanted = asked.get("response_format")
    if wanted:
        return "yes" if wanted["type"] == "regex" else '{"city": "Paris"}'
    return next((text for key, text in ANSWERS.items() if key in last["content"]), "Hello!")


def pieces(text):
    return [word if number == 0 else f" {word}" for number, word in enumerate(text.split())]


def tokenize(connection):
    """Each word is a token, with the blank before it."""
    text, at = connection.request.json()["inputs"], 0
    rows = []
    for number, word in enumerate(pieces(text)):
        size = len(word.encode())
        rows.append({"id": number + 1, "text": word, "start": at, "stop": at + size})
        at += size
    return json(rows)
