"""What a result says, as plain facts that a vector can be compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multitap.answer import Answer
from multitap.errors import MultitapError
from multitap.events import Usage
from multitap.testing.finding import Finding

__all__ = ("assert_says", "facts_of_answer", "facts_of_error", "facts_of_usage")

USAGE = ("input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
ERROR = ("kind", "status", "retry_after", "request_id", "limit", "needed", "retryable")


def facts_of_answer(answer: Answer) -> dict[str, Any]:
    """Text, reasoning, calls (name and arguments), stop reason, usage and the texts of choices.

    Of the usage only what is known: a count that is ``None`` is left out.
    """
    return {
        "text": answer.text,
        "reasoning": answer.reasoning,
        "calls": [[call.name, call.arguments] for call in answer.tool_calls],
        "stop_reason": answer.stop_reason,
        "usage": facts_of_usage(answer.usage),
        "usage_source": answer.usage.source,
        "warnings": [notice.code for notice in answer.warnings],
        "choices": [choice.text for choice in answer.choices],
    }


def facts_of_usage(usage: Usage) -> dict[str, int]:
    """The counts that are known."""
    counts = {name: getattr(usage, name) for name in USAGE}
    return {name: count for name, count in counts.items() if count is not None}


def facts_of_error(error: MultitapError) -> dict[str, Any]:
    """Its class under ``error``, its message, and what it knows."""
    facts = {name: getattr(error, name, None) for name in ERROR}
    return {"error": type(error).__name__, "message": error.message, **facts}


def assert_says(found: Mapping[str, Any], expected: Mapping[str, Any], smallest: object) -> None:
    """A ``Finding`` shows the facts that are not as expected; others are not looked at."""
    came = {name: found.get(name) for name in expected}
    if came != dict(expected):
        wrong = [name for name in expected if came[name] != expected[name]]
        raise Finding(
            {name: came[name] for name in wrong},
            expected={name: expected[name] for name in wrong},
            smallest=smallest,
        )
