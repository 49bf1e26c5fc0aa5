"""The table of TGI's error texts: what each one means, and what to do about it."""

from __future__ import annotations

import re

import attrs

from multitap.errors import (
    BackendError,
    BadRequest,
    ContextOverflow,
    EngineError,
    NotSupported,
    Overloaded,
    ProviderDown,
)

__all__ = ("INVALID", "MEANINGS", "Meaning")


def _pattern(says: str) -> re.Pattern[str]:
    return re.compile(says)


@attrs.frozen
class Meaning:
    """What a text means; the pattern's groups ``limit`` and ``needed`` are facts.

    Attributes:
        says: What the text starts with.
        hint: What to do next.
    """

    error: type[BackendError]
    kind: str
    says: re.Pattern[str] = attrs.field(converter=_pattern)
    hint: str


INVALID = r"Input validation error: "
FAILED = r"Request failed during generation: "
LATER = "Wait a little; TGI takes as many at once as --max-concurrent-requests says."
SHORTER = "Shorten the prompt, or start TGI with a higher --max-input-tokens."
SHARE = "The prompt and max_tokens share the context: shorten the one, or lower the other."
GRAMMAR = "Start TGI without --disable-grammar-support, or leave out tools and response_format."
SCHEMA = (
    "Correct response_format: TGI takes the schema of an object with `properties`, without"
    " `not` and other things that no regular expression can say."
)
LOG = "Look at TGI's log; if the shard is gone, TGI has to be started anew."
TEMPLATE = (
    "The model's chat template cannot take this conversation: leave out the tools, or roles that"
    " it does not know; or give TGI another --tokenizer-config-path."
)
NO_TEMPLATE = (
    "Give TGI a --tokenizer-config-path that has a chat_template (it reads no chat_template.jinja),"
    " or use a model that is made for chat."
)
SMALLER = "Send smaller pictures, or start TGI with a higher --payload-limit."

# The first row that fits decides.
MEANINGS = (
    # ---- the context -----------------------------------------------------------------------------
    Meaning(
        ContextOverflow,
        "context_overflow",
        INVALID + r"`inputs` must have less than (?P<limit>\d+) tokens\. Given: (?P<needed>\d+)",
        SHORTER,
    ),
    Meaning(
        ContextOverflow,
        "context_overflow",
        INVALID + r"`inputs` tokens \+ `max_new_tokens` must be <= (?P<limit>\d+)\."
        r" Given: (?P<needed>\d+) ",
        SHARE,
    ),
    # ---- the request -----------------------------------------------------------------------------
    Meaning(NotSupported, "grammar_disabled", INVALID + "grammar is not supported", GRAMMAR),
    Meaning(
        BadRequest,
        "schema_invalid",
        INVALID + "(?:grammar is not valid|cannot compile regex from schema)",
        SCHEMA,
    ),
    Meaning(
        BadRequest,
        "stop_invalid",
        INVALID + "`stop` supports up to",
        "Pass fewer, or start TGI with a higher --max-stop-sequences.",
    ),
    Meaning(BadRequest, "option_invalid", INVALID, "Correct the option that the message names."),
    Meaning(
        NotSupported,
        "tools_with_schema",
        "Tool error: Grammar and tools are mutually exclusive",
        'Leave out the tools, or response_format; or pass tool_choice="none".',
    ),
    Meaning(
        BadRequest,
        "tool_call_incomplete",
        "Tool error: Failed to parse generated text",
        "Raise max_tokens, and give texts of the tool's schema a maxLength.",
    ),
    Meaning(BadRequest, "tool_invalid", "Tool error: ", "Correct tools and tool_choice."),
    Meaning(NotSupported, "template_missing", "Template error: template not found", NO_TEMPLATE),
    Meaning(BadRequest, "template_error", "Template error: |Missing template va", TEMPLATE),
    Meaning(
        BadRequest,
        "request_too_large",
        "Failed to buffer the request body: length limit exceeded",
        SMALLER,
    ),
    Meaning(
        BadRequest,
        "bad_request",
        "Failed to (?:deserialize|parse) |Expected request with ",
        "Correct what the message names.",
    ),
    # ---- the engine ------------------------------------------------------------------------------
    Meaning(Overloaded, "queue_full", "Model is overloaded", LATER),
    Meaning(
        BadRequest,
        "regex_invalid",
        FAILED + "Server error: Failed to build DFA",
        "Correct the regular expression.",
    ),
    Meaning(
        EngineError,
        "shard_down",
        FAILED + "Server error: (?:error trying to connect|transport error)",
        LOG,
    ),
    Meaning(EngineError, "generation_failed", FAILED + "|Incomplete generation", LOG),
    Meaning(ProviderDown, "unhealthy", "unhealthy", LOG),
)
