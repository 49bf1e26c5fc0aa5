"""Chat over ``POST /talk``: one JSON object a line, or one for a whole answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from multitap.capabilities.chat import ChatRequest
from multitap.dialects.replies import class_for_status, reply_facts, reply_json, reply_text
from multitap.errors import BackendError, ContextOverflow, EngineError, NotSupported, Overloaded
from multitap.events import (
    Event,
    Reasoning,
    Stop,
    Text,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
    Usage,
    UsageReport,
)
from multitap.framing import JsonDecoder, NdjsonDecoder
from multitap.hookspecs import Backend, hookimpl
from multitap.messages import Audio, Document, Image, Message, Part, Thought, ToolCall, ToolResult
from multitap.work import Exchange, Head, HttpCall, HttpReply, Json, Stage

NAMES = {"max_tokens": "most", "temperature": "heat", "top_p": "nucleus", "seed": "seed"}
REASONS = {"full": "max_tokens", "call": "tool_use", "until": "stop_sequence"}


class Call(msgspec.Struct):
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None


class Spent(msgspec.Struct):
    read: int | None = None
    written: int | None = None


class Fault(msgspec.Struct):
    code: str | None = None
    text: str | None = None


class Line(msgspec.Struct):
    """A line of a stream; all of them in one are a whole answer."""

    thought: str | None = None
    seal: str | None = None
    word: str | None = None
    words: list[str] | None = None
    call: Call | None = None
    calls: list[Call] | None = None
    spent: Spent | None = None
    fault: Fault | None = None
    done: str | None = None


class Reader:
    """Reads one answer."""

    def __init__(self) -> None:
        self.said = 0

    def record(self, line: Line) -> Iterator[Event]:
        if line.fault:
            raise self.failure(line.fault)
        if line.thought:
            yield Reasoning(line.thought, provider_options=line.seal and {"seal": line.seal})
        for word in [line.word, *(line.words or ())]:
            if word:
                yield self.text(word)
        for call in [line.call, *(line.calls or ())]:
            if call and call.name:
                yield from self.call(call)
        if line.done:
            yield UsageReport(self.usage(line.spent or Spent()))
            yield Stop(self.reason(line.done))

    def text(self, word: str) -> Text:
        """Words come without the space between them."""
        self.said += 1
        return Text(f" {word}" if self.said > 1 else word)

    def call(self, call: Call) -> Iterator[Event]:
        text = msgspec.json.encode(call.input or {}).decode()
        yield ToolCallStart(call.id or "", call.name)
        yield ToolCallChunk(call.id or "", text)
        yield ToolCallEnd(call.id or "", text)

    def usage(self, spent: Spent) -> Usage:
        return Usage.reported(spent.read, spent.written)

    def reason(self, done: str) -> str:
        return REASONS.get(done, "complete")

    def failure(self, fault: Fault) -> BackendError:
        cls = Overloaded if fault.code == "busy" else EngineError
        return cls(fault.text or "It failed and does not say why", phase="stream")

    def finish(self) -> Iterator[Event]:
        yield from ()


class AcmeChat:
    """Stateless; one for each backend."""

    options = frozenset(
        {"max_tokens", "temperature", "top_p", "seed", "stop", "think"}
        | {"tools", "tool_choice", "response_schema"}
    )
    reader = Reader

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def chat(self, request: ChatRequest, /) -> Exchange[Event]:
        region = self.backend.settings.get("region", "eu")
        call = HttpCall(
            method="POST",
            path="/talk",
            headers={"x-acme-region": region},
            body=Json(self.body(request)),
        )
        return Exchange(call=call, decoder=self.decoders(request), explain=self.explain)

    # ---- what is sent ----------------------------------------------------------------------------

    def body(self, request: ChatRequest) -> dict[str, Any]:
        return {
            "model": request.model,
            "stream": request.stream,
            "talk": [turn for message in request.messages for turn in self.turns(message)],
            **self.asked(request),
            **request.extra,
        }

    def turns(self, message: Message) -> Iterator[dict[str, Any]]:
        for part in message.parts:
            self.check(part)
            if isinstance(part, ToolResult):
                yield {"by": "tool", "of": part.call_id, "text": part.content}
        if message.role != "tool":
            said = {"by": message.role, "text": message.text}
            yield {**said, **self.calls(message), **self.seals(message)}

    def check(self, part: Part) -> None:
        if isinstance(part, (Image, Audio, Document)):
            raise NotSupported(f"Acme takes no {type(part).__name__.lower()}")

    def calls(self, message: Message) -> dict[str, Any]:
        calls = [{"id": c.id, "name": c.name, "input": c.arguments} for c in message.tool_calls]
        return {"calls": calls} if calls else {}

    def seals(self, message: Message) -> dict[str, Any]:
        metas = [p.provider_meta for p in message.parts if isinstance(p, (Thought, ToolCall))]
        own = [self.own(meta) for meta in metas]
        return {"seals": [seal for seal in own if seal]} if any(own) else {}

    def own(self, meta: Any) -> Any:
        return meta.get("acme")

    def asked(self, request: ChatRequest) -> dict[str, Any]:
        known = {key: self.option(request, name) for name, key in NAMES.items()}
        known["until"] = list(request.stop) or None
        known["think"] = request.think
        known["tools"] = [self.tool(tool) for tool in request.tools] or None
        known["must"] = request.tool_choice and str(request.tool_choice)
        known["form"] = request.response_schema
        return {key: value for key, value in known.items() if value is not None}

    def option(self, request: ChatRequest, name: str) -> Any:
        return getattr(request, name)

    def tool(self, tool: Any) -> dict[str, Any]:
        return {"name": tool.name, "about": tool.description, "takes": tool.parameters}

    # ---- how it is read --------------------------------------------------------------------------

    def decoders(self, request: ChatRequest) -> Any:
        return lambda head: self.decoder(head, request)

    def decoder(self, head: Head, request: ChatRequest) -> Stage[bytes, Event]:
        reader = self.reader()
        kind = NdjsonDecoder if request.stream else JsonDecoder
        return kind(Line, reader.record, finish=reader.finish)

    def explain(self, reply: HttpReply) -> BackendError:
        facts, fault = reply_facts(reply), self.fault(reply)
        text = str(fault.get("text") or reply_text(reply))
        if fault.get("code") == "too long":
            return self.overflow(text, fault, facts)
        return class_for_status(reply.status)(text, **facts)

    def fault(self, reply: HttpReply) -> dict[str, Any]:
        body = reply_json(reply)
        fault = body.get("fault") if isinstance(body, dict) else None
        return fault if isinstance(fault, dict) else {}

    def overflow(self, text: str, fault: Any, facts: Any) -> BackendError:
        return ContextOverflow(text, limit=fault.get("most"), **facts)


@hookimpl
def multitap_chat(backend: Backend) -> AcmeChat:
    """Chat with an Acme server."""
    return AcmeChat(backend)
