"""The events of a chat stream, their JSON form, and ``normalise``.

One stream is: notices, then any mix of text, reasoning, images and tool calls (``start``,
``chunk``\\*, ``end`` for each id), then usage, then exactly one terminal event. In Python a failure
is raised after the last event; in JSON it is ``error`` and then ``stop`` with ``"error"``.

Names and fields are those of the stream contract that programs outside are written against
(rows D-01 to D-06 of the specification): ``event.type``, ``event.content``, ``event.to_dict()``.

>>> event_from_dict({"type": "text", "content": "hi"})
Text(content='hi', choice=0, logprobs=None, provider_options=None)
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Union

import attrs

from multitap.errors import BackendError, error_from_dict
from multitap.redaction import redact, redact_within
from multitap.usage import Usage

__all__ = (
    "AudioData",
    "Event",
    "Failed",
    "ImageData",
    "Loading",
    "Notice",
    "Permission",
    "RateLimit",
    "Reasoning",
    "Stop",
    "StopReason",
    "Text",
    "TokenLogprob",
    "ToolCallChunk",
    "ToolCallEnd",
    "ToolCallStart",
    "Unknown",
    "Usage",
    "UsageReport",
    "event_from_dict",
    "normalise",
)

JsonObject = Mapping[str, Any]

StopReason = Literal[
    "complete",
    "max_tokens",
    "tool_use",
    "stop_sequence",
    "error",
    "cancelled",
    "content_filter",
    "refusal",
]
"""Why an answer ended. The first five are the contract's; a reader that knows only those may take
``cancelled``, ``content_filter`` and ``refusal`` as ``error``."""


class _Event:
    """What all events share: a name, whether they commit the call, and a JSON form."""

    __slots__: ClassVar[tuple[str, ...]] = ()
    type: ClassVar[str]
    semantic: ClassVar[bool] = True

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: ``type`` and every field that is set."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "__weakref__"}
        if not fields.get("choice"):
            fields.pop("choice", None)
        return {"type": self.type, **{k: v for k, v in fields.items() if v is not None}}

    @classmethod
    def from_dict(cls, data: JsonObject) -> Any:
        """The event of its JSON form; fields that this version does not know are dropped."""
        return cls(**{name: data[name] for name in cls.__slots__ if name in data})


@attrs.define(weakref_slot=False)
class TokenLogprob:
    """One token with the natural logarithm of its probability, and the likeliest alternatives."""

    token: str
    logprob: float
    bytes: Sequence[int] | None = None
    top: Sequence[TokenLogprob] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        facts: dict[str, Any] = {"token": self.token, "logprob": self.logprob}
        facts["bytes"] = self.bytes
        facts["top"] = [entry.to_dict() for entry in self.top] or None
        return {name: value for name, value in facts.items() if value is not None}

    @classmethod
    def from_dict(cls, data: JsonObject) -> TokenLogprob:
        """From the JSON form."""
        top = tuple(cls.from_dict(entry) for entry in data.get("top", ()))
        return cls(data["token"], data["logprob"], data.get("bytes"), top)


@attrs.define(weakref_slot=False)
class Text(_Event):
    """A piece of the answer."""

    type: ClassVar[str] = "text"
    content: str
    choice: int = 0
    logprobs: Sequence[TokenLogprob] | None = None
    provider_options: JsonObject | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        data = super().to_dict()
        if self.logprobs is not None:
            data["logprobs"] = [entry.to_dict() for entry in self.logprobs]
        return data

    @classmethod
    def from_dict(cls, data: JsonObject) -> Text:
        """From the JSON form."""
        logprobs = data.get("logprobs")
        found = None if logprobs is None else tuple(map(TokenLogprob.from_dict, logprobs))
        return cls(data["content"], data.get("choice", 0), found, data.get("provider_options"))


@attrs.define(weakref_slot=False)
class Reasoning(_Event):
    """A piece of the model's thinking; never sent back to a model."""

    type: ClassVar[str] = "reasoning"
    reasoning_content: str
    choice: int = 0
    provider_options: JsonObject | None = None


@attrs.define(weakref_slot=False)
class ToolCallStart(_Event):
    """The model begins to call a tool."""

    type: ClassVar[str] = "tool_call_start"
    tool_call_id: str
    tool_call_name: str
    choice: int = 0
    provider_options: JsonObject | None = None


@attrs.define(weakref_slot=False)
class ToolCallChunk(_Event):
    """A piece of a call's arguments, as JSON text."""

    type: ClassVar[str] = "tool_call_chunk"
    tool_call_id: str
    tool_call_arguments_chunk: str
    choice: int = 0
    provider_options: JsonObject | None = None


@attrs.define(weakref_slot=False)
class ToolCallEnd(_Event):
    """A call is whole: the arguments' text is that of its chunks, joined.

    ``incomplete``: the text is no JSON object, or one beyond the limits of JSON; or the answer was
    cut before the call's end.
    """

    type: ClassVar[str] = "tool_call_end"
    tool_call_id: str
    tool_call_arguments_complete: str | None = None
    incomplete: bool | None = None
    choice: int = 0
    provider_options: JsonObject | None = None


@attrs.define(weakref_slot=False)
class Permission(_Event):
    """An agent behind the backend asks for leave; ``permission`` is the contract's object."""

    type: ClassVar[str] = "permission"
    permission: JsonObject
    provider_options: JsonObject | None = None


@attrs.define(weakref_slot=False)
class UsageReport(_Event):
    """What the call cost, before ``stop``."""

    type: ClassVar[str] = "usage"
    semantic: ClassVar[bool] = False
    usage: Usage
    provider_options: JsonObject | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**super().to_dict(), "usage": self.usage.to_dict()}

    @classmethod
    def from_dict(cls, data: JsonObject) -> UsageReport:
        """From the JSON form."""
        return cls(Usage.from_dict(data["usage"]), data.get("provider_options"))


@attrs.define(weakref_slot=False)
class RateLimit(_Event):
    """The call waits in a queue; ``rate_limit`` is the contract's object."""

    type: ClassVar[str] = "rate_limit"
    semantic: ClassVar[bool] = False
    rate_limit: JsonObject
    provider_options: JsonObject | None = None


@attrs.define(weakref_slot=False)
class ImageData(_Event):
    """An image that the model made; in JSON its bytes are base64 under ``data``."""

    type: ClassVar[str] = "image_data"
    data: bytes
    mime_type: str
    choice: int = 0
    provider_options: JsonObject | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return _media_to_dict(self, "image_data")

    @property
    def image_data(self) -> dict[str, str]:
        """The contract's object: base64 ``data`` and ``mimeType``."""
        media: dict[str, str] = self.to_dict()["image_data"]
        return media

    @classmethod
    def from_dict(cls, data: JsonObject) -> ImageData:
        """From the JSON form."""
        return cls(**_media_fields(data, "image_data"))


@attrs.define(weakref_slot=False)
class AudioData(_Event):
    """Sound that the model made; ``sample_rate`` in hertz where the format does not carry it."""

    type: ClassVar[str] = "audio_data"
    data: bytes
    mime_type: str
    sample_rate: int | None = None
    choice: int = 0
    provider_options: JsonObject | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return _media_to_dict(self, "audio_data")

    @property
    def audio_data(self) -> dict[str, str]:
        """The contract's object: base64 ``data`` and ``mimeType``."""
        media: dict[str, str] = self.to_dict()["audio_data"]
        return media

    @classmethod
    def from_dict(cls, data: JsonObject) -> AudioData:
        """From the JSON form."""
        return cls(**_media_fields(data, "audio_data"), sample_rate=data.get("sample_rate"))


def _media_to_dict(event: ImageData | AudioData, name: str) -> dict[str, Any]:
    data = _Event.to_dict(event)
    content = base64.b64encode(data.pop("data")).decode("ascii")
    data[name] = {"data": content, "mimeType": data.pop("mime_type")}
    return data


def _media_fields(data: JsonObject, name: str) -> dict[str, Any]:
    media = data[name]
    return {
        "data": base64.b64decode(media["data"]),
        "mime_type": media["mimeType"],
        "choice": data.get("choice", 0),
        "provider_options": data.get("provider_options"),
    }


@attrs.define(weakref_slot=False)
class Loading(_Event):
    """The backend is getting ready: loading the model, or reading the prompt.

    ``completed`` and ``total`` count in the unit of ``status`` (bytes, tokens); ``None``: unknown.
    """

    type: ClassVar[str] = "loading"
    semantic: ClassVar[bool] = False
    status: str = attrs.field(converter=redact)
    completed: int | None = None
    total: int | None = None
    provider_options: JsonObject | None = None


@attrs.define(weakref_slot=False)
class Notice(_Event):
    """A warning: the call goes on, but not just as it was asked for.

    ``code`` is a stable word for programs (``unsupported_option``, ``clamped``, …); ``option``
    names the argument that it is about, and ``effective`` the value that holds in its place. It is
    made to be shown, so no key is in it.
    """

    type: ClassVar[str] = "warning"
    semantic: ClassVar[bool] = False
    code: str
    message: str = attrs.field(converter=redact)
    option: str | None = None
    effective: str | int | None = attrs.field(default=None, kw_only=True, converter=redact_within)
    provider_options: JsonObject | None = attrs.field(default=None, converter=redact_within)


@attrs.define(weakref_slot=False)
class Failed(_Event):
    """The terminal failure. Stages end with it; an application sees the error raised instead."""

    type: ClassVar[str] = "error"
    semantic: ClassVar[bool] = False
    error: BackendError

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: the message, and the error's facts under ``failure``."""
        failure = self.error.to_dict()
        return {"type": self.type, "error_message": str(self.error), "failure": failure}

    @classmethod
    def from_dict(cls, data: JsonObject) -> Failed:
        """From the JSON form."""
        failure = data.get("failure") or {"message": data.get("error_message", "")}
        return cls(error_from_dict(failure))


@attrs.define(weakref_slot=False)
class Stop(_Event):
    """The end of the answer (of each choice, where ``n`` is more than one)."""

    type: ClassVar[str] = "stop"
    semantic: ClassVar[bool] = False
    stop_reason: StopReason
    choice: int = 0
    provider_options: JsonObject | None = None


@attrs.define(weakref_slot=False)
class Unknown(_Event):
    """An event of a newer version; its JSON form is kept as it came."""

    semantic: ClassVar[bool] = False
    type: str  # type: ignore[misc]  # every other event has it on the class
    data: JsonObject

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, untouched."""
        return dict(self.data)


Event = Union[
    Text,
    Reasoning,
    ToolCallStart,
    ToolCallChunk,
    ToolCallEnd,
    Permission,
    UsageReport,
    RateLimit,
    ImageData,
    AudioData,
    Loading,
    Notice,
    Failed,
    Stop,
    Unknown,
]

_KNOWN: dict[str, Any] = {
    cls.type: cls
    for cls in (
        Text,
        Reasoning,
        ToolCallStart,
        ToolCallChunk,
        ToolCallEnd,
        Permission,
        UsageReport,
        RateLimit,
        ImageData,
        AudioData,
        Loading,
        Notice,
        Failed,
        Stop,
    )
}


def event_from_dict(data: JsonObject) -> Event:
    """The event of a JSON form; a type that this version does not know becomes ``Unknown``."""
    cls = _KNOWN.get(data["type"])
    event: Event = Unknown(data["type"], data) if cls is None else cls.from_dict(data)
    return event


def normalise(events: Iterable[Event]) -> list[Event]:
    """Merge neighbouring pieces of the same text, thought, call or sound.

    Two streams are the same answer when their normal forms are equal, however they were cut.

    >>> normalise([Text("a"), Text("b"), Stop("complete")])[0].content
    'ab'
    """
    merged: list[Event] = []
    for event in events:
        joined = _join(merged[-1], event) if merged else None
        if joined is None:
            merged.append(event)
        else:
            merged[-1] = joined
    return merged


def _join(a: Event, b: Event) -> Event | None:
    if isinstance(a, Text) and isinstance(b, Text) and _same_place(a, b):
        logprobs = None if a.logprobs is None and b.logprobs is None else _chain(a, b)
        return attrs.evolve(a, content=a.content + b.content, logprobs=logprobs)
    if isinstance(a, Reasoning) and isinstance(b, Reasoning) and _same_place(a, b):
        return attrs.evolve(a, reasoning_content=a.reasoning_content + b.reasoning_content)
    if isinstance(a, ToolCallChunk) and isinstance(b, ToolCallChunk) and _same_place(a, b):
        text = a.tool_call_arguments_chunk + b.tool_call_arguments_chunk
        same = a.tool_call_id == b.tool_call_id
        return attrs.evolve(a, tool_call_arguments_chunk=text) if same else None
    if isinstance(a, AudioData) and isinstance(b, AudioData) and _same_place(a, b):
        same = (a.mime_type, a.sample_rate) == (b.mime_type, b.sample_rate)
        return attrs.evolve(a, data=a.data + b.data) if same else None
    return None


def _same_place(a: Any, b: Any) -> bool:
    return bool(a.choice == b.choice and a.provider_options == b.provider_options)


def _chain(a: Text, b: Text) -> tuple[TokenLogprob, ...]:
    return (*(a.logprobs or ()), *(b.logprobs or ()))
