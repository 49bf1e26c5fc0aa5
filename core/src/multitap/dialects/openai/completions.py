"""A whole chat model over chat completions: a profile, and what reads the answer.

@hookimpl
def multitap_chat(backend: Backend) -> ChatCompletions:
    return ChatCompletions(backend, Profile(provider="acme"))
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import attrs

from multitap.capabilities.chat import ChatRequest
from multitap.dialects.openai.chat import ChatRecords
from multitap.dialects.openai.errors import explain_openai
from multitap.dialects.openai.estimates import prompt_tokens
from multitap.dialects.openai.requests import encode_chat
from multitap.errors import BadRequest, NotSupported
from multitap.events import Event
from multitap.framing import JsonDecoder, SseDecoder
from multitap.work import Backend, Exchange, Explain, Head, HttpCall, Json, Stage

if TYPE_CHECKING:
    from multitap.dialects.openai.profile import Profile

__all__ = ("ChatCompletions", "is_streamed")


@attrs.frozen
class ChatCompletions:
    """Chats with the models of one server, streamed or not.

    Args:
        backend: The configured instance.
        profile: What its server takes and gives.
        explain: Turns a refusal into an error, where the server's differ from OpenAI's.
        records: Makes the ``ChatRecords`` of one answer, or a subclass of it for what a server's
            chunks have besides.
        headers: Sent with each request; never a key, which is the engine's business.
    """

    backend: Backend
    profile: Profile
    explain: Explain = explain_openai
    records: Callable[..., ChatRecords] = ChatRecords
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    @property
    def options(self) -> Collection[str]:
        """What reaches the server; for a choice of tools that it ignores there is a notice."""
        return self.profile.options

    def chat(self, request: ChatRequest, /) -> Exchange[Event]:
        """One request. A server that was asked to stream may still answer with one body."""
        try:
            body, notices = encode_chat(request, self.profile)
        except (BadRequest, NotSupported) as error:
            error.model = request.model
            raise
        streamed = bool(body.get("stream"))
        call = HttpCall(
            method="POST",
            path=self.profile.path,
            headers=self.headers,
            body=Json(body),
            first_byte=self.profile.first_byte if streamed else None,
            idle=self.profile.idle,
        )

        prompt = partial(prompt_tokens, body) if self.profile.estimates else None

        def decoder(head: Head) -> Stage[bytes, Event]:
            records = self.records(notices, prompt=prompt, sound=_sound(body))
            records.asked = request.model
            how = records.shape, records.record
            if is_streamed(head, asked=streamed):
                return SseDecoder(*how, finish=records.finish, plain=records.plain())
            return JsonDecoder(*how, finish=records.finish)

        return Exchange(call=call, decoder=decoder, explain=self.explain)


def is_streamed(head: Head, *, asked: bool) -> bool:
    """Is the answer a stream? Its type says so; without one, what was asked for."""
    told = _says_streamed(head.headers.get("content-type", ""))
    return asked if told is None else told


@lru_cache(maxsize=64)  # asked for every answer
def _says_streamed(content_type: str) -> bool | None:
    kind = content_type.partition(";")[0].strip().lower()
    return {"text/event-stream": True, "application/json": False}.get(kind)


def _sound(body: Mapping[str, Any]) -> str:
    """The format of sound that ``extra`` asks for, as OpenAI's ``audio``."""
    audio = body.get("audio")
    return str(audio.get("format", "wav")) if isinstance(audio, Mapping) else "wav"
