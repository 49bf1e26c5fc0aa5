"""Chat over ``/v1/chat/completions``.

A whole answer is asked for as a stream too, with the progress of the prompt: only that ends at once
when nobody waits for it any more. Of an unstreamed request, or while it reads a prompt in silence,
llama-server goes on to the end although the connection is closed.

The name of a tool that must be called is ignored by it, so that tool alone is sent, and a call is
required. Log probabilities beside tools are refused in a stream. Arguments of an earlier call that
are no JSON are wrapped, because it reads them. LoRA adapters that are named are looked up first: a
request wants their numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, ClassVar

import attrs
import msgspec

from multitap.capabilities.chat import ChatRequest
from multitap.dialects.openai.chat import ChatChunk, ChatRecords, PlainChunk
from multitap.dialects.openai.completions import ChatCompletions
from multitap.dialects.openai.profile import Profile
from multitap.events import Event, Loading
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange, Operation, Steps
from multitap_llamaserver.adapters import adapters_of, scales
from multitap_llamaserver.errors import explain_llamaserver

__all__ = ("PROFILE", "LlamaServerChat", "PromptRecords", "multitap_chat")

SILENCE = 360.0  # seconds; a router says nothing while it loads the model

PROFILE = Profile(
    provider="llamaserver",
    think={
        "off": {"chat_template_kwargs": {"enable_thinking": False}},
        **{
            level: {"chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": level}}
            for level in ("low", "medium", "high")
        },
    },
    tool_choices=frozenset({"auto", "none", "required"}),
    audio=frozenset({"wav", "mp3"}),
    always_streams=True,
    logprobs_with_tools=False,
    parses_arguments=True,
    cache=lambda hint: {"cache_prompt": hint.keep},
    base={"return_progress": True},
    first_byte=SILENCE,
)


class PromptProgress(msgspec.Struct, gc=False):
    """How much of the prompt is read; ``cache`` of it need not be."""

    total: int | None = None
    processed: int | None = None


class Chunk(ChatChunk, gc=False):
    """A chunk, with what llama-server's have besides."""

    prompt_progress: PromptProgress | None = None
    timings: Any = None


class PlainPart(PlainChunk, gc=False):
    """A chunk with text alone."""

    prompt_progress: None = None
    timings: None = None


class PromptRecords(ChatRecords):
    """Tells of the prompt as well, where it is read in several steps, and of the time it took."""

    shape: ClassVar[type[ChatChunk]] = Chunk
    plain_shape: ClassVar[type[PlainChunk] | None] = PlainPart
    facts: ClassVar[tuple[str, ...]] = ("timings",)

    def record(self, chunk: ChatChunk, /) -> list[Event]:
        """The events of one chunk."""
        events = super().record(chunk)
        progress = chunk.prompt_progress if isinstance(chunk, Chunk) else None
        read, total = (progress.processed, progress.total) if progress else (None, None)
        if read and total and read < total:
            events.append(Loading("reading the prompt", read, total))
        return events


@attrs.frozen
class LlamaServerChat:
    """Chats with the models of one server."""

    completions: ChatCompletions

    @property
    def options(self) -> Collection[str]:
        """What reaches the model."""
        return self.completions.options

    def chat(self, request: ChatRequest, /) -> Exchange[Event] | Operation[Event]:
        """One request, after a look at the adapters where ``extra["lora"]`` names some."""
        wanted = request.extra.get("lora")
        if not isinstance(wanted, Mapping):
            return self.completions.chat(request)

        def steps() -> Steps[Event]:
            lora = scales(wanted, (yield from adapters_of(request.model)))
            extra = {**request.extra, "lora": lora}
            yield self.completions.chat(attrs.evolve(request, extra=extra))

        return Operation(steps, self.completions.explain)


@hookimpl
def multitap_chat(backend: Backend) -> LlamaServerChat:
    """Chat with a llama-server."""
    explain = partial(explain_llamaserver, backend=backend.id)
    return LlamaServerChat(ChatCompletions(backend, PROFILE, explain, PromptRecords))
