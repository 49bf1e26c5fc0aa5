"""A server that gives what is written down for a call, for plugins whose backend is invented.

    with Replies({"POST /sing": [Reply('{"say": "la"}')]}) as server:
        ...
        assert server.asked[0].body == b"…"

Of several replies for one call each is given once, in order, and the last one from then on.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CEILING = 10


@dataclass(frozen=True)
class Reply:
    """What is sent back."""

    body: str | bytes = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """What came; header names are in lower case."""

    call: str
    headers: Mapping[str, str]
    body: bytes


class Replies(ThreadingHTTPServer):
    """The server; a context manager."""

    def __init__(self, replies: Mapping[str, Sequence[Reply]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.asked: list[Asked] = []
        self._replies = {call: list(known) for call, known in replies.items()}
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> Replies:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(CEILING)

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        known = self._replies.get(asked.call)
        if not known:
            return Reply(f"nothing is written down for {asked.call}", 404)
        return known.pop(0) if len(known) > 1 else known[0]


class Handler(BaseHTTPRequestHandler):
    server: Replies

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_DELETE = do_GET

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.reply(Asked(f"{self.command} {self.path}", headers, body))
        sent = reply.body.encode() if isinstance(reply.body, str) else reply.body
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(sent))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *words: object) -> None:
        """Say nothing."""
