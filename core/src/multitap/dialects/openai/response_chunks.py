"""What stands in an event of a stream of ``/v1/responses``, or in a whole response."""

from __future__ import annotations

from typing import Any

import msgspec

from multitap.dialects.counts import count
from multitap.dialects.openai.chunks import Logprob
from multitap.events import Usage

__all__ = ("Item", "Response", "ResponseChunk", "read_response_usage")


class Part(msgspec.Struct, gc=False):
    """A part of a message, or of what the model thought."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    logprobs: list[Logprob] | None = None


class Item(msgspec.Struct, gc=False):
    """A message, a thought, a call of a function, or a picture."""

    type: str | None = None
    id: str | None = None
    status: str | None = None
    content: list[Part] | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None
    result: str | None = None
    output_format: str | None = None


class InputDetails(msgspec.Struct, gc=False):
    """Where the prompt's tokens came from."""

    cached_tokens: Any = None
    cache_write_tokens: Any = None


class OutputDetails(msgspec.Struct, gc=False):
    """What the answer's tokens were."""

    reasoning_tokens: Any = None


class ResponseUsage(msgspec.Struct, gc=False):
    """``usage`` of a response; a count may be whatever a server says."""

    input_tokens: Any = None
    output_tokens: Any = None
    total_tokens: Any = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class Incomplete(msgspec.Struct, gc=False):
    """Why a response is not complete."""

    reason: str | None = None


class Response(msgspec.Struct, gc=False):
    """A response: the last one of a stream, or a whole body."""

    status: str | None = None
    output: list[Item] | None = None
    usage: ResponseUsage | None = None
    error: Any = None
    incomplete_details: Incomplete | None = None


class ResponseChunk(Response, gc=False):
    """An event of a stream, a whole body, or an error in the place of either."""

    type: str | None = None
    output_index: int | None = None
    summary_index: int | None = None
    delta: Any = None
    text: Any = None
    arguments: Any = None
    logprobs: list[Logprob] | None = None
    item: Item | None = None
    response: Response | None = None
    code: Any = None
    message: Any = None


def read_response_usage(facts: ResponseUsage) -> Usage:
    """Usage in our words; what the server does not say, and what cannot be, is unknown.

    >>> read_response_usage(ResponseUsage(input_tokens=3, output_tokens=4)).total_tokens
    7
    """
    read = facts.input_tokens_details or InputDetails()
    written = facts.output_tokens_details or OutputDetails()
    return Usage.reported(
        count(facts.input_tokens),
        count(facts.output_tokens),
        total_tokens=count(facts.total_tokens),
        cached_tokens=count(read.cached_tokens),
        cache_write_tokens=count(read.cache_write_tokens),
        reasoning_tokens=count(written.reasoning_tokens),
    )
