"""What llama.cpp reports, as Multitap's errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from multitap.errors import (
    BackendError,
    BadRequest,
    ContextOverflow,
    EngineError,
    NotSupported,
    Overloaded,
)

__all__ = ("failure", "raised")

TOO_LARGE = re.compile(r"input \((\d+) tokens\) is too large.*batch size: (\d+)", re.DOTALL)
KINDS: Mapping[str, type[BackendError]] = {
    "invalid_request_error": BadRequest,
    "not_supported_error": NotSupported,
    "unavailable_error": Overloaded,
}


def failure(error: Mapping[str, Any], model: str) -> BackendError:
    """The error of an answer's ``error`` object.

    >>> full = {"type": "exceed_context_size_error", "n_prompt_tokens": 412, "n_ctx": 256}
    >>> failure(full, "tiny").needed
    412
    """
    message = str(error.get("message") or "llama.cpp failed and does not say why")
    facts: dict[str, Any] = {"model": model, "phase": "local"}
    too_large = TOO_LARGE.search(message)
    if too_large:
        return _overflow(int(too_large[1]), int(too_large[2]), facts)
    if error.get("type") == "exceed_context_size_error":
        return _overflow(error.get("n_prompt_tokens"), error.get("n_ctx"), facts)
    return KINDS.get(str(error.get("type")), EngineError)(message, **facts)


def _overflow(needed: int | None, limit: int | None, facts: dict[str, Any]) -> ContextOverflow:
    return ContextOverflow(
        f"The input has {needed} tokens; the context holds {limit}",
        needed=needed,
        limit=limit,
        hint="Shorten it, or raise context in llm.toml if the model can hold more.",
        **facts,
    )


def raised(error: Exception, model: str) -> BackendError:
    """The error of an exception out of the library, which raises for a request that it refuses."""
    message = str(error)
    facts: dict[str, Any] = {"model": model, "phase": "local"}
    if "input is not supported" in message:
        return NotSupported(message.partition(" - ")[0], **facts)
    return (BadRequest if isinstance(error, ValueError) else EngineError)(message, **facts)
