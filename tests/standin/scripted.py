"""What the scripted server is told to answer."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

CEILING = 20.0  # seconds that anything may take before a test is called stuck


class Hold:
    """A place in a stream where the server waits for the test, or for the client to leave."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._ours, self._tests = socket.socketpair()

    def release(self) -> None:
        """Let the stream go on."""
        self._tests.send(b"!")

    def wait(self, client: socket.socket) -> None:
        """Return once released; ``ConnectionError``: the client has gone."""
        self.reached.set()
        ready, _, _ = select.select([self._ours, client], [], [], CEILING)
        assert ready, "nobody released the stream, and the client stays"
        if self._ours not in ready:
            raise ConnectionError("the client closed")

    def close(self) -> None:
        self._ours.close()
        self._tests.close()


@dataclass(frozen=True)
class Answer:
    """One answer of the model; ``calls`` are ids, names and arguments as text."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str, str], ...] = ()
    finish: str = "stop"
    hold: Hold | None = None

    def pieces(self) -> Iterator[dict[str, Any]]:
        """The deltas of a stream: a word each, and a call in two."""
        yield {"role": "assistant", "content": ""}
        for name, text in (("reasoning_content", self.reasoning), ("content", self.text)):
            for place, word in enumerate(text.split(" ") if text else ()):
                yield {name: f" {word}" if place else word}
        for index, (id_, name, arguments) in enumerate(self.calls):
            function = {"name": name, "arguments": ""}
            head = {"index": index, "id": id_, "type": "function", "function": function}
            yield {"tool_calls": [head]}
            yield {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}

    def message(self) -> dict[str, Any]:
        """The same in one message."""
        found: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self.reasoning:
            found["reasoning_content"] = self.reasoning
        if self.calls:
            found["tool_calls"] = [
                {"id": id_, "type": "function", "function": {"name": name, "arguments": text}}
                for id_, name, text in self.calls
            ]
        return found


@dataclass(frozen=True)
class Refusal:
    """An answer with an error's status and OpenAI's error object."""

    status: int
    message: str
    type: str = "invalid_request_error"
    headers: dict[str, str] = field(default_factory=dict)
