"""How an answer ended: a finish reason in our words, or the failure that it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multitap.errors import BackendError, ContentFiltered, EngineError, Refused, TruncatedStream

if TYPE_CHECKING:
    from multitap.events import StopReason

__all__ = ("is_usual", "stop_reason")

_REASONS: dict[str, StopReason] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn"), "complete"),
    **dict.fromkeys(("length", "max_tokens", "model_length"), "max_tokens"),
    **dict.fromkeys(("tool_calls", "tool_use", "function_call"), "tool_use"),
    "stop_sequence": "stop_sequence",
}
_USUAL: dict[StopReason, str] = {
    "complete": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "stop_sequence": "stop_sequence",
}


def stop_reason(
    finish: str | None, *, called: bool = False, refused: bool = False, matched: bool = False
) -> StopReason | BackendError:
    """The reason that a ``finish_reason`` means, or the error.

    Args:
        finish: The server's word; ``None``: it never said one.
        called: Whether the answer has tool calls, which many servers end with ``stop``.
        refused: Whether the model declined.
        matched: Whether a stop text was met.

    >>> stop_reason("stop", called=True), stop_reason("eos_token")
    ('tool_use', 'complete')
    """
    if finish is None:
        return TruncatedStream("The answer ended without a finish_reason")
    word = finish.lower()
    if word in ("content_filter", "safety"):
        return ContentFiltered("A content filter of the server ended the answer")
    if refused or word == "refusal":
        return Refused("The model declined to answer")
    reason = _REASONS.get(word)
    if reason is None:
        kind = "provider_finish_error" if word == "error" else "provider_finish_other"
        return EngineError(f"The server ended the answer with {finish!r}", kind=kind)
    if called and reason != "max_tokens":
        return "tool_use"
    return "stop_sequence" if reason == "complete" and matched else reason


def is_usual(reason: StopReason, finish: str | None) -> bool:
    """Is this the word that OpenAI has for the reason? Then it tells nothing more."""
    return _USUAL.get(reason) == finish
