"""A scripted server that answers as Ollama does, by rules instead of a model.

It serves for what has to work with any model: the suite of all plugins, and the README's examples.
"""

from __future__ import annotations

from multitap.testing import Server, json, ndjson, repeat, respond, when

MODELS = ("llama3.2:3b", "tiny", "nomic-embed-text")
CONTEXT = 1000  # tokens; a token is a word
ANSWERS = {
    "capital of France": "The capital of France is Paris.",
    "sky blue": "Because air scatters blue light more than red.",
    "story": "Once there was a dragon. " * 200,
    "2 plus 2": "Four.",
}


class ScriptedOllama(Server):
    """Listens on a port of its own; a context manager."""

    def __init__(self):
        routes = {"POST /api/chat": chat, "POST /api/embed": embed, **MANAGEMENT}
        super().__init__(repeat(when(routes, otherwise=respond(404, {}, "404 page not found"))))


def chat(connection):
    asked = connection.request.json()
    if not asked["messages"] and asked["model"] != NOWHERE:
        return json({"done": True, "done_reason": "load"})
    size = sum(len(message["content"].split()) for message in asked["messages"])
    if asked["model"] not in MODELS:
        return json({"error": f"model '{asked['model']}' not found"}, 404)
    if size > CONTEXT and asked.get("truncate") is False:
        limits = f"request ({size} tokens) exceeds the available context size ({CONTEXT} tokens)"
        return json({"error": limits}, 400)
    lines = list(answer(asked, size))
    return ndjson(lines) if asked.get("stream", True) else json(whole(lines))


def answer(asked, size):
    """The lines of an answer: thoughts, words or a call, and the end."""
    options, thinks = asked.get("options", {}), asked.get("think") not in (None, False)
    called = called_tool(asked)
    words = [] if called else pieces(text_of(asked), options.get("stop", []))
    most = options.get("num_predict", len(words))
    if thinks:
        yield line(thinking="Let me think.")
    if called:
        yield line(tool_calls=[called])
    for word in words[:most]:
        yield line(word, **({"logprobs": [token(word)]} if asked.get("logprobs") else {}))
    reason = "length" if most < len(words) else "stop"
    counts = {"prompt_eval_count": size, "eval_count": len(words[:most])}
    yield {**line(), "done": True, "done_reason": reason, "total_duration": 1000, **counts}


def line(content="", logprobs=None, **message):
    said = {"message": {"role": "assistant", "content": content, **message}, "done": False}
    return {**said, **({"logprobs": logprobs} if logprobs else {})}


def token(word):
    return {"token": word, "logprob": -0.5, "top_logprobs": [{"token": word, "logprob": -0.5}]}


def called_tool(asked):
    """The first tool, where the user asks for the weather, or None."""
    last = asked["messages"][-1]
    if not asked.get("tools") or "weather" not in last["content"]:
        return None
    name = asked["tools"][0]["function"]["name"]
    return {"id": "call_1", "function": {"name": name, "arguments": {"city": "Oslo"}}}


def text_of(asked):
    last = asked["messages"][-1]
    if last["role"] == "tool":
        return f"It is {last['content']}."
    if asked.get("format"):
        return '{"city": "Paris"}'
    return next((text for key, text in ANSWERS.items() if key in last["content"]), "Hello!")


def pieces(text, stops):
    for stop in stops:
        text = text.partition(stop)[0]
    return [word if number == 0 else f" {word}" for number, word in enumerate(text.split())]


def whole(lines):
    """The lines of an answer as the one object of an unstreamed one."""
    message = {"role": "assistant", "content": ""}
    tokens = [entry for each in lines for entry in each.get("logprobs", [])]
    for each in (each["message"] for each in lines):
        message["content"] += each["content"]
        message |= {name: each[name] for name in ("thinking", "tool_calls") if name in each}
    return {**lines[-1], "message": message, **({"logprobs": tokens} if tokens else {})}


def embed(connection):
    asked = connection.request.json()
    rows = [[float(len(text)), 0.5, -0.5] for text in asked["input"]]
    width = asked.get("dimensions", 3)
    count = sum(len(text.split()) for text in asked["input"])
    return json({"embeddings": [row[:width] for row in rows], "prompt_eval_count": count})


LAYER = {"digest": "sha256:0123456789ab", "total": 2000}
PULL = [
    {"status": "pulling manifest"},
    {"status": "pulling 0123456789ab", **LAYER, "completed": 1000},
    {"status": "pulling 0123456789ab", **LAYER, "completed": 2000},
    {"status": "success"},
]
NOWHERE = "no-such-model"
INFO = {"general.architecture": "llama", "llama.context_length": 131072}
LISTED = json({"models": [{"name": MODELS[0]}]})


def show(connection):
    name = connection.request.json()["model"]
    if name not in MODELS:
        return json({"error": f"model '{name}' not found"}, 404)
    return json({"model_info": INFO, "capabilities": ["completion", "tools"]})


def order(name, answer):
    """The answer to an order about a model, where there is one."""

    def step(connection):
        if connection.request.json()[name] == NOWHERE:
            return json({"error": f"model '{NOWHERE}' not found"}, 404)
        return answer

    return step


MANAGEMENT = {
    "POST /api/pull": ndjson(PULL),
    "POST /api/create": ndjson(PULL[-1:]),
    "POST /api/show": show,
    "POST /api/copy": order("source", respond()),
    "DELETE /api/delete": order("model", respond()),
    "GET /api/tags": LISTED,
    "GET /api/ps": LISTED,
    "GET /api/version": json({"version": "0.33.0"}),
    "GET /v1/models": json({"object": "list", "data": [{"id": MODELS[0], "owned_by": "library"}]}),
}
