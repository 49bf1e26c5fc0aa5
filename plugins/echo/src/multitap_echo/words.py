"""Words: the echo's tokens, what it counts and compares."""

from __future__ import annotations

import re

from multitap.capabilities.chat import ChatRequest
from multitap.events import StopReason, Usage


def words(text: str) -> list[str]:
    """The words, each with the space around it; joined they are the text.

    >>> words(" to be ")
    [' to', ' be ']
    """
    return re.findall(r"\s*\S+(?:\s+\Z)?", text)


def vocabulary(text: str) -> set[str]:
    """The different words, in lower case and without punctuation.

    >>> sorted(vocabulary("To be, or to BE?"))
    ['be', 'or', 'to']
    """
    return set(re.findall(r"\w+", text.lower()))


def cut(text: str, size: int) -> list[str]:
    """Pieces of so many characters."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def limited(text: str, request: ChatRequest) -> tuple[str, StopReason]:
    """The text as far as ``stop`` and ``max_tokens`` let it go, and why it ends there."""
    reason: StopReason = "complete"
    ends = [text.find(stop) for stop in request.stop if stop and stop in text]
    if ends:
        text, reason = text[: min(ends)], "stop_sequence"
    if request.max_tokens is not None and 0 <= request.max_tokens < len(words(text)):
        text, reason = "".join(words(text)[: request.max_tokens]), "max_tokens"
    return text, reason


def usage(request: ChatRequest, text: str, thought: str) -> Usage:
    """What the answer cost, in words; thoughts count as output."""
    heard = sum(len(words(message.text)) for message in request.messages)
    thinking = request.n * len(words(thought))
    said = request.n * len(words(text))
    return Usage.reported(heard, said + thinking, reasoning_tokens=thinking)
