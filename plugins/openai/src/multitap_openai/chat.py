"""Chat over ``/v1/chat/completions`` or ``/v1/responses``, by the profile of the model.

What the dialect does not know: ``conversation`` among the options becomes a ``prompt_cache_key``,
so that OpenAI sends the turns of one conversation to where their beginning is cached; and
``extra_body`` is laid into the request, for fields of other servers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

import attrs

from multitap.capabilities.chat import ChatRequest
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


@attrs.frozen
class OpenAIChat:
    """Chats with the models of one server."""

    server: Server

    @property
    def options(self) -> Collection[str]:
        """What reaches some model; where this one does not take it, a notice says so."""
        fields = RESPONSE_FIELDS if self.server.responds else FIELDS
        return frozenset({*fields, "think", "tool_choice"})

    def chat(self, request: ChatRequest, /) -> Exchange[Event]:
        """One request."""
        profile = profile_of(self.server, request.model, request.think)
        api = Responses if self.server.responds else ChatCompletions
        model = api(self.server.backend, profile, explain=explain, headers=self.server.headers)
        return model.chat(attrs.evolve(request, extra=self._extra(request)))

    def _extra(self, request: ChatRequest) -> dict[str, Any]:
        extra = dict(request.extra)
        conversation = extra.pop("conversation", None)
        if conversation is not None:
            extra.setdefault("prompt_cache_key", self._cache_key(request.model, conversation))
        return {**extra.pop("extra_body", {}), **extra}

    def _cache_key(self, model: str, conversation: str) -> str:
        said = f"{self.server.backend.id}:{model}:{conversation}"
        return f"multitap:{hashlib.sha256(said.encode()).hexdigest()[:20]}"


@hookimpl
def multitap_chat(backend: Backend) -> OpenAIChat:
    """Chat with OpenAI, or a server that speaks its API."""
    return OpenAIChat(Server.of(backend))
