"""Chat: messages in, a stream of events out.

>>> think_level(True), think_level("none"), think_level("")
('high', 'off', None)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import compress
from operator import attrgetter, ne
from typing import Any, Literal, Protocol, Union, get_args

import attrs
from attrs.validators import in_, instance_of, optional

from multitap.errors import ConfigError, NotSupported
from multitap.events import Event, Notice
from multitap.messages import Message, TextPart, Thought, Tool
from multitap.work import Work

__all__ = (
    "CacheHint",
    "ChatModel",
    "ChatRequest",
    "DeclaresOptions",
    "DeclaresThinkTags",
    "DeclaresTools",
    "TextTools",
    "ThinkLevel",
    "ThinkTags",
    "ToolChoice",
    "adjusted_think",
    "clamp_max_output_tokens",
    "nearest_think",
    "only_text",
    "think_level",
)

ThinkLevel = Literal["auto", "off", "minimal", "low", "medium", "high", "xhigh"]
ToolChoice = Union[Literal["auto", "none", "required"], Tool]
"""``Tool``: the model must call this one."""

_THINK_ALIASES: dict[str, ThinkLevel] = {
    "default": "auto",
    **dict.fromkeys(("false", "none", "disabled", "disable", "no", "0"), "off"),
    **dict.fromkeys(("true", "on", "yes", "1"), "high"),
}


def think_level(value: bool | str | None) -> ThinkLevel | None:
    """The level that a word, or a boolean, means; ``None`` where nothing was asked for."""
    if value is None:
        return None
    word = str(value).strip().lower()
    if not word:
        return None
    level = _THINK_ALIASES.get(word, word)
    for known in get_args(ThinkLevel):
        if level == known:
            found: ThinkLevel = known
            return found
    raise ConfigError(
        f"Unknown think level {value!r}", hint=f"Use one of {', '.join(get_args(ThinkLevel))}."
    )


_LEVELS: tuple[ThinkLevel, ...] = ("off", "minimal", "low", "medium", "high", "xhigh")


def nearest_think(level: ThinkLevel, offered: Collection[ThinkLevel]) -> ThinkLevel | None:
    """The level to send to a model that takes only these; ``None``: it takes none.

    Of two that are as near the lesser one is taken. Thinking that was asked for is not turned off
    where the model has any level of it, and ``off`` becomes the least where it cannot be turned
    off. ``auto`` leaves it to the model, so it needs no level.

    >>> nearest_think("xhigh", ["off", "low", "high"]), nearest_think("minimal", ["off", "high"])
    ('high', 'high')
    """
    if level == "auto" or level in offered:
        return level
    known: list[ThinkLevel] = [candidate for candidate in _LEVELS if candidate in offered]
    thinking: list[ThinkLevel] = [candidate for candidate in known if candidate != "off"]
    place = _LEVELS.index(level)
    nearest = sorted(thinking or known, key=lambda found: abs(_LEVELS.index(found) - place))
    return nearest[0] if nearest else None


def adjusted_think(
    level: ThinkLevel, offered: Collection[ThinkLevel]
) -> tuple[ThinkLevel | None, list[Notice]]:
    """The level to send, and a warning with the effective level where it is not the one asked for.

    >>> adjusted_think("minimal", ["low", "high"])[1][0].effective
    'low'
    """
    found = nearest_think(level, offered)
    if found == level:
        return level, []
    if found is None:
        message = f"This model takes no think level; the answer was made without {level!r}."
        return None, [Notice("unsupported_option", message, "think")]
    message = f"This model has no think level {level!r}; {found!r} is the nearest one."
    return found, [Notice("adjusted_option", message, "think", effective=found)]


def clamp_max_output_tokens(requested: int, ceiling: int) -> tuple[int, bool]:
    """The number of tokens to ask for, and whether the ceiling cut it; 0 is no ceiling.

    >>> clamp_max_output_tokens(100, 50), clamp_max_output_tokens(-1, 50)
    ((50, True), (-1, False))
    """
    if requested > ceiling > 0:
        return ceiling, True
    return requested, False


def only_text(message: Message) -> str:
    """The text of a message, for a server that takes nothing else; thoughts are left out.

    Raises:
        NotSupported: The message has another part, which must not be lost in silence.

    >>> only_text(Message("user", "hi"))
    'hi'
    """
    for part in message.parts:
        if not isinstance(part, (TextPart, Thought)):
            kind = type(part).__name__.lower()
            raise NotSupported(
                f"Only text can be sent here, and a message has a part of kind {kind}"
            )
    return message.text


def _tag(_: object, attribute: attrs.Attribute[str], tag: object) -> None:
    if not isinstance(tag, str) or not 2 <= len(tag.strip()) == len(tag) <= 64:
        raise ValueError(f"{attribute.name} has to be a tag of 2 to 64 characters, such as <think>")


@attrs.frozen(kw_only=True)
class ThinkTags:
    """The tags around a model's thinking, where its server leaves them in the text.

    Attributes:
        open: The tag before it; case makes no difference, and it may have attributes.
        close: The tag behind it.
        opened: The model's template writes the opening tag, so that an answer begins within.
        anywhere: Blocks in the middle of an answer count too, not only one at its start.
    """

    open: str = attrs.field(default="<think>", validator=_tag)
    close: str = attrs.field(default="</think>", validator=_tag)
    opened: bool = attrs.field(default=False, validator=instance_of(bool))
    anywhere: bool = attrs.field(default=False, validator=instance_of(bool))


def _template(_: object, __: object, prompt: str | None) -> None:
    if prompt is not None and "{tools}" not in prompt:
        raise ValueError("prompt needs {tools}, where the tools are to stand")


@attrs.frozen(kw_only=True)
class TextTools:
    """Tools in words, for a model that has none: it reads of them, and writes its calls as text.

    Attributes:
        prompt: What it is told, with ``{tools}`` where the tools are to stand; ``None``: our words.
        place: Where it is told: behind the last user message, or in the system's.
    """

    prompt: str | None = attrs.field(
        default=None, validator=[optional(instance_of(str)), _template]
    )
    place: Literal["user", "system"] = attrs.field(
        default="user", validator=in_(("user", "system"))
    )


@attrs.frozen(kw_only=True)
class CacheHint:
    """How the prompt may be cached: it changes no answer, only what is computed and paid again.

    Attributes:
        conversation: Calls with the same name begin alike, so they are best answered together.
        ttl: Seconds for which the prompt will be wanted again, where the server is told.
        keep: ``False``: nothing of this prompt is to be found by another call, or reused for it.
    """

    conversation: str | None = attrs.field(default=None, validator=optional(instance_of(str)))
    ttl: float | None = attrs.field(default=None, validator=optional(instance_of((int, float))))
    keep: bool = attrs.field(default=True, validator=instance_of(bool))


@attrs.frozen(kw_only=True)
class ChatRequest:
    """What to ask a model. ``None`` means "not asked for", so it is not sent; ``0`` is sent.

    Attributes:
        model: The model's id at this backend.
        messages: At least one.
        response_schema: JSON Schema of the answer; an empty one asks for any JSON object.
        max_tokens: Most tokens of the answer.
        stop: Texts that end the answer; they are not part of it.
        think: How hard to think first; ``auto`` leaves it to the model.
        logprobs: Alternatives to report for each token (0: only the token's own).
        n: Answers to give.
        truncate: Cut a prompt that is too long, within a message.
        shift: Drop the oldest turns of a prompt that is too long.
        cache: How the prompt may be cached.
        stream: Whether the caller reads the answer as it comes.
        extra: Options of this provider alone, sent as they are.
        metadata: The application's own notes on the call, for extensions; never sent.
    """

    model: str
    messages: tuple[Message, ...] = attrs.field(repr=False)
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    response_schema: Mapping[str, Any] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    think: ThinkLevel | None = None
    logprobs: int | None = None
    n: int = 1
    truncate: bool = False
    shift: bool = False
    cache: CacheHint | None = None
    stream: bool = True
    extra: Mapping[str, Any] = attrs.field(factory=dict)
    metadata: Mapping[str, Any] | None = attrs.field(default=None, repr=False)

    def asked(self) -> Sequence[str]:
        """Names of the options that differ from "not asked for"."""
        return list(compress(_DEFAULTS, map(ne, _values(self), _DEFAULTS.values())))


_FIXED = frozenset({"model", "messages", "stream", "extra", "metadata"})
_DEFAULTS = {f.name: f.default for f in attrs.fields(ChatRequest) if f.name not in _FIXED}
_values = attrgetter(*_DEFAULTS)


class ChatModel(Protocol):
    """Implemented by a plugin; stateless and safe to share between threads."""

    def chat(self, request: ChatRequest, /) -> Work[Event]:
        """The work that answers. May raise ``BadRequest`` or ``NotSupported`` for the request.

        The events end with ``Stop``, or with ``Failed``. Notices come first, or
        right before usage; usage comes before ``Stop``, and a tool call is ``ToolCallStart``,
        chunks, ``ToolCallEnd``. Of several choices each has a ``Stop``; that of the first comes
        last, and is the end.
        """
        ...


class DeclaresOptions(Protocol):
    """A chat model may say which options reach its server; others then become warnings."""

    @property
    def options(self) -> Collection[str]:
        """Names of ``ChatRequest``'s fields, such as ``{"max_tokens", "seed"}``."""
        ...


class DeclaresThinkTags(Protocol):
    """A chat model may say that its server leaves the thinking in the text, between tags.

    ``llm.toml`` has the last word, with ``think_tags``.
    """

    @property
    def think_tags(self) -> ThinkTags | None:
        """The tags; ``None``: there are none."""
        ...


class DeclaresTools(Protocol):
    """A chat model may say that its server takes no tools, so that they are put into words.

    Without it, that is so where ``options`` are declared and ``tools`` is not among them.
    ``llm.toml`` has the last word, with ``tools``.
    """

    @property
    def tools(self) -> TextTools | None:
        """How they are put into words; ``None``: the server takes them as they are."""
        ...
