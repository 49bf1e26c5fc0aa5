"""Bodies of ``/api/chat``: options, load-time settings, and what could not be honoured."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from multitap.dialects.openai.tools import encode_tools
from multitap.errors import BadRequest
from multitap.events import Notice
from multitap.messages import Tool
from multitap_ollama.messages import encode_messages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multitap.capabilities.chat import ChatRequest, ThinkLevel
    from multitap.work import Backend

__all__ = ("SILENCE", "LoadSettings", "chat_body", "chat_notices")

SILENCE = 360.0
"""Seconds without a byte, headers included, that mean nothing: Ollama gives its runner 5 minutes to
load the model, then reads the prompt, and collects a whole call of a tool before it shows any."""

THINK: Mapping[ThinkLevel, bool | str] = {
    "off": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
}
TOP_LEVEL = frozenset(
    {"model", "messages", "tools", "stream", "format", "keep_alive", "options", "think"}
    | {"truncate", "shift", "logprobs", "top_logprobs", "_debug_render_only"}
)
"""Keys of ``extra`` that are fields of the request; all others are ``options``."""


@attrs.frozen(kw_only=True)
class LoadSettings:
    """What decides how a model is loaded, and for how long: the backend's settings.

    Ollama loads a model anew whenever a load-time setting differs from the last call's, so that
    every call of a backend must send the same ones.

    Attributes:
        num_ctx: Tokens of the context; ``None``: Ollama's default.
        shift: Whether an answer that outgrows the context goes on, the oldest tokens forgotten.
            ``None``: not if ``num_ctx`` is set, else as Ollama's default is, which is yes.
        keep_alive: How long the model stays loaded: ``"10m"``, or seconds; negative is for ever.
    """

    num_ctx: int | None = None
    shift: bool | None = None
    keep_alive: str | None = None

    @classmethod
    def of(cls, backend: Backend) -> LoadSettings:
        """From a backend's settings."""
        return cls(**{f.name: backend.settings.get(f.name) for f in attrs.fields(cls)})

    def body(self) -> dict[str, Any]:
        """The fields of a request, chat or load: absent where nothing was set.

        >>> LoadSettings(num_ctx=8192, keep_alive="-1").body()
        {'options': {'num_ctx': 8192}, 'shift': False, 'keep_alive': -1}
        """
        shift = False if self.shift is None and self.num_ctx is not None else self.shift
        context = None if self.num_ctx is None else {"num_ctx": self.num_ctx}
        fields = {"options": context, "shift": shift, "keep_alive": _duration(self.keep_alive)}
        return {name: value for name, value in fields.items() if value is not None}


def _duration(text: str | None) -> str | int | None:
    """Seconds as a number: Ollama refuses a text of digits alone."""
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text) else text


def chat_body(request: ChatRequest, settings: LoadSettings) -> dict[str, Any]:
    """The body of ``POST /api/chat``; ``request.extra`` has the last word.

    Raises:
        BadRequest: There is nothing to send, or ``max_tokens`` is below 1.
        NotSupported: A part that cannot be sent.

    >>> from multitap.capabilities.chat import ChatRequest
    >>> from multitap.messages import Message
    >>> request = ChatRequest(model="m", messages=[Message("user", "hi")], seed=0)
    >>> sorted(chat_body(request, LoadSettings()).items())[2:]
    [('options', {'seed': 0}), ('stream', True), ('truncate', False)]
    """
    messages = encode_messages(request.messages)
    if not messages:  # to Ollama that is an order to load the model
        raise BadRequest("There is nothing to ask: every message is empty", model=request.model)
    body = {"model": request.model, "messages": messages, "stream": request.stream}
    top, extra = _split(request.extra)
    loading = attrs.evolve(settings, num_ctx=extra.pop("num_ctx", settings.num_ctx)).body()
    if request.truncate and settings.shift is None:
        loading.pop("shift", None)  # where it is false, Ollama refuses to cut within a message
    options = {**loading.pop("options", {}), **_options(request), **extra}
    body |= {"truncate": request.truncate or request.shift, **loading, **_fields(request)}
    return {**body, **({"options": options} if options else {}), **top}


def _split(extra: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    top = {name: value for name, value in extra.items() if name in TOP_LEVEL}
    options = {name: value for name, value in extra.items() if name not in TOP_LEVEL}
    return top, {**top.pop("options", {}), **options}


def _options(request: ChatRequest) -> dict[str, Any]:
    if request.max_tokens is not None and request.max_tokens < 1:
        raise BadRequest(
            f"max_tokens is {request.max_tokens}, which Ollama takes for no limit",
            hint="Leave it out, or ask for at least 1.",
        )
    options: dict[str, Any] = {
        "num_predict": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop": list(request.stop) or None,
    }
    return {name: value for name, value in options.items() if value is not None}


def _fields(request: ChatRequest) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    tools = _offered(request)
    if tools:
        fields["tools"] = encode_tools(tools)
    if request.response_schema is not None:
        fields["format"] = dict(request.response_schema) or "json"
    if request.think not in (None, "auto"):
        fields["think"] = THINK[request.think]
    if request.logprobs is not None:
        fields["logprobs"] = True
        fields |= {"top_logprobs": request.logprobs} if request.logprobs else {}
    return fields


def _offered(request: ChatRequest) -> tuple[Tool, ...]:
    if request.tool_choice == "none":
        return ()
    return (request.tool_choice,) if isinstance(request.tool_choice, Tool) else request.tools


def chat_notices(request: ChatRequest) -> list[Notice]:
    """A notice for each thing that is asked for in another way than it was meant."""
    notices: list[Notice] = []
    if request.tool_choice not in (None, "auto", "none"):
        message = "Ollama cannot force a call: the model may answer without one."
        notices.append(Notice("unsupported_option", message, "tool_choice"))
    if request.think == "minimal":
        notices.append(Notice("rounded", "think=minimal was rounded to low.", "think"))
    return notices
