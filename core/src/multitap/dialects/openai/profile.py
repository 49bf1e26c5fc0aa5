"""What one server of OpenAI's dialect takes and gives, as data.

A plugin says it once; ``ChatCompletions`` does the rest. Nothing in the dialect asks who the server
is, so what a server alone does is either a field here, or a step of the plugin's own.

>>> from multitap.dialects.openai.profile import FIELDS, Profile
>>> profile = Profile(provider="acme", fields={**FIELDS, "max_tokens": "max_completion_tokens"})
>>> "max_tokens" in profile.options, "shift" in profile.options
(True, False)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import attrs

from multitap.capabilities.chat import CacheHint, ThinkLevel

__all__ = ("EFFORTS", "FIELDS", "Profile", "SystemPolicy")

SystemPolicy = Literal["keep", "merge", "first"]
"""What becomes of system messages.

``keep``: each is sent where it stands. ``merge``: one message at the beginning holds them all, and
a notice tells of any that stood later. ``first``: those at the beginning become one, and a later
one is refused.
"""

FIELDS: Mapping[str, str] = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
    "n": "n",
    "logprobs": "logprobs",
    "tools": "tools",
    "response_schema": "response_format",
}
"""``ChatRequest``'s fields, and the body's keys that OpenAI has for them."""

_LEVELS: tuple[ThinkLevel, ...] = ("off", "minimal", "low", "medium", "high", "xhigh")

EFFORTS: Mapping[ThinkLevel, Mapping[str, Any]] = {
    level: {"reasoning_effort": "none" if level == "off" else level} for level in _LEVELS
}
"""Every level as ``reasoning_effort``."""


def _options_of(profile: Profile) -> frozenset[str]:
    thinking = {"think"} if profile.think else set()
    choosing = {"tool_choice"} if "tools" in profile.fields else set()
    caching = {"cache"} if profile.cache else set()
    return frozenset({*profile.fields, *thinking, *choosing, *caching})


@attrs.frozen(kw_only=True)
class Profile:
    """What a server takes. The defaults are OpenAI's, as most servers copy them.

    Attributes:
        provider: The plugin's provider: the only one whose ``provider_meta`` is sent.
        path: Where chat completions are, after the endpoint.
        fields: The fields of ``ChatRequest`` that it takes, and the body's key of each.
        think: The levels that it has, and the body's fields that ask for each; the nearest one is
            taken for another. ``auto`` may be among them; left out, it sends nothing.
        tool_choices: The words that it keeps to: ``auto``, ``none``, ``required``, ``named``.
        images: How it takes pictures: ``data`` (in the message), ``url`` (which it fetches).
        audio: The formats of sound that it takes, such as ``wav``.
        documents: The types of files that it takes, such as ``application/pdf``.
        system: What becomes of system messages.
        tool_names: The pattern that names of tools have to match; ``None``: any.
        call_ids: The pattern that ids of calls have to match; ``None``: any.
        object_arguments: Whether arguments of a call go back as an object, not as its text.
        opaque: The entries of a call's own ``provider_meta`` that are sent with it.
        clean_schemas: Whether schemas have to be cleaned for it; see ``multitap.dialects.schema``.
        strict_schemas: Whether it holds to a schema only where ``"strict": true`` says so.
        stream_options: Whether a stream has usage only if ``stream_options`` asks for it.
        estimates: Whether usage is estimated where the server sends none.
        always_streams: Whether a whole answer is asked for as a stream too.
        logprobs_with_tools: Whether it gives log probabilities where there are tools.
        json_objects: Whether any JSON object can be asked for; else a schema of one is sent.
        parses_arguments: Whether it reads the arguments of earlier calls, and refuses those that
            are no JSON.
        cache: How a hint for the prompt's cache is written; ``None``: the server takes none.
        base: Fields that every body has.
        first_byte: Seconds of silence before the answer that mean nothing; ``None``: policy.
        idle: Seconds of silence within the answer that mean nothing; ``None``: policy.
        options: The fields of ``ChatRequest`` that reach the server, in one way or another.
    """

    provider: str
    path: str = "/v1/chat/completions"
    fields: Mapping[str, str] = FIELDS
    think: Mapping[ThinkLevel, Mapping[str, Any]] = EFFORTS
    tool_choices: Collection[str] = frozenset({"auto", "none", "required", "named"})
    images: Collection[str] = frozenset({"data", "url"})
    audio: Collection[str] = frozenset({"wav", "mp3"})
    documents: Collection[str] = frozenset()
    system: SystemPolicy = "keep"
    tool_names: str | None = None
    call_ids: str | None = None
    object_arguments: bool = False
    opaque: Collection[str] = frozenset({"extra_content"})
    clean_schemas: bool = False
    strict_schemas: bool = False
    stream_options: bool = True
    estimates: bool = True
    always_streams: bool = False
    logprobs_with_tools: bool = True
    json_objects: bool = True
    parses_arguments: bool = False
    cache: Callable[[CacheHint], Mapping[str, Any]] | None = None
    base: Mapping[str, Any] = attrs.field(factory=dict)
    first_byte: float | None = None
    idle: float | None = None

    options: frozenset[str] = attrs.field(
        default=attrs.Factory(_options_of, takes_self=True), init=False, eq=False, repr=False
    )
