"""Errors of the OpenAI dialect: in a 4xx or 5xx body, and inside a stream."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from multitap.dialects.replies import (
    class_for_status,
    reply_facts,
    reply_json,
    reply_text,
    says_no_path,
    told,
)
from multitap.errors import (
    BackendError,
    BadRequest,
    ContentFiltered,
    ContextOverflow,
    ModelNotFound,
    NotSupported,
    Overloaded,
    ProtocolError,
)
from multitap.excerpt import excerpt

if TYPE_CHECKING:
    from multitap.work import HttpReply

__all__ = ("explain_openai", "openai_error")

_STATUS_OF_WORD = {
    "authentication_error": 401,
    "badrequesterror": 400,
    "billing_hard_limit_reached": 402,
    "insufficient_quota": 402,
    "internal_error": 500,
    "internalservererror": 500,
    "invalid_api_key": 401,
    "invalid_request": 400,
    "invalid_request_error": 400,
    "model_not_found": 404,
    "not_found_error": 404,
    "not_implemented": 501,
    "not_supported_error": 501,
    "notfounderror": 404,
    "notimplementederror": 501,
    "overloaded": 503,
    "overloaded_error": 503,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "serviceunavailableerror": 503,
    "unavailable_error": 503,
    "unsupported_parameter": 501,
    "unsupported_value": 501,
    "validation": 422,
}
_OVERFLOW_WORDS = {"context_length_exceeded", "exceed_context_size_error"}
_FILTER_WORDS = {"content_filter", "content_policy_violation", "moderation_blocked"}
_OVERFLOW = re.compile(
    r"(?i)exceeds the available context size|maximum context length|prompt is too long"
    r"|greater than the context length|context size has been exceeded|must have less than"
    r"|longer than the context length|exceeds the context length|is too large to process"
    r"|trying to keep the first \d+ tokens"
)
_LIMIT = re.compile(
    r"(?i)(?:context (?:size|length|window)(?! \(n_keep)|batch size:|tokens >|must have less than"
    r"|>= n_ctx:)\D{0,12}(\d+)"
)
_NEEDED = re.compile(
    r"(?i)(?:request \(|input \(|resulted in |too long: |prompt contains |keep the first )"
    r"(\d+) (?:input )?tokens|\(n_keep: (\d+)|tokens \((\d+) in (?:the|your) (?:messages|prompt)\b"
)
_UNSUPPORTED = re.compile(r"(?i)\bdoes not support\b|\bnot (?:currently |yet )?supported\b")
_LOADING = re.compile(
    r"(?i)\bloading (?:the )?model\b"
    r"|\bmodel\b.{0,99}\bis (?:still |currently )?(?:loading|being loaded)\b"
)
_UNEXPECTED_PATH = "Unexpected endpoint or method"  # LM Studio's, with status 200


def explain_openai(reply: HttpReply) -> BackendError:
    """The typed error of a 4xx or 5xx answer: JSON of any known shape, plain text, or a page.

    >>> from multitap.work import HttpReply
    >>> explain_openai(HttpReply(429, {"retry-after": "2"}, b'{"error": "slow"}')).retry_after
    2.0
    """
    body = reply_json(reply)
    if isinstance(body, dict):
        return openai_error(_error_in(body), reply=reply)
    return openai_error(reply_text(reply), reply=reply)


def _error_in(body: dict[str, Any]) -> Any:
    """The error of a body, which may be wrapped, bare, or FastAPI's ``detail``."""
    error = body.get("error") or body.get("detail")
    if isinstance(error, str):
        return {"message": error, "type": body.get("error_type") or body.get("type")}
    return error or body


def openai_error(error: Any, *, reply: HttpReply | None = None) -> BackendError:
    """The typed error that an ``error`` value means: an object or a text.

    Args:
        error: What stands under ``error``.
        reply: The answer that it came with; ``None`` inside a stream.

    >>> openai_error({"code": 503, "message": "Loading model"})
    Overloaded('Loading model')
    """
    facts = _innermost(error if isinstance(error, dict) else {"message": error})
    words = {str(facts[k]).lower() for k in ("code", "type", "error_type") if facts.get(k)}
    message = _message(facts) or "The server reports an error and does not say which"
    known: dict[str, Any] = (
        reply_facts(reply) if reply else {"status": _number(facts), "phase": "stream"}
    )
    if words & _OVERFLOW_WORDS or _OVERFLOW.search(message):
        limit, needed = _overflow(facts, message)
        return ContextOverflow(message, limit=limit, needed=needed, **known)
    if words & _FILTER_WORDS:
        return ContentFiltered(message, **known)
    found = _class(facts, words, message, reply)
    if found is Overloaded and _LOADING.search(message):
        known |= {"kind": "model_loading", "hint": "Try again when the model is loaded."}
    return found(message, **known)


def _innermost(facts: dict[str, Any]) -> dict[str, Any]:
    """The error itself, where a gateway put what its engine said into a text, as JSON."""
    text = facts.get("message")
    if not isinstance(text, str) or not text.lstrip().startswith("{"):
        return facts
    try:
        inner = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return facts
    inner = inner.get("error", inner) if isinstance(inner, dict) else None
    return {**facts, **inner} if isinstance(inner, dict) and inner.get("message") else facts


def _message(facts: dict[str, Any]) -> str:
    for name in ("message", "error", "detail", "msg"):
        if facts.get(name):
            return told(str(facts[name]))
    return excerpt(str(facts), 500) if any(facts.values()) else ""


def _number(facts: dict[str, Any]) -> int | None:
    for name in ("code", "http_status_code", "status"):
        value = facts.get(name)
        if isinstance(value, str) and len(value) == 3 and value.isdecimal():
            value = int(value)
        if isinstance(value, int) and 400 <= value < 600:
            return value
    return None


def _class(
    facts: dict[str, Any], words: set[str], message: str, reply: HttpReply | None
) -> type[BackendError]:
    if message.startswith(_UNEXPECTED_PATH):
        return ProtocolError
    by_word = [_STATUS_OF_WORD[word] for word in words if word in _STATUS_OF_WORD]
    telling = [status for status in by_word if status in (402, 404, 429, 501)]
    status = next(iter(telling), None) or (reply.status if reply else _number(facts))
    found = class_for_status(status or next(iter(by_word), None), in_stream=reply is None)
    if found is ModelNotFound and says_no_path(message):
        return ProtocolError
    if _UNSUPPORTED.search(message) and (found is BadRequest or "input" in message):
        return NotSupported
    return found


def _overflow(facts: dict[str, Any], message: str) -> tuple[int | None, int | None]:
    limit, needed = facts.get("n_ctx"), facts.get("n_prompt_tokens")
    return _int(limit, _LIMIT.search(message)), _int(needed, _NEEDED.search(message))


def _int(value: Any, found: re.Match[str] | None) -> int | None:
    if isinstance(value, int):
        return value
    return int(next(filter(None, found.groups()))) if found else None
