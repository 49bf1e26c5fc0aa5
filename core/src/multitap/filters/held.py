"""Texts that wait for what comes next, with the tokens that they were made of."""

from __future__ import annotations

from collections.abc import Sequence

from multitap.events import Text, TokenLogprob

__all__ = ("Held",)


class Held:
    """The texts of one choice, in order; ``text`` is all that they say.

    >>> held = Held()
    >>> held.add(Text("Hello"))
    >>> [piece.content for piece in held.take(2)], held.text
    (['He'], 'llo')
    """

    __slots__ = ("_pieces", "text")

    def __init__(self) -> None:
        self._pieces: list[Text] = []
        self.text = ""

    def add(self, event: Text) -> None:
        """Put a text behind the others."""
        self._pieces.append(event)
        self.text += event.content

    def take(self, size: int) -> list[Text]:
        """The first ``size`` characters, in the pieces in which they came.

        A token belongs where its first character does; one that shows nothing goes with what
        follows it.
        """
        whole, left = size >= len(self.text), size
        taken: list[Text] = []
        while self._pieces and (whole or left > 0):
            piece = self._pieces.pop(0)
            if len(piece.content) > left:
                piece, rest = _cut(piece, left)
                self._pieces.insert(0, rest)
            left -= len(piece.content)
            taken.append(piece)
        self.text = self.text[size:]
        return taken


def _cut(event: Text, at: int) -> tuple[Text, Text]:
    count = _tokens_before(event.logprobs or (), event.content, at)
    before, after = (event.logprobs or ())[:count], (event.logprobs or ())[count:]
    first = Text(event.content[:at], event.choice, before or None, event.provider_options)
    return first, Text(event.content[at:], event.choice, after or None, event.provider_options)


def _tokens_before(tokens: Sequence[TokenLogprob], content: str, at: int) -> int:
    """How many of them begin before a place; all, where they do not spell the text."""
    if "".join(token.token for token in tokens) != content:
        return len(tokens)
    place = count = 0
    while count < len(tokens) and place < at:
        place += len(tokens[count].token)
        count += 1
    return count
