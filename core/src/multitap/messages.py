"""Messages, their parts, tools, and their JSON form: OpenAI's chat shape, with a few keys more.

A message is a role and a tuple of parts. ``Message.from_dict`` reads what OpenAI's chat API takes;
``to_dict`` writes the same shape, where ``reasoning_content``, ``thoughts``, ``provider_meta`` and
document parts are ours. Thinking is kept for the reader and never sent back to a model;
``provider_meta`` is opaque data of a provider, by the provider's name, and goes back to that
provider only.

>>> Message.from_dict({"role": "user", "content": "hi"}).text
'hi'
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Union, cast

import attrs

from multitap.errors import ConfigError
from multitap.nesting import DEPTH, DIGITS, is_beyond

__all__ = (
    "Audio",
    "Document",
    "Image",
    "Message",
    "Part",
    "Role",
    "TextPart",
    "Thought",
    "Tool",
    "ToolCall",
    "ToolResult",
    "is_object",
    "parse_arguments",
)

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")


def parse_arguments(
    text: str, *, depth: int = DEPTH, digits: int = DIGITS
) -> dict[str, Any] | None:
    """A call's arguments, or ``None`` where the text is not a JSON object; no text is no arguments.

    What Python alone takes for JSON (``NaN``, ``Infinity``) is none, nor is what is nested deeper,
    or has a whole number of more digits, than these.

    >>> parse_arguments('{"city": "Oslo"}'), parse_arguments(""), parse_arguments("[1]")
    ({'city': 'Oslo'}, {}, None)
    """
    value = _object(text)
    return None if value is None or is_beyond(value, depth=depth, digits=digits) else value


def is_object(text: str) -> bool:
    """Is a call's text what it has to be: a JSON object, however deep, or nothing at all?"""
    return _object(text) is not None


def _object(text: str) -> dict[str, Any] | None:
    if not text.strip():
        return {}
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


@attrs.frozen
class TextPart:
    """Plain text."""

    text: str


@attrs.frozen
class Image:
    """A picture: bytes with their type, or a URL that the backend fetches itself."""

    data: bytes | None = attrs.field(default=None, repr=lambda d: f"<{len(d or b'')} bytes>")
    mime_type: str | None = None
    url: str | None = None


@attrs.frozen
class Audio:
    """A sound: bytes and their type."""

    data: bytes = attrs.field(repr=lambda d: f"<{len(d)} bytes>")
    mime_type: str = "audio/wav"


@attrs.frozen
class Document:
    """A file such as a PDF: bytes, their type and a name."""

    data: bytes = attrs.field(repr=lambda d: f"<{len(d)} bytes>")
    mime_type: str
    name: str | None = None


@attrs.frozen
class Thought:
    """What the model thought. For the reader; its text is never sent back.

    ``provider_meta`` is: to its own provider, such as a signature, or thinking in secret writing.
    """

    text: str
    provider_meta: Mapping[str, Any] = attrs.field(factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        meta = {"provider_meta": dict(self.provider_meta)} if self.provider_meta else {}
        return {"text": self.text, **meta}


@attrs.frozen
class ToolCall:
    """A call that the model asks for. Multitap never runs one.

    ``arguments`` is read from ``arguments_text`` on demand: ``None`` where that is no JSON object.
    ``incomplete``: the answer ended before the call did, so do not run it. Then no text is not "no
    arguments", which is what some servers mean by it, and ``arguments`` is ``None`` too.

    Of arguments that are nested deeper than ``depth``, or have a whole number of more than
    ``digits`` digits, only the text is there.
    """

    id: str
    name: str
    arguments_text: str = "{}"
    provider_meta: Mapping[str, Any] = attrs.field(factory=dict)
    incomplete: bool = False
    depth: int = attrs.field(default=DEPTH, kw_only=True, eq=False, repr=False)
    digits: int = attrs.field(default=DIGITS, kw_only=True, eq=False, repr=False)

    @property
    def arguments(self) -> dict[str, Any] | None:
        """The arguments as a new dict."""
        if self.incomplete and not self.arguments_text.strip():
            return None
        return parse_arguments(self.arguments_text, depth=self.depth, digits=self.digits)

    def to_dict(self) -> dict[str, Any]:
        """OpenAI's shape, with ``provider_meta`` and ``incomplete`` where there is any."""
        function = {"name": self.name, "arguments": self.arguments_text}
        data: dict[str, Any] = {"id": self.id, "type": "function", "function": function}
        meta = {"provider_meta": dict(self.provider_meta)} if self.provider_meta else {}
        return {**data, **meta, **({"incomplete": True} if self.incomplete else {})}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ToolCall:
        """From OpenAI's shape; arguments may be text or an object."""
        function = data.get("function") or data
        arguments = function.get("arguments")
        text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
        meta, incomplete = data.get("provider_meta") or {}, data.get("incomplete") is True
        return cls(data.get("id") or "", function["name"], text, meta, incomplete)


@attrs.frozen
class ToolResult:
    """What a call gave; ``call_id`` is the ``id`` of the call."""

    call_id: str
    content: str
    name: str | None = None


Part = Union[TextPart, Image, Audio, Document, Thought, ToolCall, ToolResult]


@attrs.frozen
class Tool:
    """A function that the model may call; ``parameters`` is a JSON Schema of an object."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = attrs.field(factory=lambda: {"type": "object"})

    def to_dict(self) -> dict[str, Any]:
        """OpenAI's shape."""
        return {"type": "function", "function": attrs.asdict(self, recurse=False)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Tool:
        """From OpenAI's shape, with or without its ``function`` wrapping."""
        function = data.get("function") or data
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise ConfigError(
                f"A tool needs a name: {_short(data)}",
                hint='Pass {"type": "function", "function": {"name": …, "parameters": …}}.',
            )
        parameters = function.get("parameters") or {"type": "object"}
        return cls(function["name"], function.get("description") or "", parameters)


def _result_to_dict(result: ToolResult) -> dict[str, Any]:
    name = {"name": result.name} if result.name else {}
    return {"tool_call_id": result.call_id, "content": result.content, **name}


def _results_from(data: Mapping[str, Any]) -> list[ToolResult]:
    rows = data.get("results") or [data]
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        hint = 'Pass [{"tool_call_id": …, "content": …}, …], or one message for each result.'
        raise ConfigError(f"results of a message is no list of results: {_short(rows)}", hint=hint)
    return [_result_from_dict(row) for row in rows]


def _result_from_dict(data: Mapping[str, Any]) -> ToolResult:
    content = data.get("content")
    text = content if isinstance(content, str) else _flat(content)
    return ToolResult(str(data.get("tool_call_id") or ""), text, data.get("name"))


def _as_parts(content: str | Part | Iterable[str | Part]) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (TextPart(content),) if content else ()
    if not isinstance(content, Iterable):
        return (content,)
    return tuple(TextPart(p) if isinstance(p, str) else p for p in content)


def _check_role(_: object, __: object, role: str) -> None:
    if role not in ROLES:
        raise ConfigError(f"Unknown role {role!r}", hint=f"Use one of {', '.join(ROLES)}.")


@attrs.frozen
class Message:
    """One turn of a conversation.

    Args:
        role: ``system``, ``user``, ``assistant`` or ``tool``.
        parts: A text, a part, or several of both.
    """

    role: Role = attrs.field(validator=_check_role)
    parts: tuple[Part, ...] = attrs.field(default=(), converter=_as_parts)

    @property
    def text(self) -> str:
        """All text parts, joined."""
        return "".join(p.text for p in self.parts if isinstance(p, TextPart))

    @property
    def reasoning(self) -> str:
        """All thoughts, joined."""
        return "".join(p.text for p in self.parts if isinstance(p, Thought))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls that this message asks for."""
        return tuple(p for p in self.parts if isinstance(p, ToolCall))

    def to_dict(self) -> dict[str, Any]:
        """OpenAI's chat shape; it has one result a message, so several stand in ``results``."""
        results = [_result_to_dict(p) for p in self.parts if isinstance(p, ToolResult)]
        if results:
            several = {"results": results} if len(results) > 1 else {}
            return {"role": self.role, **results[0], **several}
        data: dict[str, Any] = {"role": self.role, "content": self._content()}
        if self.reasoning:
            data["reasoning_content"] = self.reasoning
        thoughts = [part for part in self.parts if isinstance(part, Thought)]
        if any(thought.provider_meta for thought in thoughts):
            data["thoughts"] = [thought.to_dict() for thought in thoughts]
        if self.tool_calls:
            data["tool_calls"] = [call.to_dict() for call in self.tool_calls]
        return data

    def _content(self) -> str | list[dict[str, Any]]:
        shown = [p for p in self.parts if isinstance(p, (TextPart, Image, Audio, Document))]
        if all(isinstance(p, TextPart) for p in shown):
            return self.text
        return [_part_to_dict(p) for p in shown]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Message:
        """From OpenAI's chat shape; what it cannot mean is a ``ConfigError``."""
        role, content = data.get("role"), data.get("content")
        role = "system" if role == "developer" else role
        if role == "tool":
            return cls("tool", _results_from(data))
        parts: list[Part] = [*_thoughts_from(data)]
        parts += _parts_from(content)
        parts += [ToolCall.from_dict(call) for call in data.get("tool_calls") or ()]
        return cls(cast("Role", role), parts)


def _thoughts_from(data: Mapping[str, Any]) -> list[Thought]:
    """One thought, or several where a provider has data of its own in them."""
    if data.get("thoughts"):
        return [Thought(t["text"], t.get("provider_meta") or {}) for t in data["thoughts"]]
    return [Thought(text) for text in [data.get("reasoning_content")] if text]


def _parts_from(content: Any) -> tuple[Part, ...]:
    if content is None or isinstance(content, str):
        return _as_parts(content or "")
    if not isinstance(content, Sequence):
        raise ConfigError(f"Message content is neither text nor a list: {_short(content)}")
    return tuple(_part_from_dict(part) for part in content)


def _flat(content: Any) -> str:
    parts = _parts_from(content)
    return "".join(p.text for p in parts if isinstance(p, TextPart))


def _part_to_dict(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        url = part.url or _data_url(part.data or b"", part.mime_type or "image/png")
        return {"type": "image_url", "image_url": {"url": url}}
    if isinstance(part, Audio):
        data = base64.b64encode(part.data).decode("ascii")
        return {"type": "input_audio", "input_audio": {"data": data, "format": _format(part)}}
    document = cast("Document", part)
    file = {"file_data": _data_url(document.data, document.mime_type), "filename": document.name}
    return {"type": "file", "file": {k: v for k, v in file.items() if v is not None}}


def _part_from_dict(part: Any) -> Part:
    if isinstance(part, str):
        return TextPart(part)
    try:
        kind = part["type"]
        if kind in ("text", "input_text", "output_text"):
            return TextPart(part["text"])
        if kind == "image_url":
            image = part["image_url"]
            return _image(image if isinstance(image, str) else image["url"])
        if kind == "input_audio":
            audio = part["input_audio"]
            return Audio(_bytes(audio["data"]), f"audio/{audio.get('format', 'wav')}")
        if kind == "file":
            mime_type, data = _from_data_url(part["file"]["file_data"])
            return Document(data, mime_type, part["file"].get("filename"))
    except (KeyError, TypeError) as error:
        raise ConfigError(f"A message part lacks a field: {_short(part)}") from error
    raise ConfigError(
        f"Unknown message part {kind!r}", hint="Use text, image_url, input_audio or file."
    )


def _image(url: str) -> Image:
    if not url.startswith("data:"):
        return Image(url=url)
    mime_type, data = _from_data_url(url)
    return Image(data, mime_type)


def _format(part: Audio) -> str:
    return part.mime_type.partition("/")[2].removeprefix("x-") or "wav"


def _data_url(data: bytes, mime_type: str) -> str:
    return f"data:{mime_type};base64,{base64.b64encode(data).decode('ascii')}"


def _from_data_url(url: str) -> tuple[str, bytes]:
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise ConfigError(f"Not a base64 data URL: {_short(url)}")
    return head[len("data:") : -len(";base64")], _bytes(data)


def _bytes(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError("Message media is not valid base64") from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
