"""Answers that are none: refusals as typed errors, redirects, and pages for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import attrs

from multitap.engine.call import Call
from multitap.errors import BackendError, ProtocolError, QuotaExceeded
from multitap.events import Notice
from multitap.excerpt import excerpt
from multitap.framing.decoder import Decoder
from multitap.headers import request_id, retry_after, should_retry
from multitap.nesting import within
from multitap.work import Explain, Head, HttpReply

__all__ = ("explained", "is_web_page", "media_type", "misnamed", "redirected", "web_page")


T = TypeVar("T")


def explained(call: Call[Any], head: Head, body: bytes, explain: Explain) -> BackendError:
    """The error that a plugin makes of a refusal, with what the headers tell besides."""
    reply = call.shown(HttpReply(head.status, head.headers, body))
    shown = within(
        reply.body[: call.limits.error_bytes],
        depth=call.limits.json_depth,
        digits=call.limits.json_digits,
    )
    error = explain(attrs.evolve(reply, body=shown))
    if not isinstance(error, BackendError):
        raise TypeError(f"explain returned {error!r}, which is no BackendError")
    error.status = error.status or head.status
    error.request_id = error.request_id or request_id(head.headers)
    if error.retry_after is None:
        error.retry_after = retry_after(head.headers)
    told = should_retry(head.headers)
    if told is not None:
        error.retryable = told and not isinstance(error, QuotaExceeded)
    return error


def redirected(head: Head) -> ProtocolError:
    """Nothing is sent to where the server points; of that only the host is told."""
    target = urlsplit(head.headers.get("location", "")).hostname or "another path"
    return ProtocolError(
        f"The server redirects to {target}",
        hint="Redirects are not followed; put the right address into endpoint in llm.toml.",
        kind="redirect_refused",
        status=head.status,
    )


def media_type(head: Head) -> str:
    """What the server calls its answer; empty where it does not say."""
    return head.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_web_page(media: str) -> bool:
    """Is the answer a page for people: some proxy's, or another kind of server's?"""
    return media == "text/html"


def misnamed(call: Call[T], media: str, decoder: object) -> Sequence[T]:
    """The warning of an answer that is called something else than what it is read as, once."""
    expected = decoder.media_types if isinstance(decoder, Decoder) else ()
    if not media or not expected or media in expected or media.endswith("+json"):
        return ()
    if media in call.told or not call.ends_with_stop:
        return ()
    call.told.add(media)
    known = " or ".join(sorted(expected))
    said = excerpt(media, 80)
    message = f"The server calls its answer {said}, where {known} was expected; it is read anyway."
    notice = Notice("other_content_type", message, provider_options={"content_type": said})
    return cast("Sequence[T]", [notice])  # of a call whose results are events


def web_page(body: bytes) -> ProtocolError:
    """The error of a page, of which no more than its title is told."""
    title = re.search(rb"(?is)<title[^>]*>(.*?)</title>", body)
    told = f": {excerpt(title[1])}" if title else ""
    message = f"The server sent a web page in place of an answer{told}"
    return ProtocolError(message, kind="bad_payload", phase="parse")
