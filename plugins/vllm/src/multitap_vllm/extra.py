"""``extra`` of a chat: the fields that vLLM has beyond OpenAI's, put where they belong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multitap.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multitap.capabilities.chat import ChatRequest

__all__ = ("own_options",)

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
