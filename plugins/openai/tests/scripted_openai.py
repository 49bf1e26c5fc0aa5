"""A scripted server that answers as OpenAI does, by rules instead of a model.

It serves for what has to work with any model: the suite of all plugins, and the README's examples.
"""

from __future__ import annotations

import base64
import struct

import scripted_openai_media

from multitap.testing import Server, json, repeat, respond, sse, when

MODELS = ("gpt-5", "gpt-4o", "tiny", "text-embedding-3-small")
CONTEXT = 1000  # tokens; a token is a word
ANSWERS = {
    "capital of France": "The capital of France is Paris.",
    "sky blue": "Because air scatters blue light more than red.",
    "story": "Once there was a dragon. " * 200,
    "2 plus 2": "Four.",
}


class ScriptedOpenAI(Server):
    """Listens on a port of its own; a context manager."""

    def __init__(self):
        routes = {
            "POST /v1/chat/completions": chat,
            "POST /v1/embeddings": embed,
            "GET /v1/models": models,
            **scripted_openai_media.ROUTES,
        }
        super().__init__(repeat(when(routes, otherwise=respond(404, {}, "404 page not found"))))


def refuse(status, message, code):
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return json({"error": error}, status)


def models(connection):
    rows = [{"id": name, "object": "model", "owned_by": "system"} for name in MODELS]
    return json({"object": "list", "data": rows})


def chat(connection):
    asked = connection.request.json()
    if asked["model"] not in MODELS:
        return refuse(404, f"The model `{asked['model']}` does not exist", "model_not_found")
    size = sum(len(str(message["content"]).split()) for message in asked["messages"])
    if size > CONTEXT:
        limits = f"This model's maximum context length is {CONTEXT} tokens. However, your messages"
        message = f"{limits} resulted in {size} tokens."
        return refuse(400, message, "context_length_exceeded")
    answers = [list(deltas(asked)) for _ in range(asked.get("n", 1))]
    written = sum(len(answer) - 1 for answer in answers)
    counts = {"prompt_tokens": size, "completion_tokens": written}
    usage = {**counts, "total_tokens": size + written}
    return sse(stream(answers, usage)) if asked.get("stream") else json(whole(answers, usage))


def deltas(asked):
    """Deltas, tokens and ends of an answer: thoughts, words or a call."""
    called = called_tool(asked)
    words = [] if called else pieces(text_of(asked), asked.get("stop", []))
    most = asked.get("max_tokens", asked.get("max_completion_tokens", len(words)))
    if asked.get("reasoning_effort", "none") != "none":
        yield {"reasoning_content": "Let me think."}, None, None
    if called:
        yield {"tool_calls": [called]}, None, None
    for word in words[:most]:
        yield {"content": word}, token(word) if asked.get("logprobs") else None, None
    cut = "length" if most < len(words) else "stop"
    yield {}, None, "tool_calls" if called else cut


def stream(answers, usage):
    for index, answer in enumerate(answers):
        for delta, logprobs, finish in answer:
            choice = {"index": index, "delta": delta, "finish_reason": finish}
            yield {"choices": [{**choice, "logprobs": logprobs}]}
    yield {"choices": [], "usage": usage}


def whole(answers, usage):
    choices = []
    for index, answer in enumerate(answers):
        message = {"role": "assistant", "content": ""}
        for delta, _, _ in answer:
            message["content"] += delta.get("content", "")
            message |= {name: value for name, value in delta.items() if name != "content"}
        entries = [entry for _, tokens, _ in answer if tokens for entry in tokens["content"]]
        choice = {"index": index, "message": message, "finish_reason": answer[-1][2]}
        choices.append({**choice, "logprobs": {"content": entries} if entries else None})
    return {"choices": choices, "usage": usage}


def token(word):
    entry = {"token": word, "logprob": -0.5}
    return {"content": [{**entry, "top_logprobs": [entry]}]}


def called_tool(asked):
    """The first tool, where the user asks for the weather, or None."""
    last = asked["messages"][-1]
    if not asked.get("tools") or last["role"] == "tool" or "weather" not in str(last["content"]):
        return None
    name = asked["tools"][0]["function"]["name"]
    function = {"name": name, "arguments": '{"city": "Oslo"}'}
    return {"index": 0, "id": "call_1", "type": "function", "function": function}


def text_of(asked):
    last = asked["messages"][-1]
    if last["role"] == "tool":
        return f"It is {last['content']}."
    if asked.get("response_format"):
        return '{"city": "Paris"}'
    return next((text for key, text in ANSWERS.items() if key in last["content"]), "Hello!")


def pieces(text, stops):
    for stop in stops:
        text = text.partition(stop)[0]
    return [word if number == 0 else f" {word}" for number, word in enumerate(text.split())]


def embed(connection):
    asked = connection.request.json()
    rows = [[float(len(text)), 0.5, -0.5][: asked.get("dimensions", 3)] for text in asked["input"]]
    data = [{"index": i, "embedding": vector(asked, row)} for i, row in enumerate(rows)]
    count = sum(len(text.split()) for text in asked["input"])
    usage = {"prompt_tokens": count, "total_tokens": count}
    return json({"data": data, "model": asked["model"], "usage": usage})


def vector(asked, row):
    if asked.get("encoding_format") != "base64":
        return row
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode()
