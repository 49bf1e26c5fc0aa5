"""Chat without a server: says in this process what it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from multitap.capabilities.chat import ChatRequest
from multitap.events import Event, Stop, Text
from multitap.hookspecs import Backend
from multitap.work import Emit, LocalExchange


class LampChat:
    """Stateless; one for each backend."""

    options = frozenset({"max_tokens"})

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def chat(self, request: ChatRequest, /) -> LocalExchange[Event]:
        return LocalExchange(lambda emit: self.give(emit, self.events(request)))

    def events(self, request: ChatRequest) -> Iterator[Event]:
        words = request.messages[-1].text.split(" ")
        kept = words if request.max_tokens is None else words[: request.max_tokens]
        for number, word in enumerate(kept):
            yield Text(f" {word}" if number else word or " ")
        yield Stop("complete" if len(kept) == len(words) else "max_tokens")

    def give(self, emit: Emit[Event], events: Iterable[Any]) -> None:
        for event in events:
            if not emit([event]):
                return
