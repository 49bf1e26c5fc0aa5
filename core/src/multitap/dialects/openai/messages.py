"""Messages of chat completions, checked against what a profile takes."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import msgspec

from multitap.dialects.openai.tools import check_name
from multitap.errors import BadRequest, NotSupported
from multitap.events import Notice
from multitap.messages import Audio, Document, Image, Message, TextPart, ToolResult
from multitap.signatures import HEAD, type_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multitap.dialects.openai.profile import Profile
    from multitap.messages import Part, ToolCall

__all__ = ("encode_messages",)

_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-m4a": "m4a"}


def encode_messages(
    messages: Iterable[Message], profile: Profile, notices: list[Notice]
) -> list[dict[str, Any]]:
    """Messages. A blank system text is not sent, and thinking never is.

    Raises:
        BadRequest: A name, an id or an order of messages that the server refuses.
        NotSupported: A picture, a sound or a document that it does not take.

    >>> from multitap.dialects.openai.profile import Profile
    >>> from multitap.messages import Message, Thought
    >>> message = Message("assistant", [Thought("hm"), "Yes."])
    >>> encode_messages([message], Profile(provider="acme"), [])
    [{'role': 'assistant', 'content': 'Yes.'}]
    """
    ordered = messages
    if profile.system != "keep":
        ordered = _with_system(list(messages), profile, notices)
    return [encoded for message in ordered for encoded in _encode_message(message, profile)]


# ---- system messages -----------------------------------------------------------------------------


def _with_system(
    messages: Sequence[Message], profile: Profile, notices: list[Notice]
) -> Sequence[Message]:
    said = [m for m in messages if m.role == "system" and m.text.strip()]
    others = [m for m in messages if m.role != "system"]
    late = _late(messages)
    if late and profile.system == "first":
        raise BadRequest(
            "The server takes system messages at the beginning only",
            hint="Put it first, or send it as the user.",
            kind="late_system_message",
        )
    if late:
        message = "A later system message was moved to the beginning."
        notices.append(Notice("moved_system_message", message, "messages"))
    text = "\n\n".join(m.text.strip() for m in said) if len(said) > 1 else None
    opening = said if text is None else [Message("system", text)]
    return [*opening, *others]


def _late(messages: Sequence[Message]) -> bool:
    """Does a system message stand behind another?"""
    roles = [m.role == "system" for m in messages if m.role != "system" or m.text.strip()]
    return roles != sorted(roles, reverse=True)


# ---- one message ---------------------------------------------------------------------------------


def _encode_message(message: Message, profile: Profile) -> Iterator[dict[str, Any]]:
    if message.role != "system" and len(message.parts) == 1:
        only = message.parts[0]
        if isinstance(only, TextPart):  # as nearly every message is
            if message.role != "tool":
                yield {"role": message.role, "content": only.text}
            return
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    for result in results:
        yield _encode_result(result, profile)
    if message.role == "tool" or (message.role == "system" and not message.text.strip()):
        return
    content = _content(message, profile)
    calls = [_encode_call(call, profile) for call in message.tool_calls]
    if calls:
        yield {"role": message.role, "content": content or None, "tool_calls": calls}
    elif content or not results:
        yield {"role": message.role, "content": content}


def _encode_result(result: ToolResult, profile: Profile) -> dict[str, Any]:
    name = {"name": result.name} if result.name else {}
    call_id = _checked_id(result.call_id, profile)
    return {"role": "tool", "tool_call_id": call_id, "content": result.content, **name}


def _encode_call(call: ToolCall, profile: Profile) -> dict[str, Any]:
    check_name(call.name, profile)
    function = {"name": call.name, "arguments": _arguments(call, profile)}
    meta = call.provider_meta.get(profile.provider) or {}
    own = {name: value for name, value in meta.items() if name in profile.opaque}
    return {"id": _checked_id(call.id, profile), "type": "function", "function": function, **own}


def _arguments(call: ToolCall, profile: Profile) -> str | dict[str, Any]:
    """As it was; what is no JSON object is wrapped where the server would refuse it."""
    if call.arguments is None and profile.parses_arguments:
        return msgspec.json.encode({"invalid": call.arguments_text}).decode()
    if call.arguments is not None and profile.object_arguments:
        return call.arguments
    return call.arguments_text or "{}"


def _checked_id(call_id: str, profile: Profile) -> str:
    if profile.call_ids is None or re.fullmatch(profile.call_ids, call_id):
        return call_id
    raise BadRequest(
        f"The server takes no tool call with the id {call_id!r}",
        hint=f"Give the call and its result an id that matches {profile.call_ids}.",
        kind="tool_call_id",
    )


# ---- parts ---------------------------------------------------------------------------------------


def _content(message: Message, profile: Profile) -> str | list[dict[str, Any]]:
    shown = [p for p in message.parts if isinstance(p, (TextPart, Image, Audio, Document))]
    if all(isinstance(part, TextPart) for part in shown):
        return message.text
    return [_encode_part(part, profile) for part in shown]


def _encode_part(part: Part, profile: Profile) -> dict[str, Any]:
    if isinstance(part, Image):
        return {"type": "image_url", "image_url": {"url": _image_url(part, profile)}}
    if isinstance(part, Audio):
        audio = {"data": _base64(part.data), "format": _audio_format(part, profile)}
        return {"type": "input_audio", "input_audio": audio}
    if isinstance(part, Document):
        return {"type": "file", "file": _file(part, profile)}
    assert isinstance(part, TextPart)
    return {"type": "text", "text": part.text}


def _image_url(image: Image, profile: Profile) -> str:
    if image.data is not None:
        if "data" not in profile.images:
            raise _untaken("no pictures", "Leave it out, or use a model that can see.")
        kind = image.mime_type or type_of(image.data[:HEAD])
        return _data_url(image.data, kind or "image/png")
    if not image.url:
        raise BadRequest("A picture has neither data nor a URL", hint="Give it one of the two.")
    if "url" not in profile.images:
        raise _untaken("no pictures by URL", "Send the picture's bytes instead.")
    return image.url


def _audio_format(audio: Audio, profile: Profile) -> str:
    kind = audio.mime_type.partition("/")[2].partition(";")[0].strip().lower()
    found = _AUDIO_FORMATS.get(kind, kind) or "wav"
    if found not in profile.audio:
        known = ", ".join(sorted(profile.audio))
        step = f"Send it as one of: {known}." if known else "Send what is said in it as text."
        raise _untaken(f"no sound in the format {found}" if known else "no sound", step)
    return found


def _file(document: Document, profile: Profile) -> dict[str, Any]:
    kind = document.mime_type.partition(";")[0].strip().lower()
    if kind not in profile.documents:
        known = ", ".join(sorted(profile.documents))
        step = f"Send it as one of: {known}." if known else "Send the document's text instead."
        raise _untaken(f"no documents of the type {kind}" if known else "no documents", step)
    data = _data_url(document.data, document.mime_type)
    return {"filename": document.name or "document", "file_data": data}


def _untaken(what: str, step: str) -> NotSupported:
    return NotSupported(f"This backend takes {what}", hint=step)


def _data_url(data: bytes, mime_type: str) -> str:
    return f"data:{mime_type};base64,{_base64(data)}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
