"""Sinks: who would rather be called than iterate is given the events of a stream one by one.

``stream.into(sink)`` reads a stream to its end; what a sink raises ends the call, and is raised as
it is.

>>> sink = CollectingSink()
>>> for call, value in deliveries(sink, Text("Hi")):
...     call(value)
>>> sink.texts
['Hi']
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol, Union

from multitap.events import Event, Loading, Notice, RateLimit, Text

__all__ = ("AsyncStreamSink", "CollectingSink", "NullSink", "StreamSink", "deliveries")


class StreamSink(Protocol):
    """What is called while an answer comes; subclass ``NullSink`` for some of it."""

    def on_status(self, status: str, /) -> None:
        """Something to tell a person: a model is being loaded, an option is not honoured."""
        ...

    def on_text(self, text: str, /) -> None:
        """A piece of the answer (of the first, where ``n`` is more than one)."""
        ...

    def on_event(self, event: Event, /) -> None:
        """Every event, before what else is called for it."""
        ...

    def on_complete(self, text: str, /) -> None:
        """The whole text, once; not where the call failed or was closed."""
        ...


class AsyncStreamSink(Protocol):
    """``StreamSink`` with ``await``."""

    async def on_status(self, status: str, /) -> None:
        """Something to tell a person."""
        ...

    async def on_text(self, text: str, /) -> None:
        """A piece of the answer."""
        ...

    async def on_event(self, event: Event, /) -> None:
        """Every event, before what else is called for it."""
        ...

    async def on_complete(self, text: str, /) -> None:
        """The whole text, once; not where the call failed or was closed."""
        ...


class NullSink:
    """Does nothing."""

    def on_status(self, status: str, /) -> None:
        """Nothing."""

    def on_text(self, text: str, /) -> None:
        """Nothing."""

    def on_event(self, event: Event, /) -> None:
        """Nothing."""

    def on_complete(self, text: str, /) -> None:
        """Nothing."""


class CollectingSink:
    """Keeps everything; ``text`` is ``None`` until the answer is complete."""

    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.texts: list[str] = []
        self.events: list[Event] = []
        self.text: str | None = None

    def on_status(self, status: str, /) -> None:
        """Keep it."""
        self.statuses.append(status)

    def on_text(self, text: str, /) -> None:
        """Keep it."""
        self.texts.append(text)

    def on_event(self, event: Event, /) -> None:
        """Keep it."""
        self.events.append(event)

    def on_complete(self, text: str, /) -> None:
        """Keep it."""
        self.text = text


Deliveries = Iterator[tuple[Callable[[Any], Union[Awaitable[None], None]], object]]


def deliveries(sink: StreamSink | AsyncStreamSink, event: Event) -> Deliveries:
    """What to call for an event, and with what."""
    yield sink.on_event, event
    if isinstance(event, Text):
        if not event.choice:
            yield sink.on_text, event.content
    elif isinstance(event, Loading):
        yield sink.on_status, event.status
    elif isinstance(event, Notice):
        yield sink.on_status, event.message
    elif isinstance(event, RateLimit):
        yield sink.on_status, "waiting for the backend's rate limit"
