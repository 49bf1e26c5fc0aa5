"""What a capability returns: work, described as data. Nothing here does I/O.

A plugin says what to send and how to read what comes back; the engine sends, reads, retries and
cancels, once for sync and for async. Three shapes are all there is:

``Exchange``
    one request over HTTP, its answer read by a decoder
``LocalExchange``
    blocking work in this process that pushes its results
``Operation``
    several requests in a row: polling, a token refresh, pull and then load

A *stage* turns input into outputs as it comes (``feed``) and at the end (``finish``). It never
raises a ``BackendError``: its last output is ``Failed(error)``. Cutting the input
elsewhere never changes the outputs, once ``multitap.events.normalise`` has joined what was cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, Union

import attrs

from multitap.errors import BackendError
from multitap.events import Failed

__all__ = (
    "Backend",
    "Body",
    "Digest",
    "Emit",
    "Exchange",
    "Explain",
    "File",
    "Head",
    "HttpCall",
    "HttpReply",
    "Json",
    "LocalExchange",
    "Multipart",
    "Operation",
    "Out",
    "Sleep",
    "Stage",
    "Steps",
    "Work",
    "fetch",
)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
In_contra = TypeVar("In_contra", contravariant=True)


# ---- what to send: data, so that every attempt encodes it afresh ---------------------------------


@attrs.frozen
class Json:
    """A body that is one JSON value: dicts, lists, texts, numbers, booleans and ``None``."""

    value: object


@attrs.frozen
class File:
    """A file, alone or in a form; the engine reads a ``Path`` block by block while it is sent."""

    name: str
    source: bytes | Path = attrs.field(repr=False)
    content_type: str = "application/octet-stream"


@attrs.frozen
class Multipart:
    """A ``multipart/form-data`` body; several files may stand under one name."""

    fields: Mapping[str, str]
    files: Mapping[str, File | Sequence[File]]


Body = Union[None, bytes, Json, File, Multipart]
"""Data, so that it can be sent again; ``File`` alone is sent as it is, with its own type."""


@attrs.frozen(kw_only=True)
class HttpCall:
    """One request. It holds no key: the engine adds ``Backend.auth`` to each attempt.

    Attributes:
        path: Relative to the backend's endpoint, such as ``/api/chat``; never absolute.
        idempotent: May it be sent twice? ``None``: by method.
        first_byte: Seconds until the first byte of the answer; ``None``: policy decides.
        idle: Seconds of silence within the answer; ``None``: policy decides.
    """

    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: Body = attrs.field(default=None, repr=False)
    idempotent: bool | None = None
    first_byte: float | None = None
    idle: float | None = None


@attrs.frozen
class Head:
    """Status and headers of an answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)


@attrs.frozen
class HttpReply:
    """A whole answer with a bounded body."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


# ---- how to read it ------------------------------------------------------------------------------


class Stage(Protocol[In_contra, T_co]):
    """A transducer: decoders are ``Stage[bytes, T]``, filters take and give batches of events."""

    def feed(self, data: In_contra, /) -> Sequence[T_co | Failed]:
        """What this input completes; possibly nothing."""
        ...

    def finish(self) -> Sequence[T_co | Failed]:
        """What is left at the end of the input; called once, and last."""
        ...


class Explain(Protocol):
    """Turns an answer with a status of 400 and more into a typed error."""

    def __call__(self, reply: HttpReply, /) -> BackendError:
        """The error; its body is at most 64 KiB."""
        ...


@attrs.frozen(kw_only=True)
class Exchange(Generic[T_co]):
    """One request and how to read its answer.

    ``decoder`` is a factory: each attempt gets a fresh decoder, made from the answer's head.
    """

    call: HttpCall
    decoder: Callable[[Head], Stage[bytes, T_co]] = attrs.field(repr=False)
    explain: Explain = attrs.field(repr=False)


# ---- the two other shapes ------------------------------------------------------------------------


class Emit(Protocol[In_contra]):
    """How local work hands over its results."""

    def __call__(self, items: Sequence[In_contra | Failed], /) -> bool:
        """Blocks while the reader is behind; ``False``: stop. ``emit([])`` only asks."""
        ...


@attrs.frozen
class LocalExchange(Generic[T_co]):
    """Blocking work in this process: ``run(emit)`` has a thread of its own, returns when done."""

    run: Callable[[Emit[T_co]], None] = attrs.field(repr=False)


@attrs.frozen
class Sleep:
    """Wait, inside an ``Operation``."""

    seconds: float


@attrs.frozen
class Digest:
    """The SHA-256 of a file, as 64 hexadecimal digits, inside an ``Operation``.

    The engine reads it, block by block and off the event loop: ``digest = yield Digest(path)``.
    """

    path: Path


@attrs.frozen
class Out(Generic[T_co]):
    """Hand results to the caller, inside an ``Operation``."""

    items: Sequence[T_co | Failed]


Steps = Generator[Union[HttpCall, Sleep, Digest, Out[T], Exchange[T]], Any, None]


@attrs.frozen
class Operation(Generic[T_co]):
    """Several requests. ``steps`` is a generator function; see ``fetch``."""

    steps: Callable[[], Steps[T_co]] = attrs.field(repr=False)
    explain: Explain = attrs.field(repr=False)


Work = Union[Exchange[T], LocalExchange[T], Operation[T]]


def fetch(call: HttpCall) -> Generator[HttpCall, HttpReply, HttpReply]:
    """Inside ``Steps``: ``reply = yield from fetch(HttpCall(...))``. A failure is raised there."""
    return (yield call)


# ---- what a plugin is given ----------------------------------------------------------------------


def _without_credentials(endpoint: str) -> str:
    return repr(re.sub(r"(?<=//).*@", "***@", endpoint, flags=re.DOTALL))


@attrs.frozen(kw_only=True)
class Backend:
    """One configured instance of a provider. It has settings, and no transport.

    Attributes:
        id: Its name in ``llm.toml``.
        provider: The kind of backend, as a plugin declares it.
        endpoint: The base URL without a trailing slash; empty where the provider needs none.
        settings: The section's other keys, checked against ``provider.toml``.
        auth: Headers for one attempt, made from the call and its final body (``b""`` where that
            is read from a file while it is sent); bound to the endpoint's origin and applied by
            the engine.
    """

    id: str
    provider: str
    endpoint: str = attrs.field(default="", repr=_without_credentials)
    settings: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    auth: Callable[[HttpCall, bytes], Mapping[str, str]] | None = attrs.field(
        default=None, repr=False
    )
