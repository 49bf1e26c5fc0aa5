"""Rules of chat: what a refusal is made into."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from multitap import errors
from multitap.errors import BackendError, ContextOverflow, MultitapError
from multitap.events import Failed
from multitap.testing.finding import Finding
from multitap.testing.kit.chat.base import ChatBase
from multitap.testing.kit.facts import assert_says, facts_of_error
from multitap.testing.kit.rule import rule
from multitap.testing.kit.vector import Vector
from multitap.work import HttpReply

__all__ = ("Refusing",)

MEANING: dict[int, tuple[str, ...]] = {
    400: ("BadRequest",),
    401: ("AuthenticationError",),
    403: ("AuthenticationError",),
    404: ("ModelNotFound", "ProtocolError", "NotSupported"),
    408: ("Timeout",),
    409: ("BadRequest",),
    413: ("BadRequest", "ContextOverflow"),
    422: ("BadRequest",),
    429: ("RateLimited", "QuotaExceeded"),
    500: ("ProviderDown", "EngineError"),
    502: ("ProviderDown",),
    503: ("Overloaded",),
    504: ("ProviderDown", "Timeout"),
    529: ("Overloaded",),
}
"""What a status means where the body says no more; see the tree of `multitap.errors`."""

BODIES = {
    "no body": b"",
    "a page": b"<html><head><title>It broke</title></head><body>nginx</body></html>",
    "a text": b"It broke",
    "half of a JSON value": b'{"error": {"message": "It br',
    "null": b"null",
    "a list": b'["It broke"]',
    "a number": b"17",
    "an empty object": b"{}",
    "an empty error": b'{"error": {}}',
    "an error that is null": b'{"error": null}',
    "an error that is a list": b'{"error": [{"message": ["It broke"]}]}',
    "an error that is a number": b'{"error": 17, "message": {"a": 1}}',
    "wrong types": b'{"error": {"message": {"a": 1}, "code": {}, "type": ["x"], "param": 1}}',
    "no UTF-8": b'{"error": "\xff\xfe"}',
    "a lone NUL": b"\0",
    "deep JSON": b'{"error":' * 20_000,
}
WAIT = 7


class Refusing(ChatBase):
    """A refusal is told as the error that it means, whatever the server says."""

    @rule(
        "chat/refusals",
        "Every status of a refusal is the class that it means, whatever its body.",
        mend="Begin with multitap.dialects.replies.class_for_status, and read the body only for "
        "what it says more; anything may stand in it.",
        wire=True,
    )
    def test_a_status_is_the_error_that_it_means(self) -> None:
        explain = self.explain
        for status, meant in MEANING.items():
            for words, body in BODIES.items():
                headers = {"retry-after": str(WAIT), "content-type": "application/json"}
                asked = f"status {status}, {words}: {body[:80]!r}"
                error = explain(HttpReply(status, headers, body))
                self._is(error, meant, asked)

    def _is(self, error: Any, meant: tuple[str, ...], asked: str) -> None:
        names = [cls.__name__ for cls in type(error).__mro__]
        if not isinstance(error, BackendError) or not set(meant) & set(names):
            raise Finding(repr(error), expected=" or ".join(meant), smallest=asked)
        if error.retry_after not in (None, WAIT):
            raise Finding(f"retry_after {error.retry_after}", expected=WAIT, smallest=asked)
        if not error.hint.strip() or not error.message.strip():
            raise Finding(
                f"message {error.message!r}, hint {error.hint!r}",
                expected="what happened, and what to do next",
                smallest=asked,
            )

    @rule(
        "chat/errors",
        "What the server said went wrong is the error that was expected, in a stream as well.",
        mend="Read the server's own words for it, in explain and in record.",
        vectors="refusals",
        wire=True,
    )
    def test_a_recorded_refusal_is_the_error_that_it_means(self, vector: Vector) -> None:
        error = self._failure(vector)
        assert_says(facts_of_error(error), vector.expect, vector)
        meant = getattr(errors, vector.expect["error"], BackendError)
        if "retryable" not in vector.expect and error.retryable != meant.retryable:
            raise Finding(f"retryable is {error.retryable}", expected=meant.retryable)

    @rule(
        "chat/context",
        "A prompt that is too long is ContextOverflow, and nothing is tried again.",
        mend="Recognise the server's words for it, in explain or in record.",
        vectors="overflows",
        wire=True,
    )
    def test_a_prompt_that_is_too_long_is_an_overflow(self, vector: Vector) -> None:
        error = self._failure(vector)
        if not isinstance(error, ContextOverflow):
            raise Finding(repr(error), expected="ContextOverflow", smallest=vector)
        assert_says(facts_of_error(error), vector.expect, vector)

    def _failure(self, vector: Vector) -> MultitapError:
        """What a refusal, or a failure within an answer, is made into."""
        if vector.recording.status >= 400:
            return self.exchange(vector).explain(vector.recording.reply)
        events = self.read(vector)
        if not events or not isinstance(events[-1], Failed):
            raise Finding(
                "\n".join(map(repr, events)), expected=vector.expect["error"], smallest=vector
            )
        return events[-1].error


def told(value: Any) -> Iterator[str]:
    """Everything that an application may show of a result."""
    yield repr(value)
    yield str(value)
    if hasattr(value, "to_dict"):
        yield json.dumps(value.to_dict(), default=repr)
