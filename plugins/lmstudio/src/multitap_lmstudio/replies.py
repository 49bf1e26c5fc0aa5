"""Requests within an operation.

A status of 200 proves nothing here: LM Studio gives it for routes that it does not have, with
``{"error": "Unexpected endpoint or method. …"}``.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from multitap.dialects.openai.errors import openai_error
from multitap.dialects.replies import reply_json, reply_text
from multitap.errors import NotSupported, ProtocolError
from multitap.work import HttpCall, HttpReply, Json, fetch

__all__ = ("ask", "is_unknown_route", "too_old")

Answer = dict[str, Any]


def ask(
    method: str, path: str, body: object = None, *, first_byte: float | None = None
) -> Generator[HttpCall, HttpReply, Answer]:
    """Inside ``Steps``: ``answer = yield from ask("GET", "/api/v1/models")``; a JSON object."""
    reply = yield from fetch(
        HttpCall(
            method=method,
            path=path,
            body=None if body is None else Json(body),
            idempotent=method == "GET",
            first_byte=first_byte,
        )
    )
    found = reply_json(reply)
    if not isinstance(found, dict):
        said = reply_text(reply)
        raise ProtocolError(f"No JSON object came from {path}: {said!r}", phase="parse")
    if found.get("error"):
        error = openai_error(found["error"])
        error.status, error.phase = reply.status, "parse"
        raise error
    return found


def is_unknown_route(error: Exception) -> bool:
    """Is this route not there, in LM Studio's way of saying so?"""
    return isinstance(error, ProtocolError) and error.message.startswith("Unexpected endpoint")


def too_old(verb: str) -> NotSupported:
    """The error for a verb that came with the native API, version 1."""
    return NotSupported(
        f"This LM Studio cannot {verb} models over HTTP",
        hint="Update it to 0.4 or later, or do it in the app.",
    )
