"""A chat request as llama.cpp wants it: llama-server's JSON, and what could not be honoured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from multitap.capabilities.chat import ChatRequest, ThinkLevel
from multitap.dialects.openai.profile import Profile
from multitap.dialects.openai.requests import encode_chat
from multitap.errors import BadRequest, NotSupported
from multitap.events import Notice
from multitap.messages import Audio, Document, Image
from multitap_llamacpp.control import kept_text
from multitap_llamacpp.models import ModelFile
from multitap_llamacpp.options import Adapter

__all__ = ("body_of", "check_parts", "fitted")

PROFILE = Profile(
    provider="llamacpp",
    think={},  # a matter of the model's template
    tool_choices={"auto", "none", "required"},
    images=(),
    audio=(),
    cache=lambda hint: {"cache_prompt": hint.keep},
)
EFFORTS: Mapping[ThinkLevel, str] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
}


def check_parts(request: ChatRequest) -> None:
    """Refuse what no text model can read."""
    parts = [part for message in request.messages for part in message.parts]
    kinds = [type(p).__name__.lower() for p in parts if isinstance(p, (Image, Audio, Document))]
    if kinds:
        raise NotSupported(
            f"The llamacpp plugin reads text only; the prompt holds: {', '.join(kinds)}",
            hint="Leave it out, or use a backend with a model that can see or hear.",
            model=request.model,
        )


def fitted(request: ChatRequest, model: ModelFile) -> tuple[ChatRequest, Sequence[Notice]]:
    """The request that this model can be asked, and a notice for each thing that is different."""
    notices: list[Notice] = []
    messages, broken_up = kept_text(request.messages, model.path)
    if broken_up:
        message = f"{broken_up} control tokens in the prompt's text were broken up to stay text."
        notices.append(Notice("control_tokens", message))
        request = attrs.evolve(request, messages=messages)
    if request.tools and request.logprobs is not None:
        message = "llama.cpp gives no log probabilities beside tools; the answer has none."
        notices.append(Notice("unsupported_option", message, "logprobs"))
        request = attrs.evolve(request, logprobs=None)
    if request.think not in (None, "auto", "off") and not model.thinks:
        message = f"The template of {model.id} knows no thinking; the answer was made without it."
        notices.append(Notice("unsupported_option", message, "think"))
        request = attrs.evolve(request, think=None)
    effort = EFFORTS.get(request.think or "auto")
    if effort is not None and effort != request.think:
        message = f"think={request.think} was rounded to {effort}."
        notices.append(Notice("rounded", message, "think"))
    return request, notices


def body_of(request: ChatRequest, adapters: Sequence[Adapter]) -> dict[str, Any]:
    """The JSON of a request; ``extra`` goes last and wins."""
    extra = dict(request.extra)
    bare = attrs.evolve(request, extra={}, think=None, stream=True)
    body, _ = encode_chat(bare, PROFILE)
    body["return_progress"] = True
    template = {**_thinking(request.think), **extra.pop("chat_template_kwargs", {})}
    if template:
        body["chat_template_kwargs"] = template
    if adapters:
        body["lora"] = _scales(extra.pop("lora", {}), adapters)
    return {**body, **extra}


def _thinking(level: ThinkLevel | None) -> dict[str, Any]:
    if level in (None, "auto"):
        return {}
    if level == "off":
        return {"enable_thinking": False}
    return {"enable_thinking": True, "reasoning_effort": EFFORTS[level]}


def _scales(wanted: Any, adapters: Sequence[Adapter]) -> Any:
    """How strongly each adapter is applied: as configured, or as ``extra={"lora": …}`` says."""
    if not isinstance(wanted, Mapping):
        return wanted
    names = [adapter.name for adapter in adapters]
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        raise BadRequest(
            f"There is no LoRA adapter {unknown[0]!r}; there are: {', '.join(names)}",
            hint="Name it in the setting lora of llm.toml.",
        )
    scales = [wanted.get(adapter.name, adapter.scale) for adapter in adapters]
    return [{"id": place, "scale": scale} for place, scale in enumerate(scales)]
