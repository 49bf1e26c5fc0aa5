"""A prompt that is too long, made to fit: ``shift`` drops old turns, ``truncate`` cuts long texts.

Pure, and the same for every backend whose server does neither. Tokens are estimated, four bytes
each, until a server says how many they really are. Where both are asked for, turns are dropped
first, and what has to stay is cut only if it still does not fit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import compress
from typing import TypeVar

import attrs

from multitap.capabilities.chat import ChatRequest, TextTools
from multitap.errors import ContextOverflow
from multitap.events import Notice
from multitap.messages import Message
from multitap.shortening import BYTES_OF_A_TOKEN, Fitted, fit_messages, size_of_messages
from multitap.text_tools import told_in_words, tools_as_text

__all__ = ("Fitting", "estimate_tokens", "size_of")

T = TypeVar("T")

CERTAIN = 2
"""A prompt is surely too long where the estimate says so so many times over."""
MARGIN = 0.95
"""Of a limit that a server has told: no part of a prompt has just the length of the average."""


def estimate_tokens(request: ChatRequest, words: TextTools | None = None) -> int:
    """About how many tokens a prompt has: texts, calls and their results, tools and media."""
    return -(-size_of(request, words) // BYTES_OF_A_TOKEN)


def size_of(request: ChatRequest, words: TextTools | None = None) -> int:
    """The length of a prompt in bytes, its tools included.

    Args:
        words: How tools, and what was called before, are put into words; ``None``: they are not.
    """
    if words is not None:
        return size_of_messages(tools_as_text(request, words).messages)
    forms = (json.dumps(t.to_dict(), ensure_ascii=False, default=str) for t in request.tools)
    tools = sum(len(form.encode("utf-8", "replace")) for form in forms)
    return size_of_messages(request.messages) + tools


@attrs.frozen
class _Bound:
    """Most tokens of a prompt, what may be done to keep it, and whose it is."""

    tokens: int
    ways: frozenset[str]
    whose: str


@attrs.define(kw_only=True, eq=False)
class Fitting:
    """What is known of the longest prompt that a call can have, and how to keep to it.

    Attributes:
        backend: The backend's id.
        max_input_tokens: The section's limit; the core alone knows it, so it is always kept here.
        context_length: The model's, as its catalog says.
        native: Which of ``shift`` and ``truncate`` the backend does itself.
        words: How tools are put into words; ``None``: they have fields of their own.
    """

    request: ChatRequest
    backend: str
    max_input_tokens: int | None = None
    context_length: int | None = None
    native: frozenset[str] = frozenset()
    words: TextTools | None = None

    def fitted(self) -> tuple[ChatRequest, list[Notice]]:
        """The request to send, and a warning of each thing that was done to it.

        Raises:
            ContextOverflow: It is too long, as far as that can be known before it is sent.
        """
        if self.max_input_tokens is None and self.context_length is None:
            return self.request, []
        bound = min(self._bounds(), key=lambda known: known.tokens, default=None)
        if bound is None or self._tokens(self.request) <= bound.tokens:
            return self.request, []
        found = self._within(bound, BYTES_OF_A_TOKEN)
        if found is None:
            raise self._overflow(bound)
        return self._with(self.request, found, bound.tokens)

    def again(
        self, sent: ChatRequest, error: ContextOverflow
    ) -> tuple[ChatRequest, list[Notice]] | None:
        """A shorter request in place of one that a server has measured; ``None``: there is none."""
        if not self._own or not error.limit:
            return None
        ratio = (
            size_of(sent, self.words) / error.needed * MARGIN if error.needed else BYTES_OF_A_TOKEN
        )
        bound = _Bound(self._without_answer(error.limit), self._own, "the server's")
        found = self._within(bound, ratio)
        if found is None or found.messages == sent.messages:
            return None
        return self._with(sent, found, bound.tokens)

    def shorter(
        self, sent: ChatRequest, ask: Callable[[ChatRequest], T]
    ) -> Callable[[ContextOverflow], tuple[T, list[Notice]] | None] | None:
        """What to do when a server refuses the length of what was sent: ask for less, and say so.

        ``None``: nothing, for nobody asked for that, or the backend does it itself.
        """

        if not (self.request.shift or self.request.truncate) or not self._own:
            return None

        def asked_again(error: ContextOverflow) -> tuple[T, list[Notice]] | None:
            found = self.again(sent, error)
            return None if found is None else (ask(found[0]), found[1])

        return asked_again

    @property
    def _asked(self) -> frozenset[str]:
        asked = self.request.shift, self.request.truncate
        return frozenset(compress(("shift", "truncate"), asked))

    @property
    def _own(self) -> frozenset[str]:
        return self._asked - self.native

    def _bounds(self) -> Iterable[_Bound]:
        if self.max_input_tokens is not None:
            whose = f"max_input_tokens is {self.max_input_tokens}"
            yield _Bound(self.max_input_tokens, self._asked, whose)
        if self.context_length is not None and (self._own or not self._asked):
            whose = f"the context of the model is {self.context_length}"
            tokens = self._without_answer(self.context_length)
            certain = self.context_length * CERTAIN
            yield _Bound(tokens if self._own else certain, self._own, whose)

    def _without_answer(self, context: int) -> int:
        """What is left of a context for the prompt: an eighth is the answer's if nobody says."""
        return context - (self.request.max_tokens or context // 8)

    def _within(self, bound: _Bound, ratio: float) -> Fitted | None:
        messages = self.request.messages
        tools = size_of(self.request, self.words) - self._size(messages)
        room = int(bound.tokens * ratio) - tools
        ways = {name: name in bound.ways for name in ("shift", "truncate")}
        return fit_messages(messages, room, **ways, size=self._size)

    def _size(self, messages: Iterable[Message]) -> int:
        return size_of_messages(told_in_words(messages) if self.words else messages)

    def _tokens(self, request: ChatRequest) -> int:
        return estimate_tokens(request, self.words)

    def _with(
        self, request: ChatRequest, found: Fitted, limit: int
    ) -> tuple[ChatRequest, list[Notice]]:
        fitting = attrs.evolve(request, messages=found.messages)
        before, after = self._tokens(self.request), self._tokens(fitting)
        why = f"the prompt had about {before} tokens, and {limit} fit."
        counts = {"dropped_messages": found.dropped, "cut_texts": found.cut}
        facts = {"multitap": {**counts, "tokens_before": before, "tokens_after": after}}
        notices = []
        if found.dropped:
            message = f"The oldest messages, {found.dropped} of them, were left out: {why}"
            notices.append(Notice("shifted", message, "shift", provider_options=facts))
        if found.cut:
            message = f"Long texts, {found.cut} of them, were cut: {why}"
            notices.append(Notice("truncated", message, "truncate", provider_options=facts))
        return fitting, notices

    def _overflow(self, bound: _Bound) -> ContextOverflow:
        needed = self._tokens(self.request)
        stays = ", and what has to stay of it is too long" if bound.ways else ""
        return ContextOverflow(
            f"The prompt has about {needed} tokens; {bound.whose}{stays}",
            limit=min(bound.tokens, self.context_length or bound.tokens),
            needed=needed,
            backend=self.backend,
            model=self.request.model,
            phase="resolve",
            hint=_next_step(bound),
        )


def _next_step(bound: _Bound) -> str:
    if "truncate" in bound.ways:
        return "Shorten the system text, the tools or max_tokens; they are not cut."
    if "shift" in bound.ways:
        return "Shorten the last message, the system text or the tools, or pass truncate=True too."
    if bound.whose.startswith("max_input_tokens"):
        return "Shorten the prompt, raise max_input_tokens in llm.toml, or pass shift=True."
    return "Shorten the prompt, use a model with a longer context, or pass shift=True."
