r"""Whole HTTP answers as steps: a plain one, JSON, NDJSON and server-sent events.

A stream may hold steps among its items, so that a test decides when it goes on, or how it breaks:

>>> from multitap.testing.steps import reset
>>> ndjson([{"text": "Hel"}, reset])
ndjson([{'text': 'Hel'}, reset])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from json import dumps
from typing import Any

from multitap.testing.connection import Connection
from multitap.testing.steps import Script, Step, send

__all__ = ("json", "ndjson", "respond", "sse")


def respond(
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    body: bytes | str = b"",
    *,
    chunked: bool = False,
) -> Step:
    """Send a whole answer at once.

    Args:
        status: Such as 503.
        headers: Beside the body's length, which is added.
        body: Bytes, or a text.
        chunked: Send the body as one chunk, instead of with its length.
    """
    content = body.encode() if isinstance(body, str) else body
    length = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(len(content))}
    framed = (_chunk(content) if content else b"") + LAST_CHUNK if chunked else content
    words = f"respond({status}, {dict(headers or {})}, {len(content)} bytes)"
    return Step(words, lambda _: send(_head(status, {**length, **(headers or {})}) + framed))


def json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Step:
    """Send a JSON value."""
    own = {"content-type": "application/json", **(headers or {})}
    whole = respond(status, own, dumps(value))
    return Step(f"json({value!r}, {status})", lambda _: whole)


def ndjson(
    lines: Iterable[Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    chunked: bool = True,
) -> Step:
    """Stream JSON values, one a line; each is a chunk of its own.

    Args:
        lines: Values; a text or bytes is sent as it is; a step is played in its place.
        status: The answer's status.
        headers: Beside the content type.
        chunked: ``False``: the body ends with the connection.
    """
    own = {"content-type": "application/x-ndjson", **(headers or {})}
    items = list(lines)
    return Step(f"ndjson({items!r})", lambda _: _stream(items, _line, status, own, chunked))


def sse(
    events: Iterable[Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    done: str | None = "[DONE]",
    chunked: bool = True,
) -> Step:
    """Stream server-sent events; each is a chunk of its own.

    Args:
        events: Values, sent as JSON; bytes are sent as they are; a text is the event's data; a step
            is played in its place.
        status: The answer's status.
        headers: Beside the content type.
        done: The data of a last event; ``None``: there is none.
        chunked: ``False``: the body ends with the connection.
    """
    own = {"content-type": "text/event-stream", **(headers or {})}
    items = [*events, *([] if done is None else [done])]
    return Step(f"sse({items!r})", lambda _: _stream(items, _event, status, own, chunked))


# ---- how -----------------------------------------------------------------------------------------

LAST_CHUNK = b"0\r\n\r\n"


def _last_chunk(connection: Connection) -> Step | None:
    return None if connection.closed else send(LAST_CHUNK)


def _stream(
    items: Iterable[Any],
    write: Callable[[Any], bytes],
    status: int,
    headers: Mapping[str, str],
    chunked: bool,
) -> list[Script]:
    framing = {"transfer-encoding": "chunked"} if chunked else {"connection": "close"}
    frame = _chunk if chunked else bytes
    script: list[Script] = [send(_head(status, {**headers, **framing}))]
    script += [item if callable(item) else send(frame(write(item))) for item in items]
    return [*script, _last_chunk] if chunked else script


def _line(item: Any) -> bytes:
    if isinstance(item, bytes):
        return item
    return item.encode() if isinstance(item, str) else dumps(item).encode() + b"\n"


def _event(item: Any) -> bytes:
    if isinstance(item, bytes):
        return item
    return b"data: %b\n\n" % (item if isinstance(item, str) else dumps(item)).encode()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    known = {int(each): each.phrase for each in HTTPStatus}
    lines = [f"HTTP/1.1 {status} {known.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
