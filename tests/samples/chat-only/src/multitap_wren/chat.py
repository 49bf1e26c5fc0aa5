"""Chat with a Wren server: server-sent events with names of its own."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from multitap.capabilities.chat import ChatRequest
from multitap.dialects.replies import class_for_status, reply_facts, reply_text
from multitap.errors import BackendError
from multitap.events import Event, Stop, Text, Usage, UsageReport
from multitap.framing import SseDecoder
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange, Head, HttpCall, HttpReply, Json


class Note(msgspec.Struct):
    """One event of the stream."""

    note: str | None = None
    rest: bool | None = None
    notes: int | None = None


def read_note(note: Note) -> Iterator[Event]:
    if note.note:
        yield Text(note.note)
    if note.rest:
        yield UsageReport(Usage.reported(None, note.notes))
        yield Stop("complete")


def decoder(head: Head) -> SseDecoder[Note, Event]:
    return SseDecoder(Note, read_note)


def explain(reply: HttpReply) -> BackendError:
    return class_for_status(reply.status)(reply_text(reply), **reply_facts(reply))


class WrenChat:
    """Stateless; one for each backend."""

    options = frozenset({"temperature"})

    def chat(self, request: ChatRequest, /) -> Exchange[Event]:
        heard = [{"by": message.role, "text": message.text} for message in request.messages]
        warmth = {} if request.temperature is None else {"warmth": request.temperature}
        body = Json({"tune": request.model, "heard": heard, **warmth})
        call = HttpCall(method="POST", path="/tunes", body=body)
        return Exchange(call=call, decoder=decoder, explain=explain)


@hookimpl
def multitap_chat(backend: Backend) -> WrenChat:
    """Chat over ``POST /tunes``."""
    return WrenChat()
