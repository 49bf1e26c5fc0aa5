"""Answers in HTTP/1.1, as a carrier reads them."""

import zlib

from fuzz.inputs import LONGEST_MESSAGE, ways

from multitap.engine.direct.http1 import Response
from multitap.errors import BackendError
from multitap.policy.clocks import Limits

LIMITS = Limits()
SWELLS_TO = 200 * 4096 + (1 << 20)
WORDS = (
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 ", b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n\r\n", b"\r\n"),
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"),
    *(b"Content-Encoding: gzip\r\n", b"Content-Encoding: deflate\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
    *(b"0\r\n\r\n", b"204 ", b"304 ", b"101 ", b"502 ", b"a: b\r\n", b"Upgrade: x\r\n", b"hello"),
    *(b"Content-Length: 20\r\n", zlib.compress(b"hello"), zlib.compress(bytes(9999)), b"ffffffff"),
    *(b"Connection: keep-alive\r\n", b" ", b":", b"\0", b";a=b"),
)


def check(data):
    method, reset, body = "HEAD" if data[:1] > b"\xf0" else "GET", data[1:2] == b"\1", data[2:]
    whole, *others = (outcome(method, reset, pieces) for pieces in ways(body, data[:2]))
    for other in others:
        assert other == whole or is_bomb(whole, other)
    assert len(whole["body"]) <= SWELLS_TO
    assert len(whole["error"] or "") < LONGEST_MESSAGE


def is_bomb(*outcomes):
    """How far it may swell depends on how much of it came."""
    return all("limit_exceeded" in (outcome["error"] or "") for outcome in outcomes)


def outcome(method, reset, pieces):
    """What one carrier would tell: the head, the body, and the end or the failure."""
    response, body, error = Response("http://localhost:8000", method, LIMITS), b"", None
    rest = iter(piece for piece in pieces if piece)
    try:
        while not (response.complete and response.head is not None):
            receive(response, rest, reset)
            while response.head is not None and (some := response.take()):
                body += some
    except BackendError as failure:
        error = f"{type(failure).__name__} {failure.kind} {failure.phase} {failure}"
    head = response.head and (response.head.status, dict(response.head.headers))
    return {"head": head, "body": body, "error": error, "whole": response.complete and not error}


def receive(response, rest, reset):
    piece = next(rest, None)
    if piece is None:
        response.end(reset=reset)
    else:
        response.feed(piece)
