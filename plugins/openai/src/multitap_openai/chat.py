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

from multitap.capabilities.chat import CacheHint, ChatRequest, ThinkLevel
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

MOST_MODELS = 64
SHORT = 3600.0  # seconds; in memory a prompt is kept for at most an hour

_OPTIONS = frozenset({*FIELDS, "cache", "think", "tool_choice"})
_RESPONSE_OPTIONS = frozenset({*RESPONSE_FIELDS, "cache", "think", "tool_choice"})


def _options_of(chat: OpenAIChat) -> Collection[str]:
    return _RESPONSE_OPTIONS if chat.server.responds else _OPTIONS


@attrs.frozen
class OpenAIChat:
    """Chats with the models of one server.

    ``options`` are what reaches some model; where this one does not take it, a notice says so.
    """

    server: Server
    options: Collection[str] = attrs.field(
        default=attrs.Factory(_options_of, takes_self=True), init=False, eq=False, repr=False
    )
    _models: dict[tuple[str, ThinkLevel | None], ChatCompletions | Responses] = attrs.field(
        factory=dict, init=False, eq=False, repr=False
    )

    def chat(self, request: ChatRequest, /) -> Exchange[Event]:
        """One request."""
        model = self._models.get((request.model, request.think))
        if model is None:
            model = self._model(request.model, request.think)
        if "extra_body" in request.extra:
            request = attrs.evolve(request, extra=self._extra(request))
        return model.chat(request)

    def _model(self, name: str, think: ThinkLevel | None) -> ChatCompletions | Responses:
        """What asks a model, made once and kept."""
        profile = profile_of(self.server, name, think)
        profile = attrs.evolve(profile, cache=partial(self._cached, name))
        api = Responses if self.server.responds else ChatCompletions
        model = api(self.server.backend, profile, explain=explain, headers=self.server.headers)
        if len(self._models) >= MOST_MODELS:
            self._models.clear()
        self._models[name, think] = model
        return model

    def _extra(self, request: ChatRequest) -> dict[str, Any]:
        extra = dict(request.extra)
        return {**extra.pop("extra_body"), **extra}

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
