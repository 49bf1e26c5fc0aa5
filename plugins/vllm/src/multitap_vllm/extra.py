"""``extra`` of a chat: the fields that vLLM has beyond OpenAI's, put where they belong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from multitap.errors import BadRequest

if TYPE_CHECKING:
    from multitap.capabilities.chat import ChatRequest

__all__ = ("adapted", "own_options")

SHORT = ("regex", "choice", "grammar")
"""Constraints that may stand in ``extra`` by themselves; vLLM would drop them without a word."""

CONSTRAINTS = (*SHORT, "json", "json_object", "structural_tag")


def own_options(request: ChatRequest, *, usage_every_chunk: bool = False) -> dict[str, Any]:
    """``request.extra`` as vLLM reads it.

    Raises:
        BadRequest: Several constraints of the answer's form, of which vLLM takes one.

    >>> from multitap.capabilities.chat import ChatRequest
    >>> own_options(ChatRequest(model="m", messages=(), extra={"choice": ["yes"], "top_k": 5}))
    {'top_k': 5, 'structured_outputs': {'choice': ['yes']}}
    """
    extra = {name: value for name, value in request.extra.items() if name not in SHORT}
    form = {
        **extra.get("structured_outputs", {}),
        **{name: request.extra[name] for name in SHORT if name in request.extra},
    }
    _check_form(form, request)
    if form:
        extra["structured_outputs"] = form
    if request.stream and (usage_every_chunk or "stream_options" in extra):
        every = {"continuous_usage_stats": True} if usage_every_chunk else {}
        asked = extra.get("stream_options", {})
        extra["stream_options"] = {"include_usage": True, **every, **asked}
    return extra


def adapted(request: ChatRequest) -> ChatRequest:
    """The request to the adapter that ``extra["lora"]`` names, which to vLLM is a model.

    Raises:
        BadRequest: Several adapters, or one in part: vLLM applies one, and in full.

    >>> from multitap.capabilities.chat import ChatRequest
    >>> adapted(ChatRequest(model="m", messages=(), extra={"lora": {"style": 1, "law": 0}})).model
    'style'
    """
    extra = dict(request.extra)
    scales: Mapping[str, Any] = extra.pop("lora", {})
    applied = {name: scale for name, scale in scales.items() if scale}
    if any(scale != 1 for scale in applied.values()) or len(applied) > 1:
        raise BadRequest(
            "vLLM applies one LoRA adapter to an answer, and in full",
            hint="Give one of them the scale 1, and leave the others out.",
            kind="adapter_scale",
            model=request.model,
        )
    return attrs.evolve(request, model=next(iter(applied), request.model), extra=extra)


def _check_form(form: Mapping[str, Any], request: ChatRequest) -> None:
    given = [name for name in CONSTRAINTS if form.get(name) is not None]
    if request.response_schema is not None or "response_format" in request.extra:
        given.append("response_format")
    if len(given) > 1:
        raise BadRequest(
            f"vLLM takes one constraint of the answer's form, not {', '.join(given)}",
            hint="Leave one of them, or write a schema or grammar that says it all.",
            kind="several_constraints",
            model=request.model,
        )
