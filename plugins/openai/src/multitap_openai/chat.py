"""Chat over ``/v1/chat/completions`` or ``/v1/responses``, by the profile of the model.

What the dialect does not know: the conversation of a ``CacheHint`` becomes a ``prompt_cache_key``,
so that OpenAI sends its turns to where their beginning is cached; and ``extra_body`` is laid into
the request, for fields of other servers.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from hashlib import sha256
from typing import Any

import attrs

from multitap.capabilities.chat import CacheHint, ChatRequest
from multitap.dialects.openai.completions import ChatCompletions
from multitap.dialects.openai.profile import FIELDS
from multitap.dialects.openai.responses import RESPONSE_FIELDS, Responses
from multitap.events import Event
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange
from multitap_openai.errors import explain
from multitap_openai.profiles import profile_of
from multitap_openai.server import Server

__all__ = ("OpenAIChat", "multitap_chat")

SHORT = 3600.0  # seconds; in memory a prompt is kept for at most an hour


@attrs.frozen
class OpenAIChat:
    """Chats with the models of one server."""

    server: Server

    @property
    def options(self) -> Collection[str]:
        """What reaches some model; where this one does not take it, a notice says so."""
        fields = RESPONSE_FIELDS if self.server.responds else FIELDS
        return frozenset({*fields, "cache", "think", "tool_choice"})

    def chat(self, request: ChatRequest, /) -> Exchange[Event]:
        """One request."""
        found = profile_of(self.server, request.model, request.think)
        profile = attrs.evolve(found, cache=partial(self._cached, request.model))
        api = Responses if self.server.responds else ChatCompletions
        model = api(self.server.backend, profile, explain=explain, headers=self.server.headers)
        return model.chat(attrs.evolve(request, extra=self._extra(request)))

    def _extra(self, request: ChatRequest) -> dict[str, Any]:
        extra = dict(request.extra)
        return {**extra.pop("extra_body", {}), **extra}

    def _cached(self, model: str, hint: CacheHint) -> dict[str, Any]:
        """The key is of this backend, this model and this conversation alone."""
        told: dict[str, Any] = {}
        if hint.conversation is not None:
            said = f"{self.server.backend.id}:{model}:{hint.conversation}"
            told["prompt_cache_key"] = f"multitap:{sha256(said.encode()).hexdigest()[:20]}"
        if hint.ttl is not None and hint.ttl > SHORT:
            told["prompt_cache_retention"] = "24h"
        return told


@hookimpl
def multitap_chat(backend: Backend) -> OpenAIChat:
    """Chat with OpenAI, or a server that speaks its API."""
    return OpenAIChat(Server.of(backend))
