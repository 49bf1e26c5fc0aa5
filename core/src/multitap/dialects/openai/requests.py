"""Bodies of chat completions: what a profile says, and a notice for each thing that differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from multitap.capabilities.chat import adjusted_think
from multitap.dialects.openai.messages import encode_messages
from multitap.dialects.openai.strictness import is_strict
from multitap.dialects.openai.tools import encode_tool_use
from multitap.dialects.schema import clean_schema
from multitap.events import Notice

if TYPE_CHECKING:
    from multitap.capabilities.chat import ChatRequest
    from multitap.dialects.openai.profile import Profile

__all__ = ("encode_chat", "response_format")

_NOT_ENFORCED = (
    "The server was told the schema and does not hold the model to it: that needs every object to"
    " have additionalProperties false and to require all its properties."
)
_PLAIN = ("max_tokens", "temperature", "top_p", "seed")


def encode_chat(request: ChatRequest, profile: Profile) -> tuple[dict[str, Any], list[Notice]]:
    """The body, where ``request.extra`` has the last word, and what is not as it was asked for.

    Zeros are sent, what is ``None`` is not. What lies in a field that the profile has for thinking,
    or for every body, is laid over by ``extra`` key by key; any other field is replaced.

    Raises:
        BadRequest: A name that the server would refuse; it says what to change.
        NotSupported: A part of a message that cannot be sent.

    >>> from multitap.capabilities.chat import ChatRequest
    >>> from multitap.dialects.openai.profile import Profile
    >>> from multitap.messages import Message
    >>> request = ChatRequest(model="m", messages=[Message("user", "hi")], stream=False, seed=0)
    >>> encode_chat(request, Profile(provider="acme"))
    ({'model': 'm', 'messages': [{'role': 'user', 'content': 'hi'}], 'seed': 0}, [])
    """
    taken, asked = profile.options, request.asked()
    notices = [_untaken(name) for name in asked if name not in taken]
    request = _fitted(request, profile, notices)
    thinking = _thinking(request, profile, notices) if "think" in asked else {}
    body: dict[str, Any] = {
        **profile.base,
        "model": request.model,
        "messages": encode_messages(request.messages, profile, notices),
    }
    if request.tools:
        body.update(encode_tool_use(request, profile, notices))
    if request.stream:
        body.update(_streaming(profile))
    if asked:
        body.update(_options(request, profile))
    if "response_schema" in asked:
        body.update(_format(request, profile, notices))
    if "cache" in asked:
        body.update(_caching(request, profile, notices))
    if thinking or request.extra:
        _lay_over(body, thinking, request.extra, {*profile.base, *thinking})
    return body, notices


def _untaken(name: str) -> Notice:
    message = f"This model cannot honour {name}; the answer was made without it."
    return Notice("unsupported_option", message, name)


def _fitted(request: ChatRequest, profile: Profile, notices: list[Notice]) -> ChatRequest:
    if profile.always_streams:
        request = attrs.evolve(request, stream=True)
    if profile.logprobs_with_tools or not request.tools or request.logprobs is None:
        return request
    message = "This server gives no log probabilities beside tools; the answer has none."
    notices.append(Notice("unsupported_option", message, "logprobs"))
    return attrs.evolve(request, logprobs=None)


def _lay_over(
    body: dict[str, Any], thinking: Mapping[str, Any], extra: Mapping[str, Any], shared: set[str]
) -> None:
    for layer in (thinking, extra):
        for name, value in layer.items():
            below = body.get(name)
            if name in shared and isinstance(below, Mapping) and isinstance(value, Mapping):
                body[name] = {**below, **value}
            else:
                body[name] = value


def _streaming(profile: Profile) -> dict[str, Any]:
    usage = {"stream_options": {"include_usage": True}} if profile.stream_options else {}
    return {"stream": True, **usage}


def _options(request: ChatRequest, profile: Profile) -> dict[str, Any]:
    keys = profile.fields
    options: dict[str, Any] = {}
    for name in _PLAIN:
        value = getattr(request, name)
        if value is not None and name in keys:
            options[keys[name]] = value
    if request.stop and "stop" in keys:
        options[keys["stop"]] = list(request.stop)
    if request.n != 1 and "n" in keys:
        options[keys["n"]] = request.n
    if request.logprobs is not None and "logprobs" in keys:
        options[keys["logprobs"]] = True
        options |= {"top_logprobs": request.logprobs} if request.logprobs else {}
    return options


def _thinking(request: ChatRequest, profile: Profile, notices: list[Notice]) -> Mapping[str, Any]:
    level = request.think
    if level is None or not profile.think or (level == "auto" and "auto" not in profile.think):
        return {}
    effective, told = adjusted_think(level, profile.think)
    notices += told
    return profile.think[effective] if effective else {}


def _caching(request: ChatRequest, profile: Profile, notices: list[Notice]) -> Mapping[str, Any]:
    if request.cache is None or profile.cache is None:
        return {}
    told = profile.cache(request.cache)
    if not told:
        message = "The server has no option for this hint; its own cache is as it always is."
        notices.append(Notice("unsupported_option", message, "cache"))
    return told


def _format(request: ChatRequest, profile: Profile, notices: list[Notice]) -> dict[str, Any]:
    if request.response_schema is None or "response_schema" not in profile.fields:
        return {}
    schema = dict(request.response_schema) or ({} if profile.json_objects else {"type": "object"})
    if schema and profile.clean_schemas:
        cleaned = clean_schema(schema)
        schema = cleaned.schema
        for sentence in cleaned.told:
            message = f"The schema of the answer was rewritten: {sentence}"
            notices.append(Notice("adjusted_schema", message, "response_schema"))
    strict = bool(schema) and profile.strict_schemas and is_strict(schema)
    if schema and profile.strict_schemas and not strict:
        notices.append(Notice("schema_not_enforced", _NOT_ENFORCED, "response_schema"))
    return {profile.fields["response_schema"]: response_format(schema, strict=strict)}


def response_format(schema: Mapping[str, Any], *, strict: bool = False) -> dict[str, Any]:
    """The value of ``response_format``; an empty schema asks for any JSON object."""
    if not schema:
        return {"type": "json_object"}
    named = {"name": "answer", "schema": dict(schema), **({"strict": True} if strict else {})}
    return {"type": "json_schema", "json_schema": named}
