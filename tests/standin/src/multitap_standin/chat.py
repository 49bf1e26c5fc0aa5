"""Chat over ``/v1/chat/completions``, streamed or not."""

from __future__ import annotations

import attrs

from multitap.capabilities.chat import ChatRequest
from multitap.dialects.openai.chat import ChatChunk, ChatRecords
from multitap.dialects.openai.errors import explain_openai
from multitap.dialects.openai.messages import encode_chat
from multitap.events import Event
from multitap.framing import JsonDecoder, SseDecoder
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange, Head, HttpCall, Json, Stage


@attrs.frozen
class StandInChat:
    """Chats in OpenAI's dialect."""

    provider: str

    def chat(self, request: ChatRequest, /) -> Exchange[Event]:
        """One request; a server that was asked to stream may still answer with one body."""
        body = encode_chat(request, provider=self.provider)
        call = HttpCall(method="POST", path="/v1/chat/completions", body=Json(body))
        return Exchange(call=call, decoder=self._decoder, explain=explain_openai)

    @staticmethod
    def _decoder(head: Head) -> Stage[bytes, Event]:
        records = ChatRecords()
        streamed = head.headers.get("content-type", "").startswith("text/event-stream")
        decoder = SseDecoder if streamed else JsonDecoder
        return decoder(ChatChunk, records.record, finish=records.finish)


@hookimpl
def multitap_chat(backend: Backend) -> StandInChat:
    """Chat with a server over HTTP."""
    return StandInChat(backend.provider)
