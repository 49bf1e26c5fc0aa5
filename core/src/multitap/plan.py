"""From what an application passes to what a plugin is asked: pure, and checked before any I/O."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Union, get_args

import attrs

from multitap.capabilities.chat import (
    CacheHint,
    ChatRequest,
    ToolChoice,
    clamp_max_output_tokens,
    think_level,
)
from multitap.errors import ConfigError, NotSupported
from multitap.events import Notice
from multitap.media import check_media
from multitap.messages import Message, Part, Tool
from multitap.redaction import conceal_named
from multitap.surrogates import check_messages, check_text

__all__ = (
    "OPTIONS",
    "Prompt",
    "chat_request",
    "fit_to_model",
    "honoured",
    "texts_of",
    "unheard",
)

Prompt = Union[str, Sequence[Union[str, Part]]]
Messages = Iterable[Union[Message, Mapping[str, Any]]]


def chat_request(
    model: str,
    prompt: Prompt | None = None,
    *,
    messages: Messages | None = None,
    system: str | None = None,
    tools: Iterable[Tool | Mapping[str, Any]] | None = None,
    tool_choice: str | Mapping[str, Any] | Tool | None = None,
    **options: Any,
) -> ChatRequest:
    """The request that these arguments mean; a wrong one is a ``ConfigError`` that names it.

    Args:
        model: The model's id at its backend.
        prompt: As for ``Runtime.chat``, like all that follows.
        messages: In place of the prompt.
        system: A text.
        tools: Those that may be called.
        tool_choice: Among them.
        options: Those that are ``None`` are left out; what each may be stands in ``OPTIONS``.

    >>> chat_request("tiny", "hi", system=" ").messages
    (Message(role='user', parts=(TextPart(text='hi'),)),)
    """
    known = tuple(map(_tool, tools)) if tools else ()
    return ChatRequest(
        model=model,
        messages=_turns(prompt, messages, system),
        tools=known,
        tool_choice=None if tool_choice is None else _tool_choice(tool_choice, known),
        **_given(options),
    )


def _turns(
    prompt: Prompt | None, messages: Messages | None, system: str | None
) -> tuple[Message, ...]:
    if (prompt is None) == (messages is None):
        raise ConfigError("Pass either a prompt or messages=", hint="One of the two is needed.")
    if isinstance(prompt, str):
        turns = [Message("user", prompt)]
    else:
        turns = [] if prompt is None else [Message("user", _parts(prompt))]
    if messages is not None:
        turns += [m if isinstance(m, Message) else Message.from_dict(m) for m in messages]
    if not any(map(_parts_of, turns)):
        raise ConfigError("There is nothing to ask: the prompt is empty")
    check_media(turns)
    if not isinstance(system, (str, type(None))):
        raise ConfigError(f"system is {system!r}, which is not a text")
    opening = [Message("system", system)] if system and system.strip() else []
    check_messages((*opening, *turns))
    return (*opening, *turns)


_parts_of = attrgetter("parts")


def _parts(prompt: Any) -> Any:
    """A prompt of texts and parts; turns of a conversation are told apart from them."""
    if not isinstance(prompt, Sequence):
        return prompt
    for part in prompt:
        if isinstance(part, (Message, Mapping)):
            raise ConfigError(
                "The prompt holds turns of a conversation", hint="Pass them as messages=[…]."
            )
        if not isinstance(part, (str, *get_args(Part))):
            raise ConfigError(
                f"The prompt holds {part!r}, which is no text and no part of a message",
                hint="Pass texts, and parts such as Image.",
            )
    return prompt


def _tool(tool: Tool | Mapping[str, Any]) -> Tool:
    if not isinstance(tool, (Tool, Mapping)):
        raise ConfigError(f"{tool!r} is no tool", hint="Pass Tool objects, or OpenAI's dicts.")
    return tool if isinstance(tool, Tool) else Tool.from_dict(tool)


def _tool_choice(choice: str | Mapping[str, Any] | Tool, tools: Sequence[Tool]) -> ToolChoice:
    if choice in ("auto", "none", "required"):
        return choice  # type: ignore[return-value]
    name = _tool_name(choice)
    found = next((tool for tool in tools if tool.name == name), None)
    if found is None:
        offered = ", ".join(tool.name for tool in tools) or "none"
        raise ConfigError(
            f"tool_choice names {name!r}, which is not among the tools ({offered})",
            hint='Use "auto", "none", "required", or the name of one of them.',
        )
    return found


def _tool_name(choice: str | Mapping[str, Any] | Tool) -> str:
    if isinstance(choice, Tool):
        return choice.name
    if isinstance(choice, str):
        return choice
    function = choice.get("function", choice)
    return str(function.get("name")) if isinstance(function, Mapping) else str(function)


def _cache(cache: bool | str | Mapping[str, Any] | CacheHint) -> CacheHint:
    """A hint: a text is the conversation's name, and ``False`` keeps nothing."""
    if isinstance(cache, CacheHint):
        return cache
    try:
        if isinstance(cache, str):
            return CacheHint(conversation=cache)
        return CacheHint(**cache) if isinstance(cache, Mapping) else CacheHint(keep=cache)
    except TypeError:
        raise ConfigError(
            f"cache is {cache!r}, which is no hint",
            hint='Pass the name of a conversation, False, or {"conversation": …, "ttl": seconds}.',
        ) from None


def _schema(response_format: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The JSON Schema of a bare one, or of OpenAI's wrapping; ``{}`` is any JSON object."""
    if not isinstance(response_format, Mapping):
        raise ConfigError(f"response_format is {response_format!r}, which is no JSON Schema")
    if response_format.get("type") == "text":
        return None
    if response_format.get("type") == "json_object":
        return response_format.get("schema") or {}
    if response_format.get("type") != "json_schema":
        return response_format
    wrapped = response_format.get("json_schema")
    schema = wrapped.get("schema") if isinstance(wrapped, Mapping) else None
    if not isinstance(schema, Mapping):
        raise ConfigError(
            "response_format has no schema",
            hint='Pass {"type": "json_schema", "json_schema": {"schema": …}}, or the bare schema.',
        )
    return schema


def _stops(stop: str | Iterable[str]) -> tuple[str, ...]:
    texts: tuple[Any, ...] = (stop,) if isinstance(stop, str) else tuple(stop)
    for text in texts:
        if not isinstance(text, str) or not text:
            raise ConfigError(f"stop has {text!r} in it, which is no text to stop at")
    return texts


def _extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(extra, Mapping):
        raise ConfigError(f"extra is {extra!r}, which is not a mapping of options")
    conceal_named("extra", extra)  # a server may well send it back
    return dict(extra)


def _logprobs(value: bool | int) -> int | None:
    if value is False:
        return None
    return 0 if value is True else _at_least("logprobs", value, 0)


def _opaque(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same object, which nobody but the application and extensions looks into."""
    if isinstance(metadata, Mapping):
        return metadata
    raise ConfigError(f"metadata is {type(metadata).__name__}, not a mapping")


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{name} is {value!r}, which is not a number")
    return value


def _at_least(name: str, value: Any, least: int) -> int:
    if _whole(name, value) < least:
        raise ConfigError(f"{name} is {value}; the least is {least}")
    return int(value)


def _at_most(name: str, value: Any, most: float) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ConfigError(f"{name} is {value!r}, which is not a number")
    if not 0 <= value <= most:
        raise ConfigError(f"{name} is {value}, which is out of range")
    return value


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is {value!r}, which is neither True nor False")
    return value


OPTIONS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "response_format": ("response_schema", _schema),
    "stop": ("stop", _stops),
    "think": ("think", think_level),
    "logprobs": ("logprobs", _logprobs),
    "cache": ("cache", _cache),
    "extra": ("extra", _extra),
    "metadata": ("metadata", _opaque),
    "max_tokens": ("max_tokens", partial(_whole, "max_tokens")),
    "temperature": ("temperature", partial(_at_most, "temperature", most=sys.float_info.max)),
    "top_p": ("top_p", partial(_at_most, "top_p", most=1)),
    "seed": ("seed", partial(_whole, "seed")),
    "n": ("n", partial(_at_least, "n", least=1)),
    "truncate": ("truncate", partial(_switch, "truncate")),
    "shift": ("shift", partial(_switch, "shift")),
    "stream": ("stream", bool),
}
"""By argument: the field of the request, and what makes its value, or raises ``ConfigError``."""


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of what is given, checked by type and range."""
    unknown = options.keys() - OPTIONS
    if unknown:
        raise ConfigError(
            f"Unknown option {min(unknown)!r}", hint="Pass a backend's own options with extra={…}."
        )
    fields = {}
    for name, value in options.items():
        if value is not None:
            field, read = OPTIONS[name]
            fields[field] = read(value)
    return fields


# ---- what the backend can do ---------------------------------------------------------------------


_ALWAYS_HONOURED = frozenset({"shift", "truncate"})


def honoured(
    request: ChatRequest, options: Collection[str] | None, *, strict: bool, backend: str
) -> tuple[ChatRequest, list[Notice]]:
    """The request without the options that the plugin does not send, and a warning for each.

    ``options`` is what the plugin declares; ``None``: it declares nothing, so nothing is judged.
    ``shift`` and ``truncate`` are always honoured: the core does them where the backend does not.
    """
    if options is None:
        return request, []
    ignored = [n for n in request.asked() if n not in options and n not in _ALWAYS_HONOURED]
    if not ignored:
        return request, []
    if strict:
        raise NotSupported(
            f"The option {ignored[0]} cannot be honoured",
            backend=backend,
            model=request.model,
            hint="Leave it out, or call without strict=True to get a warning instead.",
        )
    fields = attrs.fields_dict(ChatRequest)
    defaults: dict[str, Any] = {name: fields[name].default for name in ignored}
    notices = [_ignored(name) for name in ignored]
    return attrs.evolve(request, **defaults), notices


def unheard(asked: Mapping[str, Any], options: Collection[str] | None) -> list[Notice]:
    """A warning for each option that is given and that the plugin does not declare.

    >>> asked = {"dimensions": 8, "input_type": "query"}
    >>> [notice.option for notice in unheard(asked, ["dimensions"])]
    ['input_type']
    """
    known = asked if options is None else options
    return [_ignored(n) for n, value in asked.items() if value is not None and n not in known]


def _ignored(name: str) -> Notice:
    message = f"This backend cannot honour {name}; the answer was made without it."
    return Notice("unsupported_option", message, name)


def fit_to_model(
    request: ChatRequest, max_output_tokens: int | None
) -> tuple[ChatRequest, list[Notice]]:
    """The request with no more ``max_tokens`` than the model can give, and a warning if it was cut.

    >>> request = chat_request("tiny", "hi", max_tokens=100)
    >>> fit_to_model(request, 50)[0].max_tokens
    50
    """
    if request.max_tokens is None or max_output_tokens is None:
        return request, []
    tokens, clamped = clamp_max_output_tokens(request.max_tokens, max_output_tokens)
    if not clamped:
        return request, []
    message = f"max_tokens was cut from {request.max_tokens} to {tokens}, the most of this model."
    notice = Notice("clamped", message, "max_tokens", effective=tokens)
    return attrs.evolve(request, max_tokens=tokens), [notice]


def texts_of(texts: str | Iterable[str], what: str) -> tuple[str, ...]:
    """One text or several; none, or an empty one, is a ``ConfigError`` that names its place."""
    rows = (texts,) if isinstance(texts, str) else tuple(texts)
    if not rows:
        raise ConfigError(f"There are no {what}", hint=f"Pass at least one of the {what}.")
    for place, row in enumerate(rows):
        if not row or type(row) is not str:
            raise ConfigError(f"Number {place} of the {what} is {row!r}, not a text")
        if not row.isascii():
            check_text(row, f"Number {place} of the {what}")
    return rows
