"""``<think>`` in a model's text: what stands between the tags becomes reasoning.

The tags, and the blanks behind them, are in neither. By default only a block at the very start of
an answer counts, so that an answer may speak of ``<think>``. A tag that only begins before the end
is text; a block that is never closed is reasoning to the end.

>>> ThinkFilter(ThinkTags()).feed([Text("<think>Hm.</think> Yes.")])
[Reasoning(reasoning_content='Hm.', choice=0, provider_options=None), \
Text(content='Yes.', choice=0, logprobs=None, provider_options=None)]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

import attrs

from multitap.capabilities.chat import ThinkTags
from multitap.events import Event, Reasoning, Stop, Text
from multitap.filters.choices import ByChoice
from multitap.filters.held import Held
from multitap.filters.markers import BEGINNING, markers

__all__ = ("ThinkFilter",)

SEPARATOR = "\n"
_Place = Literal["beginning", "text", "thinking"]


class ThinkFilter(ByChoice):
    """Tells thinking from text, in each choice apart.

    A token's probability stays with its text; those of the thinking and of the tags are dropped,
    for reasoning has none.
    """

    def __init__(self, tags: ThinkTags) -> None:
        patterns = _patterns(tags)
        super().__init__(lambda choice: _Answer(choice, tags, patterns))


@attrs.frozen
class _Patterns:
    beginning: re.Pattern[str]
    outside: re.Pattern[str]
    inside: re.Pattern[str]


@lru_cache(maxsize=64)
def _patterns(tags: ThinkTags) -> _Patterns:
    return _Patterns(
        beginning=markers(BEGINNING, open=tags.open, close=tags.close),
        outside=markers(open=tags.open, close=tags.close),
        inside=markers(close=tags.close),
    )


class _Answer:
    """The state of one choice."""

    def __init__(self, choice: int, tags: ThinkTags, patterns: _Patterns) -> None:
        self.over = False
        self._choice = choice
        self._patterns = patterns
        self._anywhere = tags.anywhere
        self._untagged: _Place = "thinking" if tags.opened else "text"
        self._held = Held()
        self._place: _Place = "beginning"
        self._after_tag = tags.opened
        self._said: set[_Place] = set()
        self._resumed = False

    def read(self, event: Text, /) -> Sequence[Event]:
        """The thoughts and texts that are certain."""
        if self._is_plain(event):
            return _thoughts([event]) if self._place == "thinking" else [event]
        self._held.add(event)
        given: list[Event] = []
        while self._step(given):
            pass
        return given

    def flush(self) -> Sequence[Event]:
        """What is held is no tag."""
        given: list[Event] = []
        if self._place == "beginning" and self._held.text.strip():
            self._enter(self._untagged)
        self._give(len(self._held.text), given)
        return given

    def stopped(self, event: Stop, /) -> Stop:
        """The end is as it was."""
        return event

    def _is_plain(self, event: Text) -> bool:
        """Most pieces are: nothing waits, and no tag may begin in them."""
        if self._place == "beginning" or self._held.text or self._after_tag or self._resumed:
            return False
        return self._pattern().search(event.content) is None

    def _step(self, given: list[Event]) -> bool:
        """Give what is certain up to the next tag; is there more to do behind it?"""
        if self._place == "beginning":
            return self._begin()
        found = None if self._is_rest() else self._pattern().search(self._held.text)
        if found is None:
            self._give(len(self._held.text), given)
            return False
        self._give(found.start(), given)
        return self._pass_tag(found.lastgroup, found.end() - found.start())

    def _is_rest(self) -> bool:
        return self._place == "text" and not self._anywhere

    def _pattern(self) -> re.Pattern[str]:
        return self._patterns.inside if self._place == "thinking" else self._patterns.outside

    def _begin(self) -> bool:
        found = self._patterns.beginning.match(self._held.text)
        if found is None:
            self._enter(self._untagged)
            return True
        return self._pass_tag(found.lastgroup, found.end())

    def _pass_tag(self, tag: str | None, size: int) -> bool:
        if tag is None:
            return False
        self._held.take(size)
        self._enter("thinking" if tag == "open" else "text")
        self._after_tag = True
        return bool(self._held.text)

    def _enter(self, place: _Place) -> None:
        if place != self._place:
            self._resumed = place in self._said
            self._place = place

    def _give(self, size: int, given: list[Event]) -> None:
        """The first characters, as what they are; blanks behind a tag are left out."""
        if self._after_tag:
            blanks = size - len(self._held.text[:size].lstrip())
            self._held.take(blanks)
            size -= blanks
            if not size:
                return
            self._after_tag = False
        pieces = self._held.take(size)
        if size and self._resumed:
            pieces.insert(0, Text(SEPARATOR, self._choice))
        if size:
            self._said.add(self._place)
            self._resumed = False
            self.over = self._is_rest()
        given += _thoughts(pieces) if self._place == "thinking" else pieces


def _thoughts(pieces: Iterable[Text]) -> list[Event]:
    return [Reasoning(p.content, p.choice, p.provider_options) for p in pieces if p.content]
