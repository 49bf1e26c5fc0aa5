"""Abacus servers for Multitap: chat with tools, and the list of models."""

import json
import re
from collections.abc import Iterator
from typing import Any

from multitap.capabilities.catalog import Model
from multitap.capabilities.chat import ChatRequest
from multitap.dialects.replies import class_for_status, reply_facts, reply_text
from multitap.errors import (
    BackendError,
    BadRequest,
    ContextOverflow,
    EngineError,
    ModelNotFound,
    NotSupported,
    Overloaded,
    ProtocolError,
)
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
from multitap.hookspecs import Backend, hookimpl
from multitap.messages import Message, TextPart, Thought, Tool, ToolCall, ToolResult
from multitap.work import Exchange, Head, HttpCall, HttpReply
from multitap_abacus.lines import LineDecoder, escape, escape_word, plain

HEADERS = {"content-type": "text/plain; charset=utf-8", "accept": "text/plain"}
ENDS: dict[str, StopReason] = {"done": "complete", "limit": "max_tokens", "call": "tool_use"}
CODES: dict[str, type[BackendError]] = {
    "40": BadRequest,
    "44": ModelNotFound,
    "47": ContextOverflow,
    "50": EngineError,
    "53": Overloaded,
}


def written(message: Message) -> Iterator[str]:
    """The request's lines of one message."""
    for part in message.parts:
        if not isinstance(part, TextPart | Thought | ToolCall | ToolResult):
            raise NotSupported(f"Abacus takes no {type(part).__name__.lower()} in a message")
    if message.text or not (message.tool_calls or message.role == "tool"):
        yield f"{message.role}: {escape(message.text)}"
    for part in message.parts:
        if isinstance(part, ToolCall):
            call = f"{escape_word(part.id)} {escape_word(part.name)}"
            yield f"call: {call} {escape(part.arguments_text)}"
        elif isinstance(part, ToolResult):
            yield f"result: {escape_word(part.call_id)} {escape(part.content)}"


def offered(request: ChatRequest) -> Iterator[str]:
    """The request's lines of the tools."""
    for tool in request.tools:
        about = {"name": tool.name, "about": tool.description, "takes": dict(tool.parameters)}
        yield f"tool: {json.dumps(about)}"
    if isinstance(request.tool_choice, Tool):
        yield f"must: tool {escape_word(request.tool_choice.name)}"
    elif request.tool_choice is not None:
        yield f"must: {request.tool_choice}"


def asked(request: ChatRequest) -> Iterator[str]:
    """The request's lines, with the blank one at their end."""
    yield f"model: {escape(request.model)}"
    if request.max_tokens is not None:
        yield f"limit: {request.max_tokens}"
    yield from offered(request)
    for message in request.messages:
        yield from written(message)
    yield ""


def failure(line: str, otherwise: type[BackendError], **facts: Any) -> BackendError:
    """The error of a line such as ``! 44 no such model``."""
    code, _, message = line.removeprefix("! ").partition(" ")
    kind = CODES.get(code, otherwise)
    if kind is ContextOverflow:
        numbers = re.findall(r"\b\d{1,18}\b", message)
        needed, limit = map(int, numbers) if len(numbers) == 2 else (None, None)
        return ContextOverflow(plain(message), limit=limit, needed=needed, **facts)
    return kind(plain(message) or f"Abacus says {code}", **facts)


def count(word: str) -> int | None:
    """A number of tokens; ``-`` is unknown."""
    return int(word) if re.fullmatch("[0-9]{1,18}", word) else None


def call(call_id: str, name: str, arguments: str) -> Iterator[Event]:
    """The events of a whole call."""
    yield ToolCallStart(call_id, name)
    yield ToolCallChunk(call_id, arguments)
    try:
        incomplete = not isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        incomplete = True
    yield ToolCallEnd(call_id, arguments, incomplete=incomplete or None)


def read_line(line: str) -> Iterator[Event]:
    """The events of one line of an answer."""
    sign, _, rest = line.partition(" ")
    match sign, rest.split(" ", 2):
        case "t", _:
            yield from [Text(plain(rest))] if rest else []
        case "r", _:
            yield from [Reasoning(plain(rest))] if rest else []
        case "c", [call_id, name, arguments]:
            yield from call(plain(call_id), plain(name), plain(arguments))
        case "u", [heard, spoken]:
            yield UsageReport(Usage.reported(count(heard), count(spoken)))
        case ".", [end] if end in ENDS:
            yield Stop(ENDS[end])
        case "!", _:
            raise failure(line, EngineError)
        case _:
            raise ProtocolError(f"Abacus has no such line: {line[:80]}")


def read_model(line: str) -> Iterator[Model]:
    """The model of one line of the list."""
    match line.split(" "):
        case [name, beads] if name and re.fullmatch("-|[0-9]{1,18}", beads):
            yield Model(id=plain(name), context_length=count(beads) or None).sourced("probed")
        case _:
            raise ProtocolError(f"Abacus has no such model: {line[:80]}")


def promised(head: Head) -> int | None:
    """How long a body is to be, where the server says it."""
    return count(head.headers.get("content-length", ""))


def explain(reply: HttpReply) -> BackendError:
    """The typed error of a status of 400 and more."""
    kind = class_for_status(reply.status)
    line = reply_text(reply)
    if reply.status == 400 and line.startswith("! "):
        return failure(line, kind, **reply_facts(reply))
    return kind(re.sub("^! [0-9]+ ", "", line), **reply_facts(reply))


class Abacus:
    """One server; it takes a limit and tools, and no other option."""

    options = frozenset({"max_tokens", "tools", "tool_choice"})

    def chat(self, request: ChatRequest, /) -> Exchange[Event]:
        """``POST /speak``: lines there, lines back."""
        text = "".join(f"{line}\n" for line in asked(request))
        try:
            body = text.encode()
        except UnicodeEncodeError as error:
            raise BadRequest("A text has half a letter in it (a surrogate)") from error
        return Exchange(
            call=HttpCall(method="POST", path="/speak", headers=HEADERS, body=body),
            decoder=lambda head: LineDecoder(read_line),
            explain=explain,
        )

    def models(self) -> Exchange[Model]:
        """``GET /who``: a model and its context a line."""
        return Exchange(
            call=HttpCall(method="GET", path="/who"),
            decoder=lambda head: LineDecoder(read_model, promised(head)),
            explain=explain,
        )


@hookimpl
def multitap_chat(backend: Backend) -> Abacus:
    """Chat with an Abacus server."""
    return Abacus()


@hookimpl
def multitap_catalog(backend: Backend) -> Abacus:
    """The models of an Abacus server."""
    return Abacus()
