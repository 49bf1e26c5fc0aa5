"""A scripted server that answers as OpenAI does, by rules instead of a model.

It serves for what has to work with any model: the suite of all plugins, and the README's examples.
OpenAI's own client, written by others, takes its answers as well: `nox -s "strangers(openai)"`.
"""

from __future__ import annotations

import base64
import struct

import scripted_openai_media
from scripted_answers import CONTEXT, halves, say, size_of
from scripted_responses import as_chat, respond_to

from multitap.testing import Server, json, repeat, sse, when

MODELS = ("gpt-5", "gpt-4o", "tiny", "text-embedding-3-small")
OPEN = "tiny"  # shows what it thinks in chat completions, as other servers' models do
THOUGHT = "Let me think."
CREATED = 1_700_000_000
ANSWER = {"created": CREATED, "service_tier": "default", "system_fingerprint": "fp_1"}
SENT = {"x-request-id": "req_1", "openai-processing-ms": "5"}


class ScriptedOpenAI(Server):
    """Listens on a port of its own; a context manager.

    Args:
        key: The key that it demands; ``None``: any, or none.
        halfway: Steps that its sounds and transcripts play behind their first piece.

    Attributes:
        refusals: What it says to the next requests instead of an answer, the last one first.
    """

    def __init__(self, key=None, halfway=()):
        self.key = key
        self.refusals = []
        routes = {
            "POST /v1/chat/completions": chat,
            "POST /v1/responses": respond,
            "POST /v1/embeddings": embed,
            "GET /v1/models": models,
            **{f"GET /v1/models/{name}": describe for name in MODELS},
            **scripted_openai_media.routes(halfway),
        }
        guarded = {route: self.guarded(script) for route, script in routes.items()}
        super().__init__(repeat(when(guarded, otherwise=nowhere)))

    def guarded(self, script):
        def step(connection):
            if self.refusals:
                return self.refusals.pop()
            sent = connection.request.headers.get("authorization", "Bearer ")
            if self.key not in (None, sent.removeprefix("Bearer ")):
                return refuse(401, f"Incorrect API key provided: {sent[7:]}", "invalid_api_key")
            return script(connection)

        return step


def refuse(status, message, code, kind="invalid_request_error", **headers):
    error = {"message": message, "type": kind, "param": None, "code": code}
    return json({"error": error}, status, {**SENT, **headers})


def busy(milliseconds=10):
    """Too many requests: try again soon."""
    reset = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "10ms"}
    headers = {"retry-after-ms": str(milliseconds), "retry-after": "1", **reset}
    return refuse(429, "Rate limit reached", "rate_limit_exceeded", "requests", **headers)


def spent():
    """The account has no money left; asking again is of no use."""
    kind = "insufficient_quota"
    return refuse(429, "You exceeded your current quota", kind, kind, **{"x-should-retry": "false"})


def nowhere(connection):
    asked = connection.request
    where, _, name = asked.path.rpartition("/")
    if where == "/v1/models":
        return no_model(name)
    return refuse(404, f"Invalid URL ({asked.method} {asked.path})", None)


def unfit(asked, model):
    """The refusal of a request that cannot be answered, or None."""
    if model not in MODELS:
        return no_model(model)
    if (size := size_of(asked)) > CONTEXT:
        limits = f"This model's maximum context length is {CONTEXT} tokens. However, your messages"
        message = f"{limits} resulted in {size} tokens."
        return refuse(400, message, "context_length_exceeded")
    return None


def no_model(name):
    return refuse(404, f"The model `{name}` does not exist", "model_not_found")


def row(name):
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "system"}


def models(connection):
    return json({"object": "list", "data": [row(name) for name in MODELS]}, 200, SENT)


def describe(connection):
    return json(row(connection.request.path.rpartition("/")[2]), 200, SENT)


# ---- chat ----------------------------------------------------------------------------------------


def chat(connection):
    asked = connection.request.json()
    model = asked["model"]
    if refusal := unfit(asked, model):
        return refusal
    thinks = asked.get("reasoning_effort", "none") != "none"
    answers = [say(asked, THOUGHT if thinks else "") for _ in range(asked.get("n") or 1)]
    if asked.get("stream"):
        return sse(stream(asked, answers), 200, SENT, done=None if answers[0].crashes else "[DONE]")
    if answers[0].crashes:
        return refuse(500, CRASH["message"], None, CRASH["type"])
    return json(whole(asked, answers), 200, SENT)


CRASH = {"message": "The server had an error", "type": "server_error", "param": None, "code": None}


def usage_of(answers):
    prompt, written = answers[0].prompt, sum(said.written for said in answers)
    thought = sum(said.thought_tokens for said in answers)
    made = ("audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens")
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": thought, **dict.fromkeys(made, 0)},
    }


def stream(asked, answers):
    """The chunks of all choices; the usage, where it was asked for, is null in all but the last."""
    counted = asked.get("stream_options", {}).get("include_usage")
    facts = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": asked["model"]}
    facts |= {**ANSWER, **({"usage": None} if counted else {})}
    for index, said in enumerate(answers):
        choice = {"index": index, "logprobs": None, "finish_reason": None}
        told = deltas(asked, said)
        for delta, tokens in [next(told), next(told, None)] if said.crashes else told:
            logprobs = {"content": tokens, "refusal": None} if tokens else None
            one = {**choice, "delta": delta, "logprobs": logprobs}
            yield {**facts, "choices": [one], "obfuscation": "Xq3"}
        if said.crashes:
            yield {"error": CRASH}
            return
        finish = said.end("stop", "length", "tool_calls")
        yield {**facts, "choices": [{**choice, "delta": {}, "finish_reason": finish}]}
    if counted:
        yield {**facts, "choices": [], "usage": usage_of(answers)}


def deltas(asked, said):
    """Deltas of an answer, with their tokens where they are asked for."""
    yield {"role": "assistant", "content": None if said.calls else "", "refusal": None}, None
    if said.thought and asked["model"] == OPEN:
        yield {"reasoning_content": said.thought}, None
    for word in said.words:
        yield {"content": word}, [token(asked, word)] if asked.get("logprobs") else None
    for index, call in enumerate(tool_calls(said)):
        function = call["function"]
        begun = {**call, "function": {**function, "arguments": ""}}
        yield {"tool_calls": [{"index": index, **begun}]}, None
        for piece in halves(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, None


def whole(asked, answers):
    choices = []
    for index, said in enumerate(answers):
        message = {"role": "assistant", "content": said.text if not said.calls else None}
        message |= {"refusal": None, "annotations": []}
        if said.calls:
            message["tool_calls"] = tool_calls(said)
        if said.thought and asked["model"] == OPEN:
            message["reasoning_content"] = said.thought
        entries = [token(asked, word) for word in said.words]
        choices.append(
            {
                "index": index,
                "message": message,
                "logprobs": {"content": entries, "refusal": None}
                if asked.get("logprobs")
                else None,
                "finish_reason": said.end("stop", "length", "tool_calls"),
            }
        )
    facts = {"id": "chatcmpl-1", "object": "chat.completion", "model": asked["model"], **ANSWER}
    return {**facts, "choices": choices, "usage": usage_of(answers)}


def tool_calls(said):
    return [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for n, (name, arguments) in enumerate(said.calls, 1)
    ]


def token(asked, word):
    entry = {"token": word, "logprob": -0.5, "bytes": list(word.encode())}
    return {**entry, "top_logprobs": [entry] if asked.get("top_logprobs") else []}


def respond(connection):
    asked = connection.request.json()
    if refusal := unfit(as_chat(asked), asked["model"]):
        return refusal
    thinks = asked.get("reasoning", {}).get("effort", "none") != "none"
    return respond_to(asked, asked["model"], thought=THOUGHT if thinks else "")


# ---- embeddings ----------------------------------------------------------------------------------


def embed(connection):
    asked = connection.request.json()
    if "input" not in asked:
        return refuse(400, "Missing required parameter: 'input'.", "missing_required_parameter")
    if asked["model"] not in MODELS:
        return no_model(asked["model"])
    texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
    rows = [[float(len(text)), 0.5, -0.5][: asked.get("dimensions", 3)] for text in texts]
    data = [
        {"object": "embedding", "index": index, "embedding": vector(asked, numbers)}
        for index, numbers in enumerate(rows)
    ]
    count = sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": count, "total_tokens": count}
    listed = {"object": "list", "data": data, "model": asked["model"], "usage": usage}
    return json(listed, 200, SENT)


def vector(asked, numbers):
    if asked.get("encoding_format") != "base64":
        return numbers
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
