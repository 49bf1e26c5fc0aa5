"""What filters of texts share: each choice is read apart, and nothing overtakes what is held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from multitap.events import Event, Failed, Stop, Text

__all__ = ("ByChoice", "Reader")

_UNTOLD = frozenset({"warning", "loading", "rate_limit"})
"""Kinds of events that say nothing of the answer: they pass what is held."""


class Reader(Protocol):
    """Reads the texts of one choice; ``over``: the rest of them is left as it is."""

    over: bool

    def read(self, event: Text, /) -> Sequence[Event]:
        """What is certain once this text is there; the rest is held."""
        ...

    def flush(self) -> Sequence[Event]:
        """All that is held: nothing comes that could change its meaning."""
        ...

    def stopped(self, event: Stop, /) -> Stop:
        """The choice's end, as this filter tells it."""
        ...


class ByChoice:
    """A stage over batches of events, with a reader for each choice.

    Args:
        make: Makes the reader of a choice.
    """

    def __init__(self, make: Callable[[int], Reader]) -> None:
        self._make = make
        self._readers: dict[int, Reader] = {}

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        """What is certain so far; of a choice in its own order."""
        given: list[Event] = []
        for event in events:
            if type(event) is not Text:
                self._pass(event, given)
                continue
            reader = self._readers.get(event.choice)
            if reader is None:
                reader = self._readers[event.choice] = self._make(event.choice)
            if reader.over:
                given.append(event)
            else:
                given += reader.read(event)
        return given

    def finish(self) -> Sequence[Event]:
        """What is held of an answer without an end."""
        return self._flushed(list(self._readers))

    def _pass(self, event: Event, given: list[Event]) -> None:
        if event.type not in _UNTOLD:
            choice = getattr(event, "choice", None)
            ends = isinstance(event, Failed) or (isinstance(event, Stop) and not event.choice)
            given += self._flushed(list(self._readers) if ends or choice is None else [choice])
        if isinstance(event, Stop) and event.choice in self._readers:
            event = self._readers[event.choice].stopped(event)
        given.append(event)

    def _flushed(self, choices: Sequence[int]) -> list[Event]:
        readers = [self._readers[choice] for choice in choices if choice in self._readers]
        return [event for reader in readers for event in reader.flush()]
