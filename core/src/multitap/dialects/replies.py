"""What every dialect reads in a refusal: its class by status, its headers, and its text."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from multitap.errors import (
    AuthenticationError,
    BackendError,
    BadRequest,
    EngineError,
    ModelNotFound,
    NotSupported,
    Overloaded,
    ProtocolError,
    ProviderDown,
    QuotaExceeded,
    RateLimited,
    Timeout,
)
from multitap.excerpt import excerpt
from multitap.headers import request_id, retry_after

if TYPE_CHECKING:
    from multitap.work import HttpReply

__all__ = (
    "class_for_status",
    "reply_facts",
    "reply_json",
    "reply_text",
    "says_no_path",
    "told",
)

_BY_STATUS: dict[int, type[BackendError]] = {
    401: AuthenticationError,
    402: QuotaExceeded,
    403: AuthenticationError,
    404: ModelNotFound,
    405: ProtocolError,
    406: NotSupported,
    408: Timeout,
    410: NotSupported,
    415: NotSupported,
    429: RateLimited,
    501: NotSupported,
    503: Overloaded,
    529: Overloaded,
}
_PAGE = re.compile(r"(?i)\s*<(?:!doctype\s+html|html|head|body|title)\b")
_NO_SUCH_PATH = re.compile(
    r"(?i)(?:the server answered )?(?:404 )?(?:file |page )?not found(?:, and nothing else|\.)?"
    r"|method not allowed|invalid url \(.*"
)
_TITLE = re.compile(r"(?is)<title[^>]*>(.*?)</title>")


def class_for_status(status: int | None, *, in_stream: bool = False) -> type[BackendError]:
    """The class that a status means; a server's own fault within a stream is the engine's.

    >>> class_for_status(429).__name__, class_for_status(500).__name__
    ('RateLimited', 'ProviderDown')
    """
    found = _BY_STATUS.get(status or 0)
    if found is not None:
        return found
    if status is not None and 400 <= status < 500:
        return BadRequest
    return EngineError if in_stream else ProviderDown


def reply_facts(reply: HttpReply) -> dict[str, Any]:
    """Status, request id and retry time, as keyword arguments of a ``BackendError``."""
    known = {"request_id": request_id(reply.headers), "retry_after": retry_after(reply.headers)}
    return {"status": reply.status, **known}


def reply_json(reply: HttpReply) -> Any:
    """The body as JSON, or ``None`` where it is none."""
    try:
        return msgspec.json.decode(reply.body)
    except (ValueError, RecursionError):
        return None


def reply_text(reply: HttpReply) -> str:
    """The body in one line; of a page only its title, and of an empty body the status.

    >>> from multitap.work import HttpReply
    >>> reply_text(HttpReply(502, {}, b"<html><title>Bad Gateway</title><p>nginx"))
    'Bad Gateway'
    >>> reply_text(HttpReply(400, {}, b""))
    'The server answered 400 Bad Request, and nothing else'
    """
    body = reply.body.decode("utf-8-sig", "replace")
    said = _title(body) if body.lstrip().startswith("<") else excerpt(body)
    return said or _status(reply.status)


def says_no_path(text: str) -> bool:
    """Is a 404 about the path, and not about a model: by a server of files, a proxy, a framework?

    >>> says_no_path("404 Not Found"), says_no_path("model 'tiny' not found")
    (True, False)
    """
    return not text or _NO_SUCH_PATH.fullmatch(text) is not None


def told(text: str, limit: int = 500) -> str:
    """The beginning of what a server says; of a page that a gateway put there, only its title.

    >>> told("<html><title>Bad Gateway</title><p>nginx"), told("<|user|> is not allowed")
    ('Bad Gateway', '<|user|> is not allowed')
    """
    return _title(text) if _PAGE.match(text) else excerpt(text, limit)


def _title(page: str) -> str:
    title = _TITLE.search(page)
    return (excerpt(title[1]) if title else "") or "an HTML page"


def _status(status: int) -> str:
    known = {each.value: f" {each.phrase}" for each in HTTPStatus}
    return f"The server answered {status}{known.get(status, '')}, and nothing else"
