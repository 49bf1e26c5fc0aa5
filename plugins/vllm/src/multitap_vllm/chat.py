"""Chat over ``/v1/chat/completions``, streamed or not.

* A prompt that is too long is refused by vLLM itself: ``ContextOverflow``. Only
  ``truncate_prompt_tokens`` in ``extra`` makes it cut one, and then it cuts the beginning.
* vLLM queues without a bound and says nothing meanwhile, nor while it reads a long prompt or
  collects a call of a tool: a silence of ``SILENCE`` seconds means nothing.
* A connection that is closed ends the work, streamed or not.
* What a server has no ``--reasoning-parser`` or ``--tool-call-parser`` for stays in the text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from secrets import token_urlsafe
from typing import Any

import attrs

from multitap.capabilities.chat import CacheHint, ChatRequest, ThinkLevel
from multitap.dialects.openai.completions import ChatCompletions
from multitap.dialects.openai.profile import Profile
from multitap.errors import BadRequest
from multitap.events import Event
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange
from multitap_vllm.calls import SILENCE
from multitap_vllm.errors import explain_vllm
from multitap_vllm.extra import adapted, own_options
from multitap_vllm.records import VllmRecords

__all__ = ("THINK", "VllmChat", "multitap_chat")


def _level(effort: str) -> Mapping[str, Any]:
    """Templates read the one or the other; vLLM gives each only what it knows."""
    thinks = effort != "none"
    return {"reasoning_effort": effort, "chat_template_kwargs": {"enable_thinking": thinks}}


THINK: Mapping[ThinkLevel, Mapping[str, Any]] = {
    "off": _level("none"),
    "low": _level("low"),
    "medium": _level("medium"),
    "high": _level("high"),
}


def _cached(hint: CacheHint) -> Mapping[str, Any]:
    """Prompts that begin alike share a cache by themselves; a salt of its own keeps one apart."""
    told = {} if hint.conversation is None else {"session_id": hint.conversation}
    return told if hint.keep else {**told, "cache_salt": token_urlsafe()}


PROFILE = Profile(
    provider="vllm",
    cache=_cached,
    think=THINK,
    audio=frozenset({"wav", "mp3", "flac", "ogg", "m4a", "webm"}),
    first_byte=SILENCE,
    idle=SILENCE,
)


@attrs.frozen
class VllmChat:
    """Chats with the models of one server.

    Args:
        completions: The dialect's own model.
        usage_every_chunk: Whether a stream has usage from its first chunk on.
    """

    completions: ChatCompletions
    usage_every_chunk: bool = False

    @property
    def options(self) -> Collection[str]:
        """What reaches the model."""
        return self.completions.options

    def chat(self, request: ChatRequest, /) -> Exchange[Event]:
        """One request; ``extra`` takes vLLM's own fields."""
        if request.max_tokens is not None and request.max_tokens < 1:
            # left to vLLM, 0 could not be told from a prompt that fills the context
            raise BadRequest("max_tokens must be at least 1", model=request.model)
        request = adapted(request)
        extra = own_options(request, usage_every_chunk=self.usage_every_chunk)
        return self.completions.chat(attrs.evolve(request, extra=extra))


@hookimpl
def multitap_chat(backend: Backend) -> VllmChat:
    """Chat with a vLLM server."""
    completions = ChatCompletions(backend, PROFILE, explain_vllm, VllmRecords)
    return VllmChat(completions, backend.settings.get("usage_every_chunk", False))
