"""Profiles: OpenAI's models, which differ, and what is asked of any other server."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import attrs

from multitap.capabilities.chat import ThinkLevel, nearest_think
from multitap.dialects.openai.profile import EFFORTS, FIELDS, Profile
from multitap.dialects.openai.responses import RESPONSE_FIELDS, response_levels
from multitap_openai.server import Server

__all__ = ("profile_of",)

_SAMPLING = {"temperature", "top_p", "stop", "logprobs"}
"""What models refuse while they think."""


@attrs.frozen
class Family:
    """What a family of OpenAI's models takes: its levels of thinking, and whether sampling.

    Attributes:
        pattern: Of the whole name.
        levels: Least first; none: it cannot be told how much to think.
        quiet: It does not think unless it is asked to, and may be sampled then.
    """

    pattern: str
    levels: tuple[ThinkLevel, ...] = ()
    quiet: bool = False

    def samples(self, think: ThinkLevel | None) -> bool:
        """Does it take sampling, where it is asked to think so much?"""
        level = "auto" if think is None else nearest_think(think, self.levels)
        return level == "off" or (level in ("auto", None) and self.quiet)


FAMILIES = (
    Family(r"gpt-.*-search-.*"),
    Family(r"gpt-5-chat.*|chatgpt-.*", quiet=True),
    Family(r"gpt-5\.\d+-chat.*", ("medium",)),
    Family(r"gpt-5-pro.*", ("high",)),
    Family(r"gpt-5\.\d+-pro.*", ("medium", "high", "xhigh")),
    Family(r"gpt-5\.1-codex-max.*|gpt-5\.[2-9]-codex.*", ("low", "medium", "high", "xhigh")),
    Family(r"gpt-5(?:\.1)?-codex.*", ("low", "medium", "high")),
    Family(r"gpt-5\.1(?:-.*)?", ("off", "low", "medium", "high"), quiet=True),
    Family(r"gpt-5(?:-.*)?", ("minimal", "low", "medium", "high")),
    Family(r"gpt-5\.[24](?:-.*)?", ("off", "low", "medium", "high", "xhigh"), quiet=True),
    Family(r"gpt-(?:5\.|[6-9]).*", ("off", "low", "medium", "high", "xhigh")),
    Family(r"o1-(?:preview|mini).*"),
    Family(r"o\d+(?:-.*)?", ("low", "medium", "high")),
    Family(r"gpt-[34].*", quiet=True),
)
"""The first that matches counts; a fine-tuned model is of the family that its name begins with."""


def profile_of(server: Server, model: str, think: ThinkLevel | None = None) -> Profile:
    """What this server takes for this model, where it is asked to think so much."""
    settings = server.backend.settings
    common = Profile(
        provider=server.backend.provider,
        path=server.path("/responses" if server.responds else "/chat/completions"),
        fields=_fields(server),
        think=_levels(server, list(EFFORTS)),
        system=settings.get("system", "keep"),
        stream_options=settings.get("stream_usage", True),
        documents={"application/pdf"},
    )
    if server.rules == "compatible":
        return common
    return _of_openai(server, common, model, think)


def _levels(
    server: Server, levels: Collection[ThinkLevel]
) -> Mapping[ThinkLevel, Mapping[str, Any]]:
    return response_levels(levels) if server.responds else {n: EFFORTS[n] for n in levels}


def _fields(server: Server) -> Mapping[str, str]:
    if server.responds:
        return RESPONSE_FIELDS
    usual = "max_completion_tokens" if server.rules == "openai" else "max_tokens"
    key = server.backend.settings.get("max_tokens_field") or usual
    return {**FIELDS, "max_tokens": key}


def _of_openai(server: Server, common: Profile, model: str, think: ThinkLevel | None) -> Profile:
    strict = attrs.evolve(
        common, tool_names=r"[a-zA-Z0-9_-]{1,64}", clean_schemas=True, strict_schemas=True
    )
    name = model.removeprefix("ft:").partition(":")[0]
    family = next((f for f in FAMILIES if re.fullmatch(f.pattern, name)), None)
    if family is None:  # newer than this table: the server may refuse what it does not take
        return strict
    samples = family.samples(think)
    fields = {n: k for n, k in strict.fields.items() if samples or n not in _SAMPLING}
    return attrs.evolve(strict, fields=fields, think=_levels(server, family.levels))
