"""What stands in a chunk of a stream, or in a whole body, of chat completions."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from multitap.dialects.counts import count
from multitap.dialects.openai.tool_calls import FunctionDelta, ToolCallDelta
from multitap.events import Usage

__all__ = (
    "ChatChunk",
    "Delta",
    "Link",
    "Logprob",
    "Piece",
    "PlainChunk",
    "Sound",
    "UsageFacts",
    "read_usage",
)


class Logprob(msgspec.Struct, gc=False):
    """One token of ``logprobs.content``."""

    token: str | None = None
    logprob: float | None = None
    bytes: list[int] | None = None
    top_logprobs: list[Logprob] | None = None


class Logprobs(msgspec.Struct, gc=False):
    """``logprobs`` of a choice."""

    content: list[Logprob] | None = None


class Link(msgspec.Struct, gc=False):
    """Where a picture is; of one that the model made, the picture itself as a data URL."""

    url: str | None = None


class Piece(msgspec.Struct, gc=False):
    """A part of a content that is a list, or a picture of ``images``."""

    text: str | None = None
    thinking: str | list[Piece] | None = None
    image_url: str | Link | None = None


class Sound(msgspec.Struct, gc=False):
    """What the model says aloud: base64, and the words."""

    data: str | None = None
    transcript: str | None = None


class Delta(msgspec.Struct, gc=False):
    """What is new in a choice; of an unstreamed answer, the whole message."""

    content: str | list[Piece] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    function_call: FunctionDelta | None = None
    images: list[Piece] | None = None
    audio: Sound | None = None


class Choice(msgspec.Struct, gc=False):
    """One of the answers."""

    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    logprobs: Logprobs | None = None


class PromptDetails(msgspec.Struct, gc=False):
    """Where the prompt's tokens came from."""

    cached_tokens: Any = None
    cache_write_tokens: Any = None
    created_cache_tokens: Any = None  # another word for the same


class CompletionDetails(msgspec.Struct, gc=False):
    """What the answer's tokens were."""

    reasoning_tokens: Any = None


class UsageFacts(msgspec.Struct, gc=False):
    """``usage``, in chat completions and in embeddings; a count may be whatever a server says."""

    prompt_tokens: Any = None
    completion_tokens: Any = None
    total_tokens: Any = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class ChatChunk(msgspec.Struct, gc=False):
    """A chunk of a stream, a whole body, or an error in the place of either."""

    choices: list[Choice] | None = None
    usage: UsageFacts | None = None
    error: Any = None
    error_type: Any = None
    message: Any = None
    type: Any = None
    code: Any = None


class PlainDelta(msgspec.Struct, gc=False):
    """A piece of text, and nothing else that ``Delta`` may have."""

    content: str = ""
    reasoning_content: None = None
    reasoning: None = None
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    images: None = None
    audio: None = None


class PlainChoice(msgspec.Struct, gc=False):
    """The first choice, and nothing of it but its delta."""

    delta: PlainDelta
    index: Literal[0] = 0
    message: None = None
    finish_reason: None = None
    stop_reason: None = None
    logprobs: None = None


class PlainChunk(msgspec.Struct, gc=False):
    """What nearly every chunk of a stream is: a piece of one text; any other chunk is refused.

    Beside a subclass of ``ChatChunk`` with more fields stands one of this, where they are ``None``.
    """

    choices: tuple[PlainChoice]
    usage: None = None
    error: None = None


def read_usage(facts: UsageFacts) -> Usage:
    """Usage in our words; what the server does not say, and what cannot be, is unknown.

    >>> read_usage(UsageFacts(prompt_tokens=3, completion_tokens=4)).total_tokens
    7
    >>> read_usage(UsageFacts(prompt_tokens=3, completion_tokens=-1)).output_tokens
    """
    details: dict[str, int | None] = {}
    prompt, completion = facts.prompt_tokens_details, facts.completion_tokens_details
    if prompt is not None:
        written = count(prompt.cache_write_tokens)
        written = count(prompt.created_cache_tokens) if written is None else written
        details = {"cached_tokens": count(prompt.cached_tokens), "cache_write_tokens": written}
    if completion is not None:
        details["reasoning_tokens"] = count(completion.reasoning_tokens)
    return Usage.reported(
        count(facts.prompt_tokens),
        count(facts.completion_tokens),
        total_tokens=count(facts.total_tokens),
        **details,
    )
