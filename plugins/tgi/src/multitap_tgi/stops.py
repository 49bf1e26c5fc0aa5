"""Stop texts, which TGI leaves at the end of the answer that they ended."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from multitap.events import Event, Text

__all__ = ("StopTexts",)


class StopTexts:
    """Holds back what may be the beginning of a stop text, until it is one, or is none.

    >>> stops = StopTexts([" four"])
    >>> [event.content for event in stops.feed([Text("three"), Text(" fo")])]
    ['three']
    >>> stops.feed([Text("ur")]), stops.finish(matched=True)
    ([], [])
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held: list[Text] = []

    def feed(self, events: Sequence[Event]) -> list[Event]:
        """The events that no stop text can reach any more."""
        out: list[Event] = []
        for event in events:
            if isinstance(event, Text):
                self._held.append(event)
                out += self._release()
            else:
                out += [*self._held, event]
                self._held = []
        return out

    def finish(self, *, matched: bool) -> list[Text]:
        """What is left; ``matched``: without the stop text that it ends with."""
        text = self._text
        ends = [stop for stop in self._stops if text.endswith(stop)] if matched else []
        keep = len(text) - max(map(len, ends), default=0)
        out: list[Text] = []
        for event in self._held:
            if keep <= 0 and ends:
                break
            out.append(attrs.evolve(event, content=event.content[:keep]) if ends else event)
            keep -= len(event.content)
        self._held = []
        return out

    @property
    def _text(self) -> str:
        return "".join(event.content for event in self._held)

    def _release(self) -> list[Text]:
        """The first texts that end before any place where a stop text may have begun."""
        text, free = self._text, 0
        begins = next((at for at in range(len(text)) if self._may_begin(text[at:])), len(text))
        released: list[Text] = []
        while self._held and free + len(self._held[0].content) <= begins:
            free += len(self._held[0].content)
            released.append(self._held.pop(0))
        return released

    def _may_begin(self, tail: str) -> bool:
        return any(stop.startswith(tail) for stop in self._stops)
