"""A server that streams precomputed answers in OpenAI's shape; it is run as a process of its own.

The model's name says what is wanted: ``burst-20000`` is as many tokens as fast as the client reads,
``paced-2000`` the same with one write for each token, 2,500 of them a second.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator

TOKENS_PER_SECOND = 2500
WORDS = ("Why", " is", " the", " sky", " blue", "?", " \u2013", " It", "'s", ' "Rayleigh"', "\n")
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_REQUEST = re.compile(rb'"model": ?"(burst|paced)-(\d+)"')


def events(tokens: int) -> Iterator[bytes]:
    """The events of one answer, in the shape and size of vLLM's."""
    facts = {
        "id": "chatcmpl-0123456789abcdef0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": "meta-llama/Llama-3.2-1B-Instruct",
    }
    yield _event({**facts, "choices": [_choice({"role": "assistant", "content": ""})]})
    for number in range(tokens):
        delta = {"content": WORDS[number % len(WORDS)]}
        yield _event({**facts, "choices": [_choice(delta)]})
    yield _event({**facts, "choices": [{**_choice({}), "finish_reason": "stop"}]})
    usage = {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": tokens + 5}
    yield _event({**facts, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _choice(delta: dict[str, str]) -> dict[str, object]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}


def _event(value: object) -> bytes:
    return b"data: %s\n\n" % json.dumps(value, separators=(",", ":")).encode()


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(event), event)


class Answers:
    """What to send, made once for each length."""

    def __init__(self) -> None:
        self._known: dict[int, list[bytes]] = {}
        self._whole: dict[int, bytes] = {}

    def burst(self, client: socket.socket, tokens: int) -> None:
        if tokens not in self._whole:
            self._whole[tokens] = b"".join(self._chunks(tokens))
        client.sendall(HEAD)
        client.sendall(self._whole[tokens])

    def paced(self, client: socket.socket, tokens: int) -> None:
        client.sendall(HEAD)
        start = time.perf_counter()
        for number, chunk in enumerate(self._chunks(tokens)):
            time.sleep(max(0.0, start + number / TOKENS_PER_SECOND - time.perf_counter()))
            client.sendall(chunk)

    def _chunks(self, tokens: int) -> list[bytes]:
        if tokens not in self._known:
            self._known[tokens] = [*map(_chunk, events(tokens)), b"0\r\n\r\n"]
        return self._known[tokens]


def serve_client(client: socket.socket, answers: Answers) -> None:
    """Answer one request after another until the client goes."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = b""
    with client:
        while data := client.recv(65536):
            received += data
            wanted = _REQUEST.search(received)
            if wanted and received.rstrip().endswith(b"}"):
                received = b""
                getattr(answers, wanted[1].decode())(client, int(wanted[2]))


def main() -> None:
    """Print the port, then serve until the process is ended."""
    answers = Answers()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve_client, args=(client, answers), daemon=True).start()


if __name__ == "__main__":
    main()
