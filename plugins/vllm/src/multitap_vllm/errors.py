r"""What vLLM refuses, as Multitap's errors.

Its errors have OpenAI's shape, and their class follows from it but for a few: of some the message
alone tells what is meant, and what to do about it. They are the same within a stream, where vLLM
reports what happened after the headers had gone out.

>>> from multitap.work import HttpReply
>>> body = b'{"error": {"message": "tiny is not a multimodal model", "code": 400}}'
>>> explain_vllm(HttpReply(400, {}, body)).kind
'media_unsupported'
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from multitap.dialects.openai.errors import explain_openai
from multitap.errors import BackendError, BadRequest, ContextOverflow, EngineError, NotSupported

if TYPE_CHECKING:
    from multitap.work import HttpReply

__all__ = ("explain_vllm", "meant")


def _pattern(says: str) -> re.Pattern[str]:
    return re.compile(says, re.IGNORECASE)


@attrs.frozen
class Meaning:
    """What a message means. ``error`` is ``None`` where the class is right already."""

    says: re.Pattern[str] = attrs.field(converter=_pattern)
    error: type[BackendError] | None
    kind: str
    hint: str


# The first row that fits decides.
MEANINGS = (
    Meaning(
        r"(?:method )?not (?:found|allowed)\.?",
        NotSupported,
        "route_missing",
        "The model that this server has may not be made for it (`multitap models` shows for what"
        " it is), or the endpoint is not that of vLLM.",
    ),
    Meaning(
        r"max_tokens must be at least 1, got 0\b.*",
        ContextOverflow,
        "context_overflow",
        "The prompt leaves no room for an answer: shorten it, or use a model of longer context.",
    ),
    Meaning(
        r"max_tokens=\d+ cannot be greater than max_model_len.*",
        BadRequest,
        "max_tokens_over_context",
        "Ask for fewer tokens, or leave max_tokens out: the answer may then fill the context.",
    ),
    Meaning(
        r".*(?:--enable-auto-tool-choice|--tool-call-parser)\b.*",
        NotSupported,
        "tools_disabled",
        "Start vLLM with --enable-auto-tool-choice and the --tool-call-parser of the model.",
    ),
    Meaning(
        r".*--trust-request-(?:chat-template|mm-kwargs)\b.*",
        NotSupported,
        "not_trusted",
        "Leave the option out, or start vLLM with the flag that the message names.",
    ),
    Meaning(
        r".*LoRA is not enabled.*",
        NotSupported,
        "adapters_disabled",
        "Start vLLM with --enable-lora.",
    ),
    Meaning(
        r".*is not a multimodal model.*|at most 0 (?:image|audio|video)\(?s?\)? may be provided.*",
        NotSupported,
        "media_unsupported",
        "Leave pictures and sound out, or use a model that can see or hear.",
    ),
    Meaning(
        r"at most \d+ \w+\(s\) may be provided.*",
        BadRequest,
        "too_many_media",
        "Send fewer, or start vLLM with a higher --limit-mm-per-prompt.",
    ),
    Meaning(
        r".*does not support matryoshka.*|.*only supports (?:matryoshka )?dimensions.*",
        NotSupported,
        "dimensions_unsupported",
        "Leave dimensions out, or use a model whose vectors can be shortened.",
    ),
    Meaning(
        r"EngineCore encountered an issue.*",
        EngineError,
        "engine_dead",
        "vLLM ends after this: start it again, and look at its log for the cause.",
    ),
    Meaning(
        r"the engine is currently busy.*|the engine has reached its prefill token backlog.*",
        None,
        "queue_full",
        "Wait a little and try again, or ask another vLLM.",
    ),
    Meaning(
        r"the server ended the answer with 'abort'",
        None,
        "aborted",
        "vLLM was put to sleep, or got other weights, in the middle of the answer: try again.",
    ),
    Meaning(
        r"the server ended the answer with 'repetition'",
        None,
        "repetition",
        "The answer repeated itself as repetition_detection says; leave that out to let it go on.",
    ),
)


def explain_vllm(reply: HttpReply) -> BackendError:
    """The typed error of a 4xx or 5xx answer of a model's route."""
    return meant(explain_openai(reply))


def meant(error: BackendError) -> BackendError:
    """The error itself, or the one that its message means, with the same facts.

    >>> from multitap.errors import EngineError
    >>> meant(EngineError("EngineCore encountered an issue.", phase="stream")).kind
    'engine_dead'
    """
    for meaning in MEANINGS:
        if meaning.says.fullmatch(error.message):
            return (meaning.error or type(error))(
                error.message,
                hint=meaning.hint,
                kind=meaning.kind,
                phase=error.phase,
                status=error.status,
                request_id=error.request_id,
                retry_after=error.retry_after,
            )
    return error
