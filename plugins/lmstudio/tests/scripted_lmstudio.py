"""A scripted LM Studio, made from its documentation: it answers by rules instead of a model.

It serves for what has to work with any model: the suite of all plugins, and the README's examples.
"""

from __future__ import annotations

from multitap.testing import Server, json, repeat, sse, when

MODELS = ("tiny", "qwen/qwen3-4b", "nomic-embed", "second")
CONTEXT = 1000  # tokens; a token is a word
ANSWERS = {
    "capital of France": "The capital of France is Paris.",
    "sky blue": "Because air scatters blue light more than red.",
    "story": "Once there was a dragon. " * 200,
    "2 plus 2": "<think>\nTwo and two.\n</think>\n\nFour.",
}


class ScriptedLmStudio(Server):
    """Listens on a port of its own; a context manager."""

    def __init__(self):
        self.loaded = {"tiny": ["tiny"]}
        self.looks = 0
        routes = {
            "POST /v1/chat/completions": chat,
            "POST /v1/embeddings": embed,
            "GET /api/v1/models": lambda _: json({"models": [self.row(name) for name in MODELS]}),
            "GET /v1/models": json({"object": "list", "data": [named(name) for name in MODELS]}),
            "POST /api/v1/models/load": self.load,
            "POST /api/v1/models/unload": self.unload,
            "POST /api/v1/models/download": download,
            "GET /api/v1/models/download/status/job-1": self.status,
        }
        super().__init__(repeat(when(routes, otherwise=unexpected)))

    def row(self, name):
        instances = self.loaded.get(name, [])
        config = {"context_length": CONTEXT}
        row = {
            "type": "embedding" if "embed" in name else "llm",
            "key": name,
            "max_context_length": 32768,
            "loaded_instances": [{"id": found, "config": config} for found in instances],
        }
        chats = {"vision": False, "trained_for_tool_use": True}
        return row if "embed" in name else {**row, "capabilities": chats}

    def load(self, connection):
        name = connection.request.json()["model"]
        self.loaded[name] = [name]
        found = {"type": "llm", "instance_id": name, "load_time_seconds": 0.1}
        return json({**found, "status": "loaded"})

    def unload(self, connection):
        name = connection.request.json()["instance_id"]
        self.loaded.pop(name)
        return json({"instance_id": name})

    def status(self, connection):
        self.looks += 1
        return json(JOB if self.looks == 1 else {**JOB, "status": "completed"})


JOB = {
    "job_id": "job-1",
    "status": "downloading",
    "total_size_bytes": 2000,
    "downloaded_bytes": 1000,
}


def named(name):
    return {"id": name, "object": "model", "owned_by": "organization_owner"}


def download(connection):
    if connection.request.json()["model"] == "second":
        return json({"status": "already_downloaded"})
    return json({"job_id": "job-1", "status": "downloading", "total_size_bytes": 2000})


def unexpected(connection):
    asked = connection.request
    return json({"error": f"Unexpected endpoint or method. ({asked.method} {asked.path})"})


# ---- chat ----------------------------------------------------------------------------------------


def chat(connection):
    asked = connection.request.json()
    size = sum(len((message["content"] or "").split()) for message in asked["messages"])
    if asked["model"] not in MODELS:
        message = f'Model "{asked["model"]}" not found.'
        error = {"message": message, "type": "invalid_request_error", "code": "model_not_found"}
        return json({"error": error}, 404)
    if size > CONTEXT:
        said = (
            f"Trying to keep the first {size} tokens when context the overflows. However, the model"
            f" is loaded with context length of only {CONTEXT} tokens."
        )
        return json({"error": said}, 400)
    chunks = [{**one, "model": asked["model"]} for one in answer(asked, size)]
    return sse(chunks) if asked.get("stream") else json(whole(chunks))


def answer(asked, size):
    """The chunks of an answer: words or a call, the end, and what it cost."""
    called = called_tool(asked)
    said = [] if called else pieces(text_of(asked), asked.get("stop", []))
    most = asked.get("max_tokens", len(said))
    if called:
        function = {"name": called, "arguments": ""}
        yield chunk(tool_calls=[{"index": 0, "id": "1", "type": "function", "function": function}])
        yield chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"city": "Oslo"}'}}])
    for word in said[:most]:
        yield chunk(content=word)
    ending = "length" if most < len(said) else "stop"
    yield chunk("tool_calls" if called else ending)
    counts = {"prompt_tokens": size, "completion_tokens": len(said[:most])}
    yield {"choices": [], "usage": {**counts, "total_tokens": sum(counts.values())}}


def chunk(finish=None, **delta):
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish}
    return {"choices": [choice]}


def whole(chunks):
    """The chunks of an answer as the one object of an unstreamed one."""
    *deltas, counted = chunks
    message = {"role": "assistant", "content": ""}
    for delta in (one["choices"][0]["delta"] for one in deltas):
        message["content"] += delta.get("content", "")
        if "tool_calls" in delta:
            call = message.setdefault("tool_calls", [delta["tool_calls"][0]])[0]["function"]
            call["arguments"] = delta["tool_calls"][0]["function"]["arguments"]
    choice = {"index": 0, "message": message, **finish_of(deltas[-1])}
    return {"model": chunks[0]["model"], "choices": [choice], "usage": counted["usage"]}


def finish_of(last):
    return {"finish_reason": last["choices"][0]["finish_reason"]}


def called_tool(asked):
    """The first tool, where the user asks for the weather, or None."""
    last = asked["messages"][-1]
    if not asked.get("tools") or "weather" not in last["content"]:
        return None
    return asked["tools"][0]["function"]["name"]


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
    return [word if number == 0 else f" {word}" for number, word in enumerate(text.split(" "))]


def embed(connection):
    asked = connection.request.json()
    if "input" not in asked:
        return json({"error": "'input' field is required"}, 400)
    rows = [[float(len(text)), 0.5, -0.5] for text in asked["input"]]
    data = [{"index": i, "object": "embedding", "embedding": row} for i, row in enumerate(rows)]
    return json({"data": data, "usage": {"prompt_tokens": 0, "total_tokens": 0}})
