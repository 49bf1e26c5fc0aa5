"""What the stand-in server is told to answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from multitap.testing import Gate


@dataclass(frozen=True)
class Hold:
    """A place in a stream where the server waits for the test."""

    reached: Gate = field(default_factory=Gate)
    released: Gate = field(default_factory=Gate)


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
