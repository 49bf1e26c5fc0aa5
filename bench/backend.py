"""The backend on the loopback interface: OpenAI's and Ollama's answers as bytes made beforehand.

    python -m bench.backend          # prints its port, serves until it is ended

On uvloop where that is installed. It reads of a request no more than it needs.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any

from bench import answers

TOKENS_PER_SECOND = {"paced": 250, "slow": 50}
BACKLOG = 4096

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_MODEL = re.compile(rb'"model": ?"([^"]*)"')
_STREAMED = re.compile(rb'"stream": ?(true|false)')
_OPENAI = b"/v1/chat/completions"
_TYPES = {_OPENAI: b"text/event-stream; charset=utf-8", b"/api/chat": b"application/x-ndjson"}
_STAMP = answers.STAMP.encode()


class Connection(asyncio.Protocol):
    """Answers one request after another."""

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if found and len(body) >= (int(length[1]) if length else 0):
            self._received = b""
            self._answer(head.split(b" ", 2)[1], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        if path not in _TYPES:
            self._transport.write(_plain(path, body))
            return
        streamed = _STREAMED.search(body)
        if (streamed[1] == b"true") if streamed else path != _OPENAI:
            model = _MODEL.search(body)
            self._stream(path, model[1].decode() if model else "")
        else:
            self._transport.write(_short(path))

    def _stream(self, path: bytes, model: str) -> None:
        mode, _, tokens = model.partition("-")
        if mode in TOKENS_PER_SECOND:
            chunks = _chunks(path, mode, int(tokens))
            self._transport.write(_stream_head(path))
            pace = Pace if mode == "paced" else Schedule
            pace(self._transport, iter(chunks), 1 / TOKENS_PER_SECOND[mode]).step()
        else:
            self._transport.write(_whole_stream(path, int(tokens or 8)))


class Pace:
    """Writes one chunk at a time; one that is late does not bring the next one nearer."""

    def __init__(self, client: asyncio.Transport, chunks: Iterator[bytes], gap: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._client, self._chunks, self._gap = client, chunks, gap
        self._due = self._loop.time()

    def step(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is not None and not self._client.is_closing():
            self._client.write(chunk.replace(_STAMP, b"%014.6f" % time.monotonic()))
            self._due = self._next()
            self._loop.call_at(self._due, self.step)

    def _next(self) -> float:
        return max(self._due, self._loop.time()) + self._gap


class Schedule(Pace):
    """The same at set times; what is late is made up for."""

    def _next(self) -> float:
        return self._due + self._gap


# ---- bytes ---------------------------------------------------------------------------------------


@lru_cache
def _chunks(path: bytes, mode: str, tokens: int) -> list[bytes]:
    """One chunk of HTTP for each event."""
    texts = [answers.STAMP] * tokens if mode == "slow" else answers.words(tokens)
    records = answers.sse(texts) if path == _OPENAI else answers.ndjson(texts)
    return [*(b"%x\r\n%s\r\n" % (len(record), record) for record in records), b"0\r\n\r\n"]


@lru_cache
def _whole_stream(path: bytes, tokens: int) -> bytes:
    return _stream_head(path) + b"".join(_chunks(path, "burst", tokens))


@lru_cache
def _stream_head(path: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n"
        % (_TYPES[path])
    )


@lru_cache
def _short(path: bytes) -> bytes:
    made = answers.openai_chat if path == _OPENAI else answers.ollama_chat
    return _whole(made(answers.SHORT))


def _plain(path: bytes, body: bytes) -> bytes:
    """What is answered in one piece: vectors, and the list of models."""
    if path in (b"/v1/embeddings", b"/api/embed"):
        asked = json.loads(body)
        return _vectors(path, len(asked["input"]), asked.get("encoding_format", "float"))
    listed = {"object": "list", "data": [{"id": "bench", "object": "model"}], "models": []}
    return _whole(json.dumps(listed).encode())


@lru_cache
def _vectors(path: bytes, count: int, encoding: str) -> bytes:
    if path == b"/api/embed":
        return _whole(answers.ollama_vectors(count))
    return _whole(answers.openai_vectors(count, encoding))


def _whole(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


# ---- process -------------------------------------------------------------------------------------


async def serve() -> None:
    """Print the port, then serve until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    try:
        from uvloop import new_event_loop
    except ImportError:
        new_event_loop = asyncio.new_event_loop
    with suppress(KeyboardInterrupt):
        new_event_loop().run_until_complete(serve())


if __name__ == "__main__":
    main()
