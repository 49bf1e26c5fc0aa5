"""What llama.cpp reports, as Multitap's errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multitap.dialects.openai.errors import openai_error
from multitap.errors import BackendError, BadRequest, ContextOverflow, EngineError, NotSupported

__all__ = ("failure", "raised")

LONGER = "Shorten it, or raise context in llm.toml if the model can hold more."


def failure(error: Mapping[str, Any], model: str) -> BackendError:
    """The error of an answer's ``error`` object.

    >>> full = {"type": "exceed_context_size_error", "n_prompt_tokens": 412, "n_ctx": 256}
    >>> failure(full, "tiny").needed
    412
    """
    found = openai_error(dict(error))
    found.model, found.phase, found.status = model, "local", None
    if isinstance(found, ContextOverflow):
        found.hint = LONGER
    return found


def raised(error: Exception, model: str) -> BackendError:
    """The error of an exception out of the library, which raises for a request that it refuses."""
    message = str(error)
    facts: dict[str, Any] = {"model": model, "phase": "local"}
    if "input is not supported" in message:
        return NotSupported(message.partition(" - ")[0], **facts)
    return (BadRequest if isinstance(error, ValueError) else EngineError)(message, **facts)
