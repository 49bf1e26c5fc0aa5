"""A scripted server in OpenAI's shape on the loopback interface, for tests.

    with StandInServer(key="sesame") as server:
        server.script.append(Answer("Hello there"))
        ...
        assert len(server.requests) == 1

It has chat (streamed or not), embeddings, rerank, tokenize, detokenize and models. Without a script
it repeats the prompt. Nothing sleeps: a stream that has a ``Hold`` waits until the test releases it
or the client goes away.
"""

from __future__ import annotations

import base64
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from scripted import CEILING, Answer, Refusal


@dataclass(frozen=True)
class Request:
    """What the server was sent; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Connection:
    """One connection, and whether the client closed it."""

    requests: list[Request] = field(default_factory=list)
    closed_by_client: threading.Event = field(default_factory=threading.Event)


class StandInServer(ThreadingHTTPServer):
    """The server; a context manager."""

    daemon_threads = False

    def __init__(self, *, key: str | None = None, models: tuple[str, ...] = ("tiny",)) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.key = key
        self.models = models
        self.script: deque[Answer | Refusal] = deque()
        self.connections: list[Connection] = []
        self.faults: list[BaseException] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.stopping = False
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    @property
    def requests(self) -> list[Request]:
        """All requests, connection by connection."""
        return [request for known in self.connections for request in known.requests]

    @property
    def keys(self) -> set[str | None]:
        """The values of ``Authorization`` that were sent; ``None``: there was none."""
        return {request.headers.get("authorization") for request in self.requests}

    def __enter__(self) -> StandInServer:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.stopping = True
        self.shutdown()
        for client in tuple(self._open):
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self.server_close()
        self._thread.join(CEILING)
        if kind is None:
            assert self.faults == []

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        import sys

        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, ConnectionError):
            self.faults.append(error)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: StandInServer

    def setup(self) -> None:
        super().setup()
        self.known = Connection()
        self.server.connections.append(self.known)

    def handle(self) -> None:
        try:
            super().handle()
        finally:
            if not self.server.stopping:
                self.known.closed_by_client.set()

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._take(b"")

    def do_POST(self) -> None:
        self._take(self.rfile.read(int(self.headers["content-length"])))

    def _take(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        value = json.loads(body) if body else None
        self.known.requests.append(Request(self.command, self.path, headers, value))
        routes: dict[tuple[str, str], Callable[[Any], None]] = {
            ("GET", "/v1/models"): self._models,
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/embeddings"): self._embeddings,
            ("POST", "/v1/rerank"): self._rerank,
            ("POST", "/tokenize"): self._tokenize,
            ("POST", "/detokenize"): self._detokenize,
        }
        route = routes.get((self.command, self.path))
        if self.server.key and headers.get("authorization") != f"Bearer {self.server.key}":
            # a careless server, of which there are some, shows the key that it was sent
            given = headers.get("authorization", "none")
            self._refuse(Refusal(401, f"Invalid API key: {given}", "authentication_error"))
        elif route is None:
            self._refuse(Refusal(404, "Not Found", "not_found_error"))
        else:
            route(value)
        self.wfile.flush()

    # ---- routes ----------------------------------------------------------------------------------

    def _models(self, _: None) -> None:
        rows = [
            {"id": name, "object": "model", "max_model_len": 256} for name in self.server.models
        ]
        self._reply({"object": "list", "data": rows})

    def _chat(self, body: Any) -> None:
        if body["model"] not in self.server.models:
            message = f"The model `{body['model']}` does not exist."
            self._refuse(Refusal(404, message, "NotFoundError"))
            return
        script = self.server.script
        answer = script.popleft() if script else Answer(_text(body["messages"][-1]["content"]))
        if isinstance(answer, Refusal):
            self._refuse(answer)
        elif body.get("stream"):
            self._stream(body, answer)
        else:
            choice = {"index": 0, "message": answer.message(), "finish_reason": answer.finish}
            facts = {"id": "c1", "object": "chat.completion", "model": body["model"]}
            self._reply({**facts, "choices": [choice], "usage": _usage(body, answer)})

    def _stream(self, body: Any, answer: Answer) -> None:
        self._head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        facts = {"id": "c1", "object": "chat.completion.chunk", "model": body["model"]}
        for number, delta in enumerate(answer.pieces()):
            self._event({**facts, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            if number == 1 and answer.hold is not None:
                answer.hold.wait(self.connection)
        end = {"index": 0, "delta": {}, "finish_reason": answer.finish}
        self._event({**facts, "choices": [end]})
        if (body.get("stream_options") or {}).get("include_usage"):
            self._event({**facts, "choices": [], "usage": _usage(body, answer)})
        self._chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _embeddings(self, body: Any) -> None:
        rows = [[float(len(text)), 0.5, -1.0] for text in body["input"]]
        as_text = body.get("encoding_format") == "base64"
        data = [
            {"index": i, "object": "embedding", "embedding": _base64(row) if as_text else row}
            for i, row in enumerate(rows)
        ]
        usage = {"prompt_tokens": len(rows), "total_tokens": len(rows)}
        # the order is the server's own; ``index`` says which text is meant
        self._reply({"object": "list", "data": data[::-1], "model": body["model"], "usage": usage})

    def _rerank(self, body: Any) -> None:
        words = set(body["query"].lower().split())
        scores = [len(words & set(d.lower().split())) / len(words) for d in body["documents"]]
        rows = [{"index": i, "relevance_score": score} for i, score in enumerate(scores)]
        self._reply({"results": rows, "model": body["model"], "usage": {"total_tokens": 1}})

    def _tokenize(self, body: Any) -> None:
        self._reply({"tokens": list(body["content"].encode())})

    def _detokenize(self, body: Any) -> None:
        self._reply({"content": bytes(body["tokens"]).decode()})

    # ---- how they answer -------------------------------------------------------------------------

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _reply(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        own = {"content-type": "application/json", "content-length": str(len(data))}
        self._head(status, {**own, **(headers or {})})
        self.wfile.write(data)

    def _refuse(self, refusal: Refusal) -> None:
        error = {"message": refusal.message, "type": refusal.type, "code": refusal.status}
        self._reply({"error": error}, refusal.status, refusal.headers)

    def _event(self, value: Any) -> None:
        self._chunk(b"data: %s\n\n" % json.dumps(value).encode())

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


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
