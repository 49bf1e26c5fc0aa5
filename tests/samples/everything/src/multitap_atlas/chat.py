"""Chat over ``POST /chat``: server-sent events, tools and thoughts included."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from multitap.capabilities.chat import ChatRequest
from multitap.errors import EngineError
from multitap.events import (
    Event,
    Reasoning,
    Stop,
    StopReason,
    Text,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
    Usage,
    UsageReport,
)
from multitap.framing import SseDecoder
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange, Head, HttpCall, Json
from multitap_atlas.calls import explain

STOPS: dict[str, StopReason] = {"full": "max_tokens", "errand": "tool_use"}


class Errand(msgspec.Struct):
    """A call of a tool, whole."""

    id: str | None = None
    name: str | None = None
    with_: str | None = msgspec.field(default=None, name="with")


class Step(msgspec.Struct):
    """One event of the stream."""

    text: str | None = None
    thought: str | None = None
    errand: Errand | None = None
    fault: str | None = None
    end: str | None = None
    read: int | None = None
    written: int | None = None


def read_step(step: Step) -> Iterator[Event]:
    """The events of one step; a fault ends the answer."""
    if step.fault is not None:
        raise EngineError(step.fault)
    if step.thought:
        yield Reasoning(step.thought)
    if step.text:
        yield Text(step.text)
    if step.errand is not None:
        yield from read_errand(step.errand)
    if step.end is not None:
        yield UsageReport(Usage.reported(step.read, step.written))
        yield Stop(STOPS.get(step.end, "complete"))


def read_errand(errand: Errand) -> Iterator[Event]:
    """Start, arguments and end of a call that comes whole."""
    call_id, arguments = errand.id or "", errand.with_ or "{}"
    yield ToolCallStart(call_id, errand.name or "")
    yield ToolCallChunk(call_id, arguments)
    yield ToolCallEnd(call_id, arguments)


def decoder(head: Head) -> SseDecoder[Step, Event]:
    """One for each attempt."""
    return SseDecoder(Step, read_step)


class AtlasChat:
    """Stateless; one for each backend."""

    options = frozenset({"tools", "max_tokens", "seed"})

    def chat(self, request: ChatRequest, /) -> Exchange[Event]:
        """One request, always streamed."""
        body = {
            "model": request.model,
            "turns": [message.to_dict() for message in request.messages],
            "errands": [tool.to_dict()["function"] for tool in request.tools],
            "most": request.max_tokens,
            "seed": request.seed,
        }
        sent = Json({name: value for name, value in body.items() if value not in (None, [])})
        call = HttpCall(method="POST", path="/chat", body=sent)
        return Exchange(call=call, decoder=decoder, explain=explain)


@hookimpl
def multitap_chat(backend: Backend) -> AtlasChat:
    """Chat over ``POST /chat``."""
    return AtlasChat()
