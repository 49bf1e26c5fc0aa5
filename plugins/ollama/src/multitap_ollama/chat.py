"""Chat over ``/api/chat``, streamed or not.

The context is handled honestly, which is not Ollama's default:

* A prompt that is too long is a ``ContextOverflow``: ``"truncate": false`` is always sent. Left
  alone, Ollama drops old turns, and cuts a single message, without a word. ``truncate=True`` and
  ``shift=True`` allow it; Ollama has one switch for both, and drops old turns first.
* An answer that outgrows the context: Ollama's default is to forget the oldest tokens and go on.
  ``"shift": false`` ends the answer instead, as ``max_tokens``. But that is a setting of loading:
  Ollama loads the model anew where another program has loaded it without, so it is sent only where
  ``num_ctx`` is set, which loads it anew as well, or where the backend has ``shift = false``.

A call that is cut inside is dropped by Ollama itself, and the answer ends as ``max_tokens``.
``<think>`` that a model writes although ``think`` is off stays in the text, as Ollama leaves it.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import attrs

from multitap.capabilities.chat import ChatRequest
from multitap.events import Event
from multitap.framing import JsonDecoder, NdjsonDecoder
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange, HttpCall, Json, Stage
from multitap_ollama.errors import explain_ollama
from multitap_ollama.lines import ChatLines, Line
from multitap_ollama.requests import SILENCE, LoadSettings, chat_body, chat_notices

__all__ = ("OllamaChat", "multitap_chat")


@attrs.frozen
class OllamaChat:
    """Chats with the models of one server."""

    backend: str
    settings: LoadSettings

    @property
    def options(self) -> Collection[str]:
        """What reaches the model. Of ``tool_choice``, what cannot be had is told by a notice."""
        sampling = ("max_tokens", "temperature", "top_p", "seed", "stop", "logprobs", "think")
        context = ("truncate", "shift")
        return frozenset({*sampling, *context, "tools", "tool_choice", "response_schema"})

    def chat(self, request: ChatRequest, /) -> Exchange[Event]:
        """One request; Ollama loads the model first where it is not yet."""
        body = chat_body(request, self.settings)
        streamed = bool(body["stream"])
        call = HttpCall(
            method="POST",
            path="/api/chat",
            body=Json(body),
            first_byte=SILENCE if streamed else None,  # the whole answer takes the whole time
            idle=SILENCE if "tools" in body else None,
        )
        return Exchange(
            call=call,
            decoder=lambda head: self._decoder(request, streamed=streamed),
            explain=partial(explain_ollama, backend=self.backend),
        )

    def _decoder(self, request: ChatRequest, *, streamed: bool) -> Stage[bytes, Event]:
        lines = ChatLines(chat_notices(request), self.backend, request.model)
        if streamed:
            return NdjsonDecoder(Line, lines.record, finish=lines.finish, plain=lines.plain())
        return JsonDecoder(Line, lines.record, finish=lines.finish)


@hookimpl
def multitap_chat(backend: Backend) -> OllamaChat:
    """Chat with an Ollama server."""
    return OllamaChat(backend.id, LoadSettings.of(backend))
