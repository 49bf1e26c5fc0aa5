"""What cuts across all plugins: observers of calls, and what they and filters are told of a call.

An extension is a distribution with entry points in the group ``multitap.extension``; see
``multitap.hookspecs`` for its hooks. Nothing here is called for each token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from multitap.errors import MultitapError
from multitap.events import StopReason, Usage

__all__ = (
    "AnswerObserver",
    "AttemptEnd",
    "CallEnd",
    "CallInfo",
    "Observer",
    "RequestObserver",
    "WireAnswer",
    "WireRequest",
)


@attrs.frozen(kw_only=True)
class CallInfo:
    """One call of an application.

    Attributes:
        id: Unique in this process and beyond.
        capability: What was asked for, such as ``chat``.
        backend: The backend's id.
        provider: Its kind.
        distribution: The plugin that serves it.
        model: The model's id at the backend; empty where none is asked.
        streamed: Does the application read the results as they come?
        metadata: What the application passed along with a chat call: the same object, never sent.
    """

    id: str
    capability: str
    backend: str
    provider: str
    distribution: str
    model: str
    streamed: bool
    metadata: Mapping[str, Any] | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class AttemptEnd:
    """How one attempt went.

    Attributes:
        number: From 1; a call of several requests counts each of them anew.
        seconds: How long it took, without the wait before the next one.
        error: Why it failed; ``None`` where it did not, or was given up by the application.
        delay: Seconds to wait before the next attempt; ``None``: there is none.
    """

    number: int
    seconds: float
    error: MultitapError | None = None
    delay: float | None = None


@attrs.frozen(kw_only=True)
class CallEnd:
    """How a call ended.

    Attributes:
        seconds: How long it took, as far as the application read it.
        first_result: Seconds until the first text or other result; ``None``: there was none.
        usage: What it cost, where the backend said so.
        stop_reason: Of a chat call: why the answer ended. Of any call: ``cancelled``, ``error``.
        attempts: How many there were.
        error: Why it failed; ``None`` where it did not, or was cancelled.
    """

    seconds: float
    first_result: float | None = None
    usage: Usage | None = None
    stop_reason: StopReason | None = None
    attempts: int = 0
    error: MultitapError | None = None


@attrs.frozen(kw_only=True)
class WireRequest:
    """One request as it is sent; keys are masked, and nothing else is changed.

    Attributes:
        method: Such as ``POST``.
        url: The endpoint with the path and its query.
        headers: All but those that the carrier adds: ``host``, ``content-length`` and the like.
        body: Its first 16384 characters; ``None``: it is read from files while it is sent.
        size: The whole body's bytes.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None = attrs.field(default="", repr=False)
    size: int = 0


@attrs.frozen(kw_only=True)
class WireAnswer:
    """One answer as it came; keys are masked, and nothing else is changed.

    Attributes:
        status: Of HTTP, such as 200.
        headers: All of them; names are in lower case.
        body: Its first 16384 characters, as far as it was read.
        size: The bytes that were read of it.
    """

    status: int
    headers: Mapping[str, str]
    body: str = attrs.field(default="", repr=False)
    size: int = 0


class Observer(Protocol):
    """Implemented by an extension; shared by all calls and threads.

    Each method is called once for each call, or attempt, whatever becomes of it, and returns at
    once: the call waits for it. What it raises is counted, and reaches no call; after five faults
    in a row, or three times that it took a second, it is told of nothing more.
    """

    def call_started(self, call: CallInfo, /) -> None:
        """A call begins: its work is about to be sent."""
        ...

    def attempt_started(self, call: CallInfo, number: int, /) -> None:
        """An attempt begins."""
        ...

    def attempt_ended(self, call: CallInfo, end: AttemptEnd, /) -> None:
        """The attempt is over."""
        ...

    def call_ended(self, call: CallInfo, end: CallEnd, /) -> None:
        """The call is over; nothing more is said of it."""
        ...


class RequestObserver(Observer, Protocol):
    """An observer that is also told what goes over the wire; only then is it put together.

    Both methods are called for each request of an attempt, before and after it is waited for; work
    in this process has none.
    """

    def request_sent(self, call: CallInfo, request: WireRequest, /) -> None:
        """A request is about to be sent."""
        ...

    def response_started(self, call: CallInfo, status: int, headers: Mapping[str, str], /) -> None:
        """Its answer begins; names of headers are in lower case, and cookies and keys masked."""
        ...


class AnswerObserver(RequestObserver, Protocol):
    """An observer that is also told what was answered; only then is any of it kept."""

    def response_ended(self, call: CallInfo, answer: WireAnswer, /) -> None:
        """An answer is over: it was read to its end, or given up."""
        ...
