"""The floor: a socket that counts blank lines and makes nothing of what it reads."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from bench.clients import MESSAGES, USAGE

DISTRIBUTION = None
_END = b"\r\n0\r\n\r\n"


class Sync:
    """``tell`` is called once, with the number of events and of reads."""

    def __init__(self, origin: str) -> None:
        address = urlsplit(origin)
        self._socket = socket.create_connection((address.hostname or "", address.port or 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def stream(self, model: str, tell: Callable[[Any], object]) -> None:
        self._ask("/v1/chat/completions", _body(model))
        blank_lines, reads, last = 0, 0, b""
        while not last.endswith(_END):
            data = self._socket.recv(65536)
            reads += 1
            blank_lines += (last[-1:] + data).count(b"\n\n")
            last = data if len(data) >= len(_END) else (last + data)[-len(_END) :]
        tell((blank_lines, reads))

    def first(self, model: str, tell: Callable[[Any], object]) -> None:
        """Tell of the first read that has an event in it, then read the rest."""
        self._ask("/v1/chat/completions", _body(model))
        data = b""
        while b"\n\n" not in data:
            data += self._socket.recv(65536)
        tell(data)
        while not data.endswith(_END):
            data += self._socket.recv(65536)

    def embed(self, model: str, texts: Sequence[str]) -> None:
        """Receive base64, and leave it at that."""
        self._ask("/v1/embeddings", {"model": model, "input": texts, "encoding_format": "base64"})
        head, _, body = self._socket.recv(65536).partition(b"\r\n\r\n")
        left = int(head.rpartition(b" ")[2]) - len(body)
        while left:
            left -= len(self._socket.recv(min(left, 262144)))

    def _ask(self, path: str, value: object) -> None:
        body = json.dumps(value).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)


def _body(model: str) -> dict[str, Any]:
    return {"model": model, "messages": MESSAGES, "stream": True, "stream_options": USAGE}
