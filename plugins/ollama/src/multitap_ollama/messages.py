"""Messages as ``/api/chat`` takes them.

A content is one text, media stand beside it as bare base64, arguments of a call are an object, and
a tool's result names the tool. Thinking is never sent back, nor is any provider's opaque data: this
one has none.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from multitap.errors import NotSupported
from multitap.messages import Audio, Document, Image, ToolResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multitap.messages import Message, ToolCall

__all__ = ("encode_messages",)


def encode_messages(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Messages; a blank system text and a turn of thoughts alone are not sent.

    Raises:
        NotSupported: A document, or an image that is only a URL.

    >>> from multitap.messages import Message, Thought
    >>> encode_messages([Message("assistant", [Thought("hm"), "Yes."])])
    [{'role': 'assistant', 'content': 'Yes.'}]
    """
    names: dict[str, str] = {}
    encoded: list[dict[str, Any]] = []
    for message in messages:
        names.update({call.id: call.name for call in message.tool_calls})
        encoded += _results(message, names)
        encoded += _turn(message)
    return encoded


def _results(message: Message, names: dict[str, str]) -> Iterator[dict[str, Any]]:
    for part in message.parts:
        if isinstance(part, ToolResult):
            name = part.name or names.get(part.call_id)
            named = {"tool_name": name} if name else {}
            called = {"tool_call_id": part.call_id} if part.call_id else {}
            yield {"role": "tool", "content": part.content, **named, **called}


def _turn(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        return
    media = [encoded for part in message.parts if (encoded := _media(part)) is not None]
    calls = [_call(call) for call in message.tool_calls]
    said = message.text.strip() if message.role == "system" else message.text
    if said or media or calls or (message.role == "user" and not message.parts):
        turn: dict[str, Any] = {"role": message.role, "content": message.text}
        turn |= {"images": media} if media else {}
        yield turn | ({"tool_calls": calls} if calls else {})


def _media(part: object) -> str | None:
    if isinstance(part, Audio):
        return base64.b64encode(part.data).decode("ascii")
    if isinstance(part, Image):
        if part.data is not None:
            return base64.b64encode(part.data).decode("ascii")
        raise NotSupported("Ollama fetches no images", hint="Pass the image's bytes, not its URL.")
    if isinstance(part, Document):
        raise NotSupported("Ollama takes no documents", hint="Send the document's text instead.")
    return None


def _call(call: ToolCall) -> dict[str, Any]:
    # a text that is no object can only come of another backend; the model gets to see it
    arguments = call.arguments if call.arguments is not None else {"invalid": call.arguments_text}
    named = {"id": call.id} if call.id else {}
    return {**named, "function": {"name": call.name, "arguments": arguments}}
