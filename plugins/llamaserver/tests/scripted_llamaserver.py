"""A scripted router that answers as llama-server does, by rules instead of a model.

It serves for what has to work with any model: the suite of all plugins, and the README's examples.
"""

from __future__ import annotations

import base64
import struct

from multitap.testing import Server, json, repeat, sse, when

MODELS = ("tiny", "gemma-3-4b", "bge-small", "bge-reranker", "second")
PURPOSES = {"bge-small": "embedding", "bge-reranker": "rerank"}
CONTEXT = 1000  # tokens; a token is a word
SLOTS = 4
ADAPTERS = [
    {"id": 0, "path": "/adapters/style.gguf", "scale": 1.0},
    {"id": 1, "path": "C:\\adapters\\law.gguf", "scale": 0.25},
]
ANSWERS = {
    "capital of France": "The capital of France is Paris.",
    "sky blue": "Because air scatters blue light more than red.",
    "story": "Once there was a dragon. " * 200,
    "2 plus 2": "Four.",
}


class ScriptedLlamaServer(Server):
    """Listens on a port of its own; a context manager."""

    def __init__(self):
        self.states = {"gemma-3-4b": "unloaded", "second": "unloaded"}
        self.more = []
        self.slots = [0] * SLOTS
        self.saved = {}
        routes = {
            "POST /v1/chat/completions": chat,
            "POST /v1/embeddings": embed,
            "POST /v1/rerank": rerank,
            "POST /tokenize": tokenize,
            "POST /detokenize": detokenize,
            "GET /v1/models": self.models,
            "GET /props": props,
            "GET /lora-adapters": json(ADAPTERS),
            "GET /slots": self.listed_slots,
            **{f"POST /slots/{number}": self.order_slot for number in range(SLOTS)},
            "POST /models": self.pull,
            "POST /models/load": self.load,
            "POST /models/unload": self.unload,
            "DELETE /models": self.delete,
        }
        otherwise = refuse(404, "File Not Found", "not_found_error")
        super().__init__(repeat(when(routes, otherwise=otherwise)))

    # ---- the router ------------------------------------------------------------------------------

    def models(self, connection):
        rows = [self.row(name) for name in (*MODELS, *self.more)]
        for name in self.more:
            self.states[name] = "unloaded"  # a download that was seen is over
        return json({"object": "list", "data": rows}, headers={"server": "llama.cpp"})

    def row(self, name):
        state = self.states.get(name, "loaded")
        status = {"value": state, "args": ["llama-server", "--ctx-size", str(CONTEXT)]}
        if state == "downloading":
            status["progress"] = {"model.gguf": {"done": 1000, "total": 2000}}
        meta = {"n_ctx": CONTEXT, "n_params": 4_000_000_000, "ftype": "Q4_K - Medium"}
        row = {"id": name, "aliases": [], "owned_by": "llamacpp", "status": status}
        return {**row, "meta": meta if state == "loaded" else None}

    def pull(self, connection):
        name = connection.request.json()["model"]
        if name in (*MODELS, *self.more):
            return refuse(400, f"model '{name}' already exists")
        self.more.append(name)
        self.states[name] = "downloading"
        return json({"success": True})

    def load(self, connection):
        return self.set(connection.request.json()["model"], "loaded")

    def unload(self, connection):
        return self.set(connection.request.json()["model"], "unloaded")

    def delete(self, connection):
        self.more = [name for name in self.more if name not in connection.request.target]
        return json({"success": True})

    def set(self, name, state):
        self.states[name] = state
        return json({"success": True})

    # ---- slots -----------------------------------------------------------------------------------

    def listed_slots(self, connection):
        rows = [{"id": n, "n_ctx": CONTEXT, "is_processing": False} for n in range(SLOTS)]
        return json([{**row, "n_prompt_tokens": self.slots[row["id"]]} for row in rows])

    def order_slot(self, connection):
        """Save, restore or erase; the words of the answer are those of a real one."""
        asked, number = connection.request, int(connection.request.path.rpartition("/")[2])
        action = asked.target.partition("action=")[2].partition("&")[0]
        name = asked.json().get("filename")
        if action == "restore" and name not in self.saved:
            return refuse(400, "Unable to restore slot: No available space in KV cache or invalid")
        held = self.slots[number]
        if action == "save":
            self.saved[name] = held
            return json({"id_slot": number, "n_saved": held, "n_written": 40 + held})
        self.slots[number] = self.saved[name] if action == "restore" else 0
        if action == "erase":
            return json({"id_slot": number, "n_erased": held})
        held = self.saved[name]
        return json({"id_slot": number, "n_restored": held, "n_read": 40 + held})


def refuse(status, message, kind="invalid_request_error", **facts):
    return json({"error": {"code": status, "message": message, "type": kind, **facts}}, status)


def props(connection):
    return json(
        {
            "default_generation_settings": {"n_ctx": CONTEXT},
            "total_slots": SLOTS,
            "modalities": {"vision": False, "audio": False},
            "chat_template": "{% if enable_thinking %}<think>{% endif %}",
            "chat_template_caps": {"supports_tools": True},
            "build_info": "b11669-Debian",
        }
    )


# ---- chat ----------------------------------------------------------------------------------------


def chat(connection):
    asked = connection.request.json()
    size = sum(len((message["content"] or "").split()) for message in asked["messages"])
    if asked["model"] not in MODELS:
        return refuse(400, f"model '{asked['model']}' not found")
    if size > CONTEXT:
        message = f"request ({size} tokens) exceeds the available context size ({CONTEXT} tokens)"
        facts = {"n_prompt_tokens": size, "n_ctx": CONTEXT}
        return refuse(400, message, "exceed_context_size_error", **facts)
    if asked.get("tools") and asked.get("logprobs"):
        return refuse(400, "logprobs is not supported with tools + stream")
    return sse([*answer(asked), usage(size, 1)])


def answer(asked):
    """The chunks of an answer: of each choice thoughts, words or a call, and the end."""
    for index in range(asked.get("n", 1)):
        yield chunk(index, role="assistant", content=None)
        if asked.get("chat_template_kwargs", {}).get("enable_thinking"):
            yield chunk(index, reasoning_content="Let me think.")
        called = called_tool(asked)
        if called:
            yield from call(index, called)
            yield chunk(index, "tool_calls")
        else:
            yield from words(index, asked)


def words(index, asked):
    said = pieces(text_of(asked), asked.get("stop", []))
    most = asked.get("max_tokens", len(said))
    for word in said[:most]:
        logprobs = {"logprobs": {"content": [token(word)]}} if asked.get("logprobs") else {}
        yield chunk(index, more=logprobs, content=word)
    yield chunk(index, "length" if most < len(said) else "stop")


def chunk(index, finish=None, more=None, **delta):
    choice = {"index": index, "delta": delta, "finish_reason": finish, **(more or {})}
    return {"choices": [choice], "object": "chat.completion.chunk", "model": "tiny"}


def call(index, name):
    function = {"name": name, "arguments": "{"}
    head = {"index": 0, "id": f"call_{index}", "type": "function", "function": function}
    yield chunk(index, tool_calls=[head])
    yield chunk(index, tool_calls=[{"index": 0, "function": {"arguments": '"city": "Oslo"}'}}])


def usage(prompt, written):
    counts = {"prompt_tokens": prompt, "completion_tokens": written}
    return {"choices": [], "usage": {**counts, "total_tokens": prompt + written}}


def token(word):
    return {"token": word, "logprob": -0.5, "top_logprobs": [{"token": word, "logprob": -0.5}]}


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
    return [word if number == 0 else f" {word}" for number, word in enumerate(text.split())]


# ---- texts ---------------------------------------------------------------------------------------


def embed(connection):
    asked = connection.request.json()
    if PURPOSES.get(asked["model"]) is None:
        message = "This server does not support embeddings. Start it with `--embeddings`"
        return refuse(501, message, "not_supported_error")
    if "input" not in asked:
        return refuse(400, '"input" or "content" must be provided')
    rows = [struct.pack("<3f", len(text), 0.5, -0.5) for text in asked["input"]]
    data = [{"index": i, "embedding": base64.b64encode(row).decode()} for i, row in enumerate(rows)]
    count = sum(len(text.split()) for text in asked["input"])
    return json({"data": data, "usage": {"prompt_tokens": count, "total_tokens": count}})


def rerank(connection):
    asked = connection.request.json()
    if PURPOSES.get(asked["model"]) != "rerank":
        message = "This server does not support reranking. Start it with `--reranking`"
        return refuse(501, message, "not_supported_error")
    if "query" not in asked:
        return refuse(400, '"query" must be provided')
    rows = [
        {"index": i, "relevance_score": 2.0 if asked["query"] in text else -2.0}
        for i, text in enumerate(asked["documents"])
    ]
    return json({"results": rows, "usage": {"prompt_tokens": 9, "total_tokens": 9}})


def tokenize(connection):
    words = connection.request.json()["content"].split()
    return json({"tokens": [{"id": len(word), "piece": word} for word in words]})


def detokenize(connection):
    return json({"content": " ".join("x" * n for n in connection.request.json()["tokens"])})
