"""A filter: swaps words of the answer, however the text comes in pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from multitap.events import Event, Text
from multitap.extensions import CallInfo
from multitap.hookspecs import hookimpl

WORDS = {"colour": "color", "colours": "paint", "grey": "gray"}


class Swap:
    """Holds the end of a text back as long as it may be the beginning of a word.

    Args:
        words: What to put in the place of what; where several begin, the longest counts.
    """

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = dict(sorted(words.items(), key=lambda pair: -len(pair[0])))
        self._held: dict[int, str] = {}

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events with what is certain of their texts; logprobs are left alone."""
        given: list[Event] = []
        for event in events:
            if isinstance(event, Text) and event.logprobs is None:
                text = self._held.pop(event.choice, "") + event.content
                said, self._held[event.choice] = self._swapped(text, over=False)
                given += [Text(said, event.choice)] if said else []
            else:
                given += [*self.finish(), event]
        return given

    def finish(self) -> Sequence[Event]:
        """What was held back."""
        held, self._held = self._held, {}
        rest = {choice: self._swapped(text, over=True)[0] for choice, text in held.items()}
        return [Text(text, choice) for choice, text in sorted(rest.items()) if text]

    def _swapped(self, text: str, *, over: bool) -> tuple[str, str]:
        """What is certain, and what may still become a word."""
        said, place = "", 0
        while place < len(text):
            rest = text[place:]
            if not over and any(w != rest and w.startswith(rest) for w in self._words):
                return said, rest
            word = next((word for word in self._words if rest.startswith(word)), "")
            said += self._words[word] if word else rest[0]
            place += len(word) or 1
        return said, ""


@hookimpl
def multitap_filter(call: CallInfo) -> Swap | None:
    """Swap words, unless the application says ``metadata={"as_it_is": True}``."""
    return None if (call.metadata or {}).get("as_it_is") else Swap(WORDS)
