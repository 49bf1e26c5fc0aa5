"""What TGI reports, as Multitap's errors.

TGI has four forms of error: ``{"error": "…", "error_type": "…"}``, an object in a stream that began
with status 200, plain text, and nothing at all. The number in a stream is always 422, and engine
faults share 424 with wrong requests, so the text decides, by the table in
``multitap_tgi.meanings``, and the status only where no row knows the text.

>>> stream_error({"message": "Model is overloaded", "http_status_code": 422})
Overloaded('Model is overloaded')
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multitap.dialects.replies import class_for_status, reply_facts, reply_json, reply_text, told
from multitap.errors import (
    AuthenticationError,
    BackendError,
    ContextOverflow,
    EngineError,
    ProtocolError,
)
from multitap_tgi.meanings import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap.work import HttpReply
    from multitap_tgi.meanings import Meaning

__all__ = ("explain_tgi", "explained", "stream_error")

_SILENT = {
    401: "The server wants its API key, which is missing or wrong",
    404: "There is no such path at this endpoint",
    405: "This path does not take the method",
}


def explain_tgi(reply: HttpReply) -> BackendError:
    """The typed error of a 4xx or 5xx answer: JSON, plain text, or nothing at all.

    >>> from multitap.work import HttpReply
    >>> explain_tgi(HttpReply(401, {}, b""))
    AuthenticationError('The server wants its API key, which is missing or wrong')
    """
    return explained(reply, MEANINGS)


def explained(reply: HttpReply, meanings: Sequence[Meaning]) -> BackendError:
    """The same by a table of texts."""
    body = reply_json(reply)
    if isinstance(body, dict):
        text = _text(body.get("error"))
    else:
        text = reply_text(reply) if reply.body else ""
    said = text or _SILENT.get(reply.status, "")
    return _error(said, _class(reply.status), reply_facts(reply), meanings)


def stream_error(error: object) -> BackendError:
    """The typed error of ``{"error": …}`` inside a stream: an object or a text."""
    return _error(_text(error), EngineError, {"phase": "stream"}, MEANINGS)


def _class(status: int) -> type[BackendError]:
    if status == 404:  # TGI answers every model's name: only the path can be wrong
        return ProtocolError
    return EngineError if status == 424 else class_for_status(status)


def _text(error: object) -> str:
    found = error.get("message") if isinstance(error, dict) else error
    return found if isinstance(found, str) else ""


def _error(
    text: str,
    otherwise: type[BackendError],
    facts: dict[str, Any],
    meanings: Sequence[Meaning],
) -> BackendError:
    message = told(text) or "TGI reports an error and does not say which"
    for meaning in meanings:
        found = meaning.says.match(text)
        if found and otherwise is not AuthenticationError:
            return _meant(meaning, message, found.groupdict(), facts)
    return otherwise(message, **facts)


def _meant(
    meaning: Meaning, message: str, said: dict[str, str], facts: dict[str, Any]
) -> BackendError:
    tokens = {name: int(value) for name, value in said.items() if len(value) < 19}
    if issubclass(meaning.error, ContextOverflow):
        facts = {**facts, **tokens}
    return meaning.error(message, hint=meaning.hint, kind=meaning.kind, **facts)
