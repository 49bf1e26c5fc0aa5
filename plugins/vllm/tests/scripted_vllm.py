"""A scripted server that answers as vLLM does, by rules instead of a model.

It serves for what has to work with any model: the suite of all plugins, and the README's examples.
It has every route; ``without`` are those that the model of a real one would not have.
"""

from __future__ import annotations

import base64
import email
import io
import re
import struct
import wave

from multitap.testing import Server, json, repeat, request, respond, sse

MODELS = ("llama3.2:3b", "phi3:8b", "tiny")
CONTEXT = 1000  # tokens; a token is a word
BASES = [
    {"id": name, "root": f"org/{name}", "owned_by": "vllm", "max_model_len": CONTEXT}
    for name in MODELS
]
SECONDS = {"type": "duration", "seconds": 2}
ANSWERS = {
    "capital of France": "The capital of France is Paris.",
    "sky blue": "Because air scatters blue light more than red.",
    "story": "Once there was a dragon. " * 200,
    "2 plus 2": "Four.",
}


class ScriptedVllm(Server):
    """Listens on a port of its own; a context manager."""

    def __init__(self, key=None, without=()):
        super().__init__(repeat(request, self._answer))
        self.key = key
        self.without = without
        self.asleep = False
        self.adapters = {}  # paths, by name
        self.routes = {
            **ROUTES,
            "/v1/models": ("GET", self._models),
            "/is_sleeping": ("GET", lambda _: json({"is_sleeping": self.asleep})),
            "/sleep": ("POST", lambda _: self._sleep("sleeping")),
            "/wake_up": ("POST", lambda _: self._sleep("awake")),
            "/v1/load_lora_adapter": ("POST", self._load),
            "/v1/unload_lora_adapter": ("POST", self._unload),
        }

    def _answer(self, connection):
        asked = connection.request
        given = asked.headers.get("authorization")
        if self.key and asked.path.startswith("/v1/") and given != f"Bearer {self.key}":
            return json({"error": "Unauthorized"}, 401)
        if asked.path not in self.routes or asked.path in self.without:
            return json({"detail": "Not Found"}, 404)
        method, route = self.routes[asked.path]
        if asked.method != method:
            return json({"detail": "Method Not Allowed"}, 405)
        if asked.path.startswith("/v1/audio/"):
            return route(asked)
        body = asked.json() if asked.body else {}
        if body.get("model", "tiny") not in (*MODELS, *self.adapters):
            message = f"The model `{body['model']}` does not exist."
            return refuse(404, "NotFoundError", message)
        return route(body)

    # ---- what it is told to do -------------------------------------------------------------------

    def _models(self, _):
        adapters = [
            {"id": name, "root": path, "parent": "tiny", "owned_by": "vllm", "max_model_len": None}
            for name, path in self.adapters.items()
        ]
        return json({"object": "list", "data": [*BASES, *adapters]})

    def _sleep(self, status):
        self.asleep = status == "sleeping"
        return json({"status": status})

    def _load(self, body):
        name, path = body["lora_name"], body["lora_path"]
        if path == "/nowhere":
            message = f"Loading lora {name} failed: No adapter found for {path}"
            return refuse(404, "NotFoundError", message)
        self.adapters[name] = path
        return respond(200, {}, f"Success: LoRA adapter '{name}' added successfully.")

    def _unload(self, body):
        del self.adapters[body["lora_name"]]
        return respond(200, {}, "Success: LoRA adapter removed successfully.")


def refuse(status, type_, message):
    error = {"message": message, "type": type_, "param": None, "code": status}
    return json({"error": error}, status)


# ---- chat ----------------------------------------------------------------------------------------


def chat(asked):
    size = sum(len(words_of(message).split()) for message in asked["messages"])
    if size > CONTEXT:
        return refuse(
            400,
            "BadRequestError",
            f"This model's maximum context length is {CONTEXT} tokens. However, your prompt"
            f" contains {size} input tokens, which exceeds this limit.",
        )
    choices = [answer(asked) for _ in range(asked.get("n", 1))]
    written = sum(len(choice["pieces"]) for choice in choices)
    usage = {"prompt_tokens": size, "completion_tokens": written, "total_tokens": size + written}
    facts = {"id": "chatcmpl-1", "model": asked["model"], "created": 1}
    if asked.get("stream"):
        return sse(list(chunks(choices, facts, usage)))
    whole = [message_of(index, choice) for index, choice in enumerate(choices)]
    return json({**facts, "object": "chat.completion", "choices": whole, "usage": usage})


def answer(asked):
    """One choice: thought, words or a call, and the word for the end."""
    template = asked.get("chat_template_kwargs", {})
    called = called_tool(asked)
    words = [] if called else pieces(text_of(asked), asked.get("stop", []))
    most = asked.get("max_tokens", len(words))
    finish = "tool_calls" if called else "length" if most < len(words) else "stop"
    return {
        "reasoning": "Let me think." if template.get("enable_thinking") else "",
        "call": called,
        "pieces": words[:most],
        "logprobs": asked.get("logprobs", False),
        "finish": finish,
    }


def chunks(choices, facts, usage):
    facts = {**facts, "object": "chat.completion.chunk"}
    for index, choice in enumerate(choices):
        for delta, logprobs in deltas(choice):
            row = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}
            yield {**facts, "choices": [row]}
        end = {"index": index, "delta": {}, "finish_reason": choice["finish"]}
        yield {**facts, "choices": [{**end, "stop_reason": None}]}
    yield {**facts, "choices": [], "usage": usage}


def deltas(choice):
    yield {"role": "assistant", "content": ""}, None
    if choice["reasoning"]:
        yield {"reasoning": choice["reasoning"]}, None
    for word in choice["pieces"]:
        yield {"content": word}, logprobs_of([word]) if choice["logprobs"] else None
    if choice["call"]:
        arguments = choice["call"]["function"]["arguments"]
        head = {**choice["call"], "index": 0, "function": {"name": name_of(choice)}}
        yield {"content": None, "tool_calls": [head]}, None
        for part in (arguments[:4], arguments[4:]):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}, None


def name_of(choice):
    return choice["call"]["function"]["name"]


def message_of(index, choice):
    message = {"role": "assistant", "content": "".join(choice["pieces"])}
    message["reasoning"] = choice["reasoning"] or None
    if choice["call"]:
        message |= {"content": None, "tool_calls": [choice["call"]]}
    logprobs = logprobs_of(choice["pieces"]) if choice["logprobs"] else None
    ending = {"finish_reason": choice["finish"], "stop_reason": None, "logprobs": logprobs}
    return {"index": index, "message": message, **ending}


def logprobs_of(words):
    rows = [{"token": word, "logprob": -0.5, "bytes": None} for word in words]
    return {"content": [{**row, "top_logprobs": [row]} for row in rows]}


def called_tool(asked):
    """The first tool, where the user asks for the weather, or None."""
    last = asked["messages"][-1]
    if not asked.get("tools") or last["role"] == "tool" or "weather" not in words_of(last):
        return None
    function = {"name": asked["tools"][0]["function"]["name"], "arguments": '{"city": "Oslo"}'}
    return {"id": "chatcmpl-tool-1", "type": "function", "function": function}


def text_of(asked):
    last = asked["messages"][-1]
    form = asked.get("structured_outputs", {})
    if last["role"] == "tool":
        return f"It is {last['content']}."
    if form.get("choice"):
        return form["choice"][0]
    if asked.get("response_format"):
        return '{"city": "Paris"}'
    return next((text for key, text in ANSWERS.items() if key in words_of(last)), "Hello!")


def words_of(message):
    content = message["content"] or ""
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content if part["type"] == "text")


def pieces(text, stops):
    for stop in stops:
        text = text.partition(stop)[0]
    return [word if number == 0 else f" {word}" for number, word in enumerate(text.split())]


# ---- the rest ------------------------------------------------------------------------------------


def embed(asked):
    if "input" not in asked:
        return refuse(400, "Bad Request", "Field required: input")
    rows = [[float(len(text)), 0.5, -0.5] for text in asked["input"]]
    data = [
        {"index": index, "object": "embedding", "embedding": base64_of(row)}
        for index, row in enumerate(rows)
    ]
    count = sum(len(text.split()) for text in asked["input"])
    usage = {"prompt_tokens": count, "total_tokens": count, "completion_tokens": 0}
    return json({"object": "list", "model": asked["model"], "data": data, "usage": usage})


def base64_of(row):
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode()


def rerank(asked):
    if "query" not in asked:
        return refuse(400, "Bad Request", "Field required: query")
    wanted = set(asked["query"].split())
    rows = [
        {"index": index, "document": {"text": text}, "relevance_score": score(wanted, text)}
        for index, text in enumerate(asked["documents"])
    ]
    rows.sort(key=lambda row: -row["relevance_score"])
    best = rows[: asked.get("top_n") or None]
    usage = {"prompt_tokens": len(rows), "total_tokens": len(rows)}
    return json({"id": "score-1", "model": asked["model"], "results": best, "usage": usage})


def score(wanted, text):
    return len(wanted & set(text.split())) / len(wanted)


def tokenize(asked):
    ids = list(asked["prompt"].encode())
    return json({"count": len(ids), "max_model_len": CONTEXT, "tokens": ids, "token_strs": None})


def detokenize(asked):
    return json({"prompt": bytes(asked["tokens"]).decode()})


def transcription(asked):
    """The text of a WAV file whose samples hold it, one byte each."""
    form = form_of(asked)
    text = text_of_wav(form["file"][0])
    if form["response_format"] == ["verbose_json"]:
        segment = {"id": 0, "start": 0.0, "end": 1.5, "text": f" {text}", "tokens": [1]}
        facts = {"duration": "1.5", "language": "en", "segments": [segment], "words": None}
        return json({"text": text, "usage": SECONDS, **facts})
    if form.get("stream") != ["true"]:
        return json({"text": text, "usage": SECONDS})
    pieces = [{"delta": {"content": word}} for word in re.findall(r"\s*\S+", text)]
    choices = [*pieces, {"delta": {"content": ""}, "finish_reason": "stop"}]
    chunks = [{"object": "transcription.chunk", "choices": [choice]} for choice in choices]
    usage = {"prompt_tokens": 9, "completion_tokens": len(pieces), "total_tokens": 9 + len(pieces)}
    return sse([*chunks, {"object": "transcription.chunk", "choices": [], "usage": usage}])


def form_of(asked):
    """The fields of a form, a list for each name; files are their content."""
    head = b"content-type: " + asked.headers["content-type"].encode() + b"\r\n\r\n"
    fields = {}
    for part in email.message_from_bytes(head + asked.body).get_payload():
        content = part.get_payload(decode=True)
        name = part.get_param("name", header="content-disposition")
        fields.setdefault(name, []).append(content if part.get_filename() else content.decode())
    return fields


def text_of_wav(data):
    with wave.open(io.BytesIO(data)) as sound:
        return sound.readframes(sound.getnframes())[1::2].decode()


ROUTES = {
    "/v1/chat/completions": ("POST", chat),
    "/v1/embeddings": ("POST", embed),
    "/v1/rerank": ("POST", rerank),
    "/v1/audio/transcriptions": ("POST", transcription),
    "/v1/audio/translations": ("POST", transcription),
    "/tokenize": ("POST", tokenize),
    "/detokenize": ("POST", detokenize),
    "/version": ("GET", lambda _: json({"version": "0.32.0"})),
}
