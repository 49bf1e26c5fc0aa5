"""A server in OpenAI's shape, for tests.

    with StandInServer(key="sesame") as server:
        server.script.append(Answer("Hello there"))
        ...
        assert len(server.requests) == 1

It has chat (streamed or not), embeddings, rerank, tokenize, detokenize and models. Without a script
it repeats the prompt. A stream that has a ``Hold`` waits until the test releases it.
"""

from __future__ import annotations

import base64
import struct
from collections import deque
from typing import Any

from scripted import Answer, Refusal

from multitap.testing import Connection, Server, Step, hold, json, repeat, request, sse, tell


class StandInServer(Server):
    """The server; a context manager."""

    def __init__(self, *, key: str | None = None, models: tuple[str, ...] = ("tiny",)) -> None:
        super().__init__(repeat(request, self._answer))
        self.key = key
        self.models = models
        self.script: deque[Answer | Refusal] = deque()

    @property
    def keys(self) -> set[str | None]:
        """The values of ``Authorization`` that were sent; ``None``: there was none."""
        return {request.headers.get("authorization") for request in self.requests}

    def _answer(self, connection: Connection) -> Step:
        asked = connection.request
        given = asked.headers.get("authorization", "none")
        if self.key and given != f"Bearer {self.key}":
            # a careless server, of which there are some, shows the key that it was sent
            return _refuse(Refusal(401, f"Invalid API key: {given}", "authentication_error"))
        routes = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/embeddings"): _embeddings,
            ("POST", "/v1/rerank"): _rerank,
            ("POST", "/tokenize"): _tokenize,
            ("POST", "/detokenize"): _detokenize,
        }
        if (asked.method, asked.path) == ("GET", "/v1/models"):
            return self._models()
        if route := routes.get((asked.method, asked.path)):
            return route(asked.json())
        return _refuse(Refusal(404, "Not Found", "not_found_error"))

    def _models(self) -> Step:
        rows = [{"id": name, "object": "model", "max_model_len": 256} for name in self.models]
        return json({"object": "list", "data": rows})

    def _chat(self, body: Any) -> Step:
        if body["model"] not in self.models:
            message = f"The model `{body['model']}` does not exist."
            return _refuse(Refusal(404, message, "NotFoundError"))
        script = self.script
        answer = script.popleft() if script else Answer(_text(body["messages"][-1]["content"]))
        if isinstance(answer, Refusal):
            return _refuse(answer)
        if body.get("stream"):
            return sse(_events(body, answer))
        choice = {"index": 0, "message": answer.message(), "finish_reason": answer.finish}
        facts = {"id": "c1", "object": "chat.completion", "model": body["model"]}
        return json({**facts, "choices": [choice], "usage": _usage(body, answer)})


def _events(body: Any, answer: Answer) -> list[Any]:
    """The chunks of a stream, and the steps of its hold."""
    facts = {"id": "c1", "object": "chat.completion.chunk", "model": body["model"]}
    deltas = [{"index": 0, "delta": d, "finish_reason": None} for d in answer.pieces()]
    events: list[Any] = [{**facts, "choices": [choice]} for choice in deltas]
    if answer.hold is not None:
        events[2:2] = [tell(answer.hold.reached), hold(answer.hold.released)]
    end = {"index": 0, "delta": {}, "finish_reason": answer.finish}
    events.append({**facts, "choices": [end]})
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append({**facts, "choices": [], "usage": _usage(body, answer)})
    return events


def _embeddings(body: Any) -> Step:
    rows = [[float(len(text)), 0.5, -1.0] for text in body["input"]]
    as_text = body.get("encoding_format") == "base64"
    data = [
        {"index": i, "object": "embedding", "embedding": _base64(row) if as_text else row}
        for i, row in enumerate(rows)
    ]
    usage = {"prompt_tokens": len(rows), "total_tokens": len(rows)}
    # the order is the server's own; ``index`` says which text is meant
    return json({"object": "list", "data": data[::-1], "model": body["model"], "usage": usage})


def _rerank(body: Any) -> Step:
    words = set(body["query"].lower().split())
    scores = [len(words & set(d.lower().split())) / len(words) for d in body["documents"]]
    rows = [{"index": i, "relevance_score": score} for i, score in enumerate(scores)]
    return json({"results": rows, "model": body["model"], "usage": {"total_tokens": 1}})


def _tokenize(body: Any) -> Step:
    return json({"tokens": list(body["content"].encode())})


def _detokenize(body: Any) -> Step:
    return json({"content": bytes(body["tokens"]).decode()})


def _refuse(refusal: Refusal) -> Step:
    error = {"message": refusal.message, "type": refusal.type, "code": refusal.status}
    return json({"error": error}, refusal.status, refusal.headers)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content if part["type"] == "text")


def _usage(body: Any, answer: Answer) -> dict[str, int]:
    prompt = sum(len(_text(m["content"] or "").split()) for m in body["messages"])
    written = len(answer.text.split())
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
    }


def _base64(row: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode()
