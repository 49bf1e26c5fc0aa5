"""Requests of OpenAI's chat completions: messages, tools, options."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from multitap.errors import NotSupported
from multitap.messages import Audio, Document, Image, TextPart, ToolResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multitap.capabilities.chat import ChatRequest, ToolChoice
    from multitap.messages import Message, Part, Tool, ToolCall

__all__ = (
    "encode_chat",
    "encode_messages",
    "encode_options",
    "encode_tool_choice",
    "encode_tools",
)

_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "x-m4a": "m4a"}


def encode_chat(request: ChatRequest, *, provider: str, documents: bool = False) -> dict[str, Any]:
    """The body of ``POST /v1/chat/completions``; ``request.extra`` has the last word.

    Args:
        request: What is asked.
        provider: The plugin's provider: the only one whose ``provider_meta`` is sent.
        documents: Whether the server takes ``file`` parts.

    Raises:
        NotSupported: A part that cannot be sent.

    >>> from multitap.capabilities.chat import ChatRequest
    >>> from multitap.messages import Message
    >>> encode_chat(
    ...     ChatRequest(model="m", messages=[Message("user", "hi")], stream=False, seed=0),
    ...     provider="acme",
    ... )
    {'model': 'm', 'messages': [{'role': 'user', 'content': 'hi'}], 'seed': 0}
    """
    messages = encode_messages(request.messages, provider=provider, documents=documents)
    body: dict[str, Any] = {"model": request.model, "messages": messages}
    if request.tools:
        body["tools"] = encode_tools(request.tools)
        if request.tool_choice is not None:
            body["tool_choice"] = encode_tool_choice(request.tool_choice)
    if request.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return {**body, **encode_options(request), **request.extra}


def encode_options(request: ChatRequest) -> dict[str, Any]:
    """The options that were asked for; zeros are sent, what is ``None`` is not."""
    named = ("max_tokens", "temperature", "top_p", "seed")
    options = {n: v for n in named if (v := getattr(request, n)) is not None}
    if request.stop:
        options["stop"] = list(request.stop)
    if request.n != 1:
        options["n"] = request.n
    if request.think not in (None, "auto"):
        options["reasoning_effort"] = "none" if request.think == "off" else request.think
    if request.logprobs is not None:
        options["logprobs"] = True
        options |= {"top_logprobs": request.logprobs} if request.logprobs else {}
    if request.response_schema is not None:
        options["response_format"] = _response_format(dict(request.response_schema))
    return options


def _response_format(schema: dict[str, Any]) -> dict[str, Any]:
    if not schema:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def encode_tools(tools: Iterable[Tool]) -> list[dict[str, Any]]:
    """Tools; an empty description is left out.

    >>> from multitap.messages import Tool
    >>> encode_tools([Tool("now")])
    [{'type': 'function', 'function': {'name': 'now', 'parameters': {'type': 'object'}}}]
    """
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def _function(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "parameters": dict(tool.parameters)}


def encode_tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    """``auto``, ``none``, ``required``, or the one tool that must be called."""
    if isinstance(choice, str):
        return choice
    return {"type": "function", "function": {"name": choice.name}}


def encode_messages(
    messages: Iterable[Message], *, provider: str, documents: bool = False
) -> list[dict[str, Any]]:
    """Messages. A blank system text is not sent, and thinking never is.

    Raises:
        NotSupported: A document, unless ``documents`` says that the server takes them.

    >>> from multitap.messages import Message, Thought
    >>> encode_messages([Message("assistant", [Thought("hm"), "Yes."])], provider="acme")
    [{'role': 'assistant', 'content': 'Yes.'}]
    """
    return [
        encoded
        for message in messages
        for encoded in _encode_message(message, provider=provider, documents=documents)
    ]


def _encode_message(
    message: Message, *, provider: str, documents: bool
) -> Iterator[dict[str, Any]]:
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    yield from map(_encode_result, results)
    if message.role == "tool" or (message.role == "system" and not message.text.strip()):
        return
    content = _content(message, documents=documents)
    calls = [_encode_call(call, provider) for call in message.tool_calls]
    if calls:
        yield {"role": message.role, "content": content or None, "tool_calls": calls}
    elif content or not results:
        yield {"role": message.role, "content": content}


def _encode_result(result: ToolResult) -> dict[str, Any]:
    name = {"name": result.name} if result.name else {}
    return {"role": "tool", "tool_call_id": result.call_id, "content": result.content, **name}


def _encode_call(call: ToolCall, provider: str) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments_text or "{}"}
    own = call.provider_meta.get(provider) or {}
    return {"id": call.id, "type": "function", "function": function, **own}


def _content(message: Message, *, documents: bool) -> str | list[dict[str, Any]]:
    shown = [p for p in message.parts if isinstance(p, (TextPart, Image, Audio, Document))]
    if all(isinstance(part, TextPart) for part in shown):
        return message.text
    return [_encode_part(part, documents=documents) for part in shown]


def _encode_part(part: Part, *, documents: bool) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        url = part.url or _data_url(part.data or b"", part.mime_type or "image/png")
        return {"type": "image_url", "image_url": {"url": url}}
    if isinstance(part, Audio):
        kind = part.mime_type.partition("/")[2]
        audio = {"data": _base64(part.data), "format": _AUDIO_FORMATS.get(kind, kind) or "wav"}
        return {"type": "input_audio", "input_audio": audio}
    if isinstance(part, Document) and documents:
        file = {"filename": part.name or "document"}
        return {"type": "file", "file": {**file, "file_data": _data_url(part.data, part.mime_type)}}
    raise NotSupported("This backend takes no documents", hint="Send the document's text instead.")


def _data_url(data: bytes, mime_type: str) -> str:
    return f"data:{mime_type};base64,{_base64(data)}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
