r"""What llama-server reports, as Multitap's errors.

Its errors have OpenAI's shape, but some that are the caller's say 500, and what a server was not
started for is told in a sentence. The table below knows those sentences, also of the server inside
llama-cpp-python; all else is the dialect's.

>>> from multitap.work import HttpReply
>>> error = explain_llamaserver(
...     HttpReply(500, {}, b'{"error": {"message": "input (900 tokens) is too large to process"}}')
... )
>>> type(error).__name__, error.needed
('ContextOverflow', 900)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from multitap.dialects.openai.errors import explain_openai
from multitap.errors import (
    BackendError,
    BadRequest,
    ContextOverflow,
    EngineError,
    ModelNotFound,
    NotSupported,
    Overloaded,
)

if TYPE_CHECKING:
    from multitap.work import HttpReply

__all__ = ("explain_llamaserver",)


@attrs.frozen
class Meaning:
    """What a sentence says: its error, a finer name for it, and what to do next."""

    says: str
    error: type[BackendError]
    kind: str | None
    hint: str


_LONGER = "Shorten the prompt, or start llama-server with a larger --ctx-size."
_LOAD = "Run `multitap load {backend}:MODEL`, or start llama-server without --no-models-autoload."

MEANINGS = (
    Meaning(
        "^Loading model",
        Overloaded,
        "model_loading",
        "Wait until it is loaded: `multitap doctor` says when it answers.",
    ),
    Meaning(
        "is too large to process",
        ContextOverflow,
        None,
        "Send shorter texts, or start llama-server with a larger --ubatch-size.",
    ),
    Meaning("exceeds the available context size", ContextOverflow, None, _LONGER),
    Meaning(
        r"(image|audio|video) input is not supported|does not support (image|audio|video) input",
        NotSupported,
        "media_not_supported",
        "Start llama-server with the model's --mmproj file, or ask a model that takes it.",
    ),
    Meaning(
        "does not support logits computation",
        NotSupported,
        "chat_not_supported",
        "This llama-server embeds or ranks; ask another one to chat.",
    ),
    Meaning(
        "must be created with embedding=True",
        NotSupported,
        "embedding_not_supported",
        "Start the server with `--embedding true`.",
    ),
    Meaning(
        "requires --jinja",
        NotSupported,
        "tools_not_supported",
        "Start llama-server with --jinja.",
    ),
    Meaning(
        "incompatible with enable_thinking",
        BadRequest,
        "prefill_refused",
        'End with a user\'s message, or pass think="off".',
    ),
    Meaning(
        "Failed to parse tool call arguments",
        BadRequest,
        "tool_arguments_invalid",
        "Send arguments that are a JSON object.",
    ),
    Meaning(
        "_M_range_check",
        BadRequest,
        "token_unknown",
        "Send ids that the model's tokenizer has.",
    ),
    Meaning(
        "^Unable to save slot",
        EngineError,
        "slot_not_saved",
        "Look whether the folder of --slot-save-path is there and has room, or at the log.",
    ),
    Meaning(
        "^Unable to restore slot",
        BadRequest,
        "slot_not_restored",
        "Name a file that was saved of this very model, and that its context has room for.",
    ),
    Meaning(
        "^Invalid filename",
        BadRequest,
        "slot_name_refused",
        "Give a plain name, such as story.bin: the folder is that of --slot-save-path.",
    ),
    Meaning(
        "does not support slots",
        NotSupported,
        "slots_not_supported",
        "Start llama-server with --slots to list them, with --slot-save-path FOLDER to save them.",
    ),
    Meaning(r"json\.exception\.|validation errors?:", BadRequest, None, BadRequest.default_hint),
    Meaning(
        "^model '.*' not found|^model is not found",
        ModelNotFound,
        None,
        "Run `multitap models {backend}` to see what there is, or `multitap pull` it.",
    ),
    Meaning("^model is not loaded", BadRequest, "model_unloaded", _LOAD),
    Meaning(
        "^model name is missing",
        BadRequest,
        "model_missing",
        "Name one of the models that `multitap models {backend}` lists.",
    ),
    Meaning(
        "model validation failed",
        ModelNotFound,
        None,
        "Name a GGUF repository of Hugging Face, such as ggml-org/gemma-3-4b-it-GGUF:Q4_K_M.",
    ),
)


def explain_llamaserver(reply: HttpReply, *, backend: str = "llamaserver") -> BackendError:
    """The typed error of a 4xx or 5xx answer.

    Args:
        reply: The answer.
        backend: The backend's id, for the commands that a hint names.
    """
    error = explain_openai(reply)
    for meaning in MEANINGS:
        if re.search(meaning.says, error.message):
            return _meant(meaning, error, backend)
    return error


def _meant(meaning: Meaning, error: BackendError, backend: str) -> BackendError:
    hint = meaning.hint.replace("{backend}", backend)
    if isinstance(error, meaning.error):  # it may know more, such as the limit of a context
        error.hint, error.kind = hint, meaning.kind or error.kind
        return error
    return meaning.error(
        error.message,
        hint=hint,
        kind=meaning.kind,
        status=error.status,
        request_id=error.request_id,
        retry_after=error.retry_after,
    )
