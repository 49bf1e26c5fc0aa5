"""A scripted LM Studio, made from its documentation: it answers by rules instead of a model.

It serves for what has to work with any model: the suite of all plugins, and the README's examples.
OpenAI's and Anthropic's clients, written by others, take its answers as well: `nox -s strangers`.
"""

from __future__ import annotations

from scripted_answers import CONTEXT, halves, pieces, say, size_of
from scripted_messages import answer_message
from scripted_native import Conversations
from scripted_responses import as_chat, respond_to

from multitap.testing import Server, json, repeat, sse, when

MODELS = ("tiny", "qwen/qwen3-4b", "nomic-embed", "second")
FILE = {"publisher": "acme", "quantization": {"name": "Q4_K_M", "bits_per_weight": 4}}
FILE |= {"size_bytes": 2_000_000_000, "format": "gguf"}
ABILITIES = {"vision": False, "trained_for_tool_use": True}
THOUGHT = "Two and two."  # of the one question that needs thinking


class ScriptedLmStudio(Server):
    """Listens on a port of its own; a context manager.

    Args:
        key: The API token, where "Require Authentication" is on.
    """

    def __init__(self, key=None):
        self.key = key
        self.loaded = {"tiny": {"tiny": {}}}
        self.looks = 0
        routes = {
            "POST /v1/chat/completions": chat,
            "POST /v1/responses": respond,
            "POST /v1/messages": lambda c: answer_message(c.request.json(), MODELS, thought_for),
            "POST /v1/embeddings": embed,
            "GET /v1/models": lambda _: json({"object": "list", "data": [*map(named, MODELS)]}),
            "GET /api/v1/models": lambda _: json({"models": [self.row(name) for name in MODELS]}),
            "POST /api/v1/chat": Conversations(MODELS, self.loaded, thought_for).chat,
            "POST /api/v1/models/load": self.load,
            "POST /api/v1/models/unload": self.unload,
            "POST /api/v1/models/download": download,
            "GET /api/v1/models/download/status/job-1": self.status,
        }
        guarded = {route: self.guarded(script) for route, script in routes.items()}
        super().__init__(repeat(when(guarded, otherwise=unexpected)))

    def guarded(self, script):
        """Behind the key; what LM Studio says without it is not documented."""

        def step(connection):
            headers = connection.request.headers
            sent = headers.get("authorization", "").removeprefix("Bearer ")
            if self.key in (None, sent, headers.get("x-api-key")):
                return script(connection)
            return refuse(401, "An API token is required.", "invalid_api_key")

        return step

    def row(self, name):
        instances = self.loaded.get(name, {})
        row = {
            "type": kind_of(name),
            "key": name,
            "display_name": name.title(),
            **FILE,
            "params_string": None if kind_of(name) == "embedding" else "4B",
            "loaded_instances": [
                {"id": found, "config": applied(name, asked)} for found, asked in instances.items()
            ],
            "max_context_length": 32768,
        }
        chats = {"architecture": "qwen3", "capabilities": ABILITIES, "description": None}
        return row if kind_of(name) == "embedding" else {**row, **chats}

    def load(self, connection):
        asked = connection.request.json()
        name = asked["model"]
        self.loaded[name] = {name: asked}
        found = {"type": kind_of(name), "instance_id": name, "load_time_seconds": 0.1}
        echoed = {"load_config": applied(name, asked)} if asked.get("echo_load_config") else {}
        return json({**found, "status": "loaded", **echoed})

    def unload(self, connection):
        name = connection.request.json()["instance_id"]
        self.loaded.pop(name)
        return json({"instance_id": name})

    def status(self, connection):
        self.looks += 1
        return json(FETCHING if self.looks == 1 else FETCHED)


def named(name):
    return {"id": name, "object": "model", "owned_by": "organization_owner"}


def kind_of(name):
    return "embedding" if "embed" in name else "llm"


def applied(name, asked):
    """What a model is loaded with."""
    context = {"context_length": asked.get("context_length", CONTEXT)}
    if kind_of(name) == "embedding":
        return context
    flash = {"flash_attention": asked.get("flash_attention", True)}
    return {**context, "eval_batch_size": 512, **flash, "offload_kv_cache_to_gpu": True}


JOB = {"job_id": "job-1", "total_size_bytes": 2000, "started_at": "2026-01-01T00:00:00.000Z"}
SPEED = {"bytes_per_second": 100, "estimated_completion": "2026-01-01T00:00:10.000Z"}
FETCHING = {**JOB, "status": "downloading", "downloaded_bytes": 1000, **SPEED}
FETCHED = {**JOB, "status": "completed", "completed_at": "2026-01-01T00:00:10.000Z"}
FETCHED |= {"downloaded_bytes": 2000}


def download(connection):
    if connection.request.json()["model"] == "second":
        return json({"status": "already_downloaded"})
    return json({**JOB, "status": "downloading"})


def unexpected(connection):
    asked = connection.request
    return json({"error": f"Unexpected endpoint or method. ({asked.method} {asked.path})"})


def refuse(status, message, code):
    kind = "invalid_request_error"
    error = {"message": message, "type": kind, "param": "model", "code": code}
    return json({"error": error}, status)


def unfit(asked, model):
    """The refusal of a request that cannot be answered, or None."""
    if model not in MODELS:
        return refuse(404, f'Model "{model}" not found.', "model_not_found")
    if (size := size_of(asked)) > CONTEXT:
        said = (
            f"Trying to keep the first {size} tokens when context the overflows. However, the model"
            f" is loaded with context length of only {CONTEXT} tokens."
        )
        return json({"error": said}, 400)
    if asked.get("response_format", {}).get("type") == "json_object":
        return json({"error": "'response_format.type' must be 'json_schema' or 'text'"}, 400)
    return None


def thought_for(asked):
    return THOUGHT if "2 plus 2" in str(asked["messages"][-1].get("content")) else ""


# ---- chat ----------------------------------------------------------------------------------------

CRASH = {"message": "The model has crashed.", "type": "server_error"}


def chat(connection):
    """An answer; the app is set so that thoughts stay in the text, between tags."""
    asked = connection.request.json()
    if refusal := unfit(asked, asked["model"]):
        return refusal
    said = say(asked, thought_for(asked))
    if asked.get("stream"):
        return sse(stream(asked, said), done=None if said.crashes else "[DONE]")
    return json({"error": CRASH["message"]}, 500) if said.crashes else json(whole(asked, said))


def facts_of(asked, kind):
    model = asked["model"]
    own = {"id": "chatcmpl-x", "object": kind, "created": 1_700_000_000}
    return {**own, "model": model, "system_fingerprint": model}


def stream(asked, said):
    """The chunks of an answer, a role in each; the end, and what it cost, where that is asked."""
    facts = facts_of(asked, "chat.completion.chunk")
    choice = {"index": 0, "logprobs": None, "finish_reason": None}
    for delta in [next(deltas(said))] if said.crashes else deltas(said):
        yield {**facts, "choices": [{**choice, "delta": {"role": "assistant", **delta}}]}
    if said.crashes:
        yield {"error": CRASH}
        return
    finish = said.end("stop", "length", "tool_calls")
    yield {**facts, "choices": [{**choice, "delta": {}, "finish_reason": finish}]}
    if asked.get("stream_options", {}).get("include_usage"):
        yield {**facts, "choices": [], "usage": usage_of(said)}


def deltas(said):
    for index, call in enumerate(tool_calls(said)):
        function = call["function"]
        yield {"tool_calls": [{"index": index, **call, "function": {**function, "arguments": ""}}]}
        for piece in halves(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
    if said.thought:
        for piece in ("<think>", "\n", *pieces(f"{said.thought}\n"), "</think>", "\n\n"):
            yield {"content": piece}
    for word in said.words:
        yield {"content": word}


def whole(asked, said):
    thought = f"<think>\n{said.thought}\n</think>\n\n" if said.thought else ""
    message = {"role": "assistant"}
    message |= {"tool_calls": tool_calls(said)} if said.calls else {"content": thought + said.text}
    choice = {
        "index": 0,
        "logprobs": None,
        "finish_reason": said.end("stop", "length", "tool_calls"),
    }
    facts = {**facts_of(asked, "chat.completion"), "choices": [{**choice, "message": message}]}
    return {**facts, "usage": usage_of(said)}


def tool_calls(said):
    return [
        {"id": f"36517448{n}", "type": "function", "function": {"name": name, "arguments": text}}
        for n, (name, text) in enumerate(said.calls)
    ]


def usage_of(said):
    counts = {"prompt_tokens": said.prompt, "completion_tokens": said.written}
    return {**counts, "total_tokens": sum(counts.values())}


def respond(connection):
    asked = connection.request.json()
    as_asked = as_chat(asked)
    if refusal := unfit(as_asked, asked["model"]):
        return refusal
    return respond_to(asked, asked["model"], thought=thought_for(as_asked), at_once=True)


def embed(connection):
    asked = connection.request.json()
    if "input" not in asked:
        return json({"error": "'input' field is required"}, 400)
    texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
    rows = [[float(len(text)), 0.5, -0.5] for text in texts]
    data = [{"object": "embedding", "embedding": row, "index": i} for i, row in enumerate(rows)]
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    return json({"object": "list", "data": data, "model": asked["model"], "usage": usage})
