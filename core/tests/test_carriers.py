"""One suite for every carrier: what a scripted server does, and what comes of it."""

import asyncio
import gzip
import itertools
import os
import socket
import ssl
import threading
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from multitap import errors
from multitap.engine.carrier import Request
from multitap.engine.direct.aio import AsyncDirectCarrier
from multitap.engine.direct.http1 import Response
from multitap.engine.direct.sync import DirectCarrier
from multitap.engine.direct.way import Way
from multitap.engine.httpx_carrier import AsyncHttpxCarrier, HttpxCarrier
from multitap.policy.clocks import Clocks, Limits
from multitap.testing import (
    CEILING,
    Connection,
    Server,
    client_closed,
    close,
    half_close,
    hold,
    repeat,
    request,
    reset,
    send,
    sleep,
    tell,
)
from multitap.work import Head, HttpCall

SECRET = "hush-canary-1234567890"
CLOCKS = Clocks(connect=CEILING, first_byte=CEILING, idle=CEILING)
LIMITS = Limits()
TINY = 0.05
OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: t\r\n\r\n"
)


class Driver:
    """Any carrier, driven from blocking code."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.direct = kind.startswith("direct")
        self.loop = asyncio.new_event_loop() if kind.endswith("async") else None
        self.carriers: list = []

    def carrier(self, url: str, **options):
        made = {
            "direct": DirectCarrier,
            "direct-async": AsyncDirectCarrier,
            "httpx": HttpxCarrier,
            "httpx-async": AsyncHttpxCarrier,
        }[self.kind](url, **options)
        self.carriers.append(made)
        return made

    def run(self, result):
        return self.loop.run_until_complete(result) if self.loop else result

    def send(self, transfer, call=None, clocks=CLOCKS, body=b"{}", limits=LIMITS) -> Head:
        call = call or HttpCall(method="POST", path="/api/chat")
        headers = {"authorization": f"Bearer {SECRET}"}
        sent = Request(call=call, headers=headers, body=body, limits=limits)
        return self.run(transfer.send(sent, clocks))

    def read(self, transfer) -> bytes:
        return self.run(transfer.read())

    def read_all(self, transfer) -> bytes:
        parts = []
        while part := self.read(transfer):
            parts.append(part)
        return b"".join(parts)

    def exchange(self, carrier, *args, **options) -> tuple[Head, bytes]:
        transfer = carrier.transfer()
        head = self.send(transfer, *args, **options)
        whole = self.read_all(transfer)
        self.run(transfer.done())
        return head, whole

    def close(self) -> None:
        for carrier in self.carriers:
            carrier.close()
        if self.loop and not self.loop.is_closed():
            self.loop.run_until_complete(settle())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()


async def settle() -> None:
    """Let what was closed and cancelled come to its end."""
    for _ in range(5):
        await asyncio.sleep(0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=CEILING)


@pytest.fixture(params=["direct", "direct-async", "httpx", "httpx-async"])
def driver(request) -> Iterator[Driver]:
    made = Driver(request.param)
    yield made
    made.close()


@pytest.fixture(params=["direct", "direct-async"])
def direct(request) -> Iterator[Driver]:
    made = Driver(request.param)
    yield made
    made.close()


def failure(driver: Driver, carrier, **options) -> errors.MultitapError:
    with pytest.raises(errors.MultitapError) as caught:
        driver.exchange(carrier, **options)
    if driver.loop:
        driver.run(settle())
    assert SECRET not in str(caught.value) + repr(caught.value) + repr(caught.value.__dict__)
    return caught.value


def facts(error: errors.MultitapError) -> tuple[type, str | None, str | None]:
    return type(error), error.kind, error.phase


# ---- answers -------------------------------------------------------------------------------------


def test_plain_answer(driver):
    with Server([request, send(OK), client_closed]) as server:
        head, body = driver.exchange(driver.carrier(f"{server.url}/v1/"))
        line, *headers = server.requests[0].raw.split(b"\r\n")
    assert (head.status, head.headers["content-type"], body) == (200, "text/plain", b"hello")
    assert line == b"POST /v1/api/chat HTTP/1.1"
    sent = dict(row.lower().split(b": ", 1) for row in headers if b": " in row)
    assert sent[b"authorization"] == f"bearer {SECRET}".encode()
    assert (sent[b"accept-encoding"], sent[b"content-length"]) == (b"identity", b"2")
    assert server.requests[0].raw.endswith(b"\r\n\r\n{}")


def test_header_names_in_lower_case_and_repeated_ones_joined(driver):
    answer = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n"
    with Server([request, send(answer)]) as server:
        head, _ = driver.exchange(driver.carrier(server.url))
    assert dict(head.headers) == {"x-a": "1, 2", "content-length": "0"}


@pytest.mark.parametrize("at", range(1, len(CHUNKED)))
def test_chunked_answer_cut_anywhere(direct, at):
    with Server([request, send(CHUNKED[:at]), send(CHUNKED[at:]), client_closed]) as server:
        head, body = direct.exchange(direct.carrier(server.url))
    assert (head.status, body) == (200, b"hello")


@pytest.mark.parametrize("size", range(1, len(CHUNKED)))
def test_chunked_answer_in_pieces(size):
    response = Response("http://localhost", "GET", Limits())
    body = b""
    for start in range(0, len(CHUNKED), size):
        assert not response.complete
        response.feed(CHUNKED[start : start + size])
        body += response.take()
    assert (body, response.complete, response.reusable) == (b"hello", True, True)


def test_chunked_answer(driver):
    with Server([request, send(CHUNKED), client_closed]) as server:
        assert driver.exchange(driver.carrier(server.url))[1] == b"hello"


def test_chunks_of_one_network_read_come_as_one(direct):
    with Server([request, send(CHUNKED), client_closed]) as server:
        transfer = direct.carrier(server.url).transfer()
        direct.send(transfer)
        assert [direct.read(transfer), direct.read(transfer)] == [b"hello", b""]
        direct.run(transfer.done())


def test_bytes_come_while_the_server_still_holds_the_rest(driver):
    more = threading.Event()
    first, second = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab", b"cd"
    with Server([request, send(first), hold(more), send(second), client_closed]) as server:
        transfer = driver.carrier(server.url).transfer()
        driver.send(transfer)
        assert driver.read(transfer) == b"ab"
        more.set()
        assert driver.read_all(transfer) == b"cd"
        driver.run(transfer.done())


def test_body_that_ends_with_the_connection(driver):
    with Server([request, send(b"HTTP/1.1 200 OK\r\n\r\nhello"), close]) as server:
        assert driver.exchange(driver.carrier(server.url))[1] == b"hello"


@pytest.mark.parametrize("status", [204, 304])
def test_answer_that_has_no_body(driver, status):
    answer = f"HTTP/1.1 {status} Nothing\r\n\r\n".encode()
    with Server([request, send(answer), request, send(OK)]) as server:
        carrier = driver.carrier(server.url)
        assert driver.exchange(carrier)[1] == b""
        assert driver.exchange(carrier)[1] == b"hello"
        assert len(server.connections) == 1


def test_answer_to_head_has_no_body(driver):
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
    with Server([request, send(answer), client_closed]) as server:
        call = HttpCall(method="HEAD", path="/")
        assert driver.exchange(driver.carrier(server.url), call, body=b"")[1] == b""


def test_informational_answers_are_passed_over(driver):
    early = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 8
    with Server([request, send(early + OK)]) as server:
        head, body = driver.exchange(driver.carrier(server.url))
    assert (head.status, "link" in head.headers, body) == (200, False, b"hello")


def test_redirect_is_left_to_the_caller(driver):
    with Server([request, send(OK)]) as elsewhere:
        location = f"location: {elsewhere.url}/\r\ncontent-length: 0\r\n\r\n"
        answer = b"HTTP/1.1 307 Temporary Redirect\r\n" + location.encode()
        with Server([request, send(answer)]) as server:
            head, _ = driver.exchange(driver.carrier(server.url))
        assert (head.status, elsewhere.connections) == (307, [])


def test_redirect_is_left_to_the_caller_by_a_client_that_follows_them(driver):
    if driver.direct:
        options = {}
    else:
        client = httpx.AsyncClient if driver.loop else httpx.Client
        options = {"client": client(follow_redirects=True)}
    answer = b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    with Server([request, send(answer), client_closed]) as server:
        head, _ = driver.exchange(driver.carrier(server.url, **options))
        assert (head.status, len(server.requests)) == (302, 1)
        if options:
            driver.run(options["client"].aclose() if driver.loop else options["client"].close())


def test_error_status_is_an_answer(driver):
    answer = b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nno"
    with Server([request, send(answer)]) as server:
        head, body = driver.exchange(driver.carrier(server.url))
    assert (head.status, body) == (503, b"no")


def test_long_body_and_long_answer(driver):
    body = bytes(range(256)) * 20_000
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    with Server([request, send(answer)]) as server:
        assert driver.exchange(driver.carrier(server.url), body=body)[1] == body
        assert server.requests[0].raw.endswith(body)


# ---- encodings -----------------------------------------------------------------------------------


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def encoded(name: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {name}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("name", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate)],
)
def test_encoded_answer(driver, name, pack):
    with Server([request, send(encoded(name, pack(b"hello" * 1000)))]) as server:
        assert driver.exchange(driver.carrier(server.url))[1] == b"hello" * 1000


def test_bomb(driver):
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    with Server([request, send(encoded("gzip", bomb)), client_closed]) as server:
        error = failure(driver, driver.carrier(server.url))
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert facts(error) == (errors.ProtocolError, "limit_exceeded", "parse")


@pytest.mark.parametrize("name", ["br", "gzip, gzip"])
def test_unknown_encoding(driver, name):
    with Server([request, send(encoded(name, b"x")), client_closed]) as server:
        error = failure(driver, driver.carrier(server.url))
    assert facts(error) == (errors.ProtocolError, "protocol_violation", "parse")


def test_damaged_and_cut_compression(driver):
    packed = gzip.compress(b"hello" * 1000)
    damaged = [request, send(encoded("gzip", b"\x00" + packed)), client_closed]
    cut = [request, send(encoded("gzip", packed[:-9])), client_closed]
    with Server(damaged, cut) as server:
        carrier = driver.carrier(server.url)
        assert type(failure(driver, carrier)) is errors.ProtocolError
        assert facts(failure(driver, carrier))[:2] == (errors.TruncatedStream, "truncated_stream")


TEXT = b"".join(b"line %d\n" % number for number in range(300))


def in_pieces(answer, size):
    """All that a carrier gets of an answer that comes in pieces, and the error's class."""
    response, body = Response("http://localhost", "GET", Limits()), b""
    try:
        for start in range(0, len(answer), size):
            response.feed(answer[start : start + size])
            while response.head is not None and (some := response.take()):
                body += some
    except errors.BackendError as error:
        return body, type(error)
    return body, None


@pytest.mark.parametrize("window", [16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS])
@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
def test_what_comes_before_damage_is_given(window, size):
    packer = zlib.compressobj(wbits=window)
    packed = packer.compress(TEXT) + packer.flush(zlib.Z_FULL_FLUSH)
    answer = encoded("gzip" if window > zlib.MAX_WBITS else "deflate", packed + b"\xff" * 9)
    assert in_pieces(answer, size) == (TEXT, errors.ProtocolError)


@pytest.mark.parametrize("size", [1, 5, 100_000])
def test_what_comes_before_data_that_nobody_expects_is_given(size):
    answer = encoded("gzip", gzip.compress(TEXT) + b"more")
    assert in_pieces(answer, size) == (TEXT, errors.ProtocolError)


@pytest.mark.parametrize("missing", [1, 4, 8, 20])
@pytest.mark.parametrize("size", [1, 3, 100_000])
def test_compressed_data_that_ends_too_early_is_seen_in_whatever_pieces(missing, size):
    answer = encoded("gzip", gzip.compress(TEXT)[:-missing])
    body, error = in_pieces(answer, size)
    assert (TEXT.startswith(body), error) == (True, errors.TruncatedStream)


def test_damaged_compression_over_sockets(driver):
    answer = encoded("gzip", gzip.compress(TEXT) + b"more")
    with Server([request, send(answer), client_closed]) as server:
        transfer = driver.carrier(server.url).transfer()
        driver.send(transfer)
        assert driver.read(transfer) == TEXT
        with pytest.raises(errors.ProtocolError):
            driver.read_all(transfer)


# ---- answers that break off ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        OK[:-1],
        CHUNKED[:-1],
        CHUNKED[: CHUNKED.index(b"llo")],
        CHUNKED[: CHUNKED.index(b"3;x")],
    ],
)
def test_answer_that_breaks_off(driver, answer):
    with Server([request, send(answer), close]) as server:
        error = failure(driver, driver.carrier(server.url))
    assert facts(error) == (errors.TruncatedStream, "truncated_stream", "stream")


def test_reset_inside_an_answer(driver):
    seen = threading.Event()
    with Server([request, send(OK[:-1]), hold(seen), reset]) as server:
        transfer = driver.carrier(server.url).transfer()
        driver.send(transfer)
        assert driver.read(transfer) == b"hell"
        seen.set()
        with pytest.raises(errors.TruncatedStream) as caught:
            driver.read_all(transfer)
    assert facts(caught.value) == (errors.TruncatedStream, "connection_lost", "stream")


@pytest.mark.parametrize("end", [close, reset, half_close])
def test_no_answer_at_all(driver, end):
    with Server([request, end]) as server:
        error = failure(driver, driver.carrier(server.url))
    assert facts(error) == (errors.ProviderDown, "connection_lost", "wait")
    assert len(server.requests) == 1


def test_good_bytes_before_a_fault_are_delivered(direct):
    broken = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n"
    with Server([request, send(broken), client_closed]) as server:
        transfer = direct.carrier(server.url).transfer()
        direct.send(transfer)
        assert direct.read(transfer) == b"hi"
        with pytest.raises(errors.ProtocolError, match="broke HTTP"):
            direct.read(transfer)
        assert server.connection(0).closed_by_client.wait(CEILING)


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>what?</html>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello",
    ],
)
def test_broken_http(driver, answer):
    with Server([request, send(answer), client_closed]) as server:
        error = failure(driver, driver.carrier(server.url))
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert facts(error) == (errors.ProtocolError, "protocol_violation", "parse")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000,
        b"HTTP/1.1 200 OK\r\na: " + b"b" * 40_000 + b"\r\nb: " + b"b" * 30_000 + b"\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9,
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"x" * 3_000_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\n",
    ],
    ids=["lines", "long", "endless", "sum", "informational", "upgrade", "extension", "coding"],
)
def test_heads_have_limits(direct, answer):
    with Server([request, send(answer), client_closed]) as server:
        error = failure(direct, direct.carrier(server.url))
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert facts(error) == (errors.ProtocolError, "protocol_violation", "parse")


@pytest.mark.parametrize("limits", [Limits(head_lines=1), Limits(head_bytes=30)])
def test_a_request_says_how_long_a_head_may_be(driver, limits):
    with Server([request, send(OK), client_closed]) as server:
        error = failure(driver, driver.carrier(server.url), limits=limits)
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert facts(error) == (errors.ProtocolError, "protocol_violation", "parse")


@pytest.mark.parametrize(("ratio", "fits"), [(2, False), (2000, True)])
def test_a_request_says_how_much_an_answer_may_swell(driver, ratio, fits):
    body = bytes(4 * 1024 * 1024)
    with Server([request, send(encoded("gzip", gzip.compress(body))), client_closed]) as server:
        carrier, limits = driver.carrier(server.url), Limits(ratio=ratio)
        if fits:
            assert driver.exchange(carrier, limits=limits)[1] == body
        else:
            error = failure(driver, carrier, limits=limits)
            assert facts(error) == (errors.ProtocolError, "limit_exceeded", "parse")
            assert f"more than {ratio} times" in str(error)


def test_a_body_with_a_length_and_in_chunks_is_refused(direct):
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"
    with Server([request, send(head + b"5\r\nhello\r\n0\r\n\r\n"), client_closed]) as server:
        error = failure(direct, direct.carrier(server.url))
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert facts(error) == (errors.ProtocolError, "protocol_violation", "parse")


# ---- what may be sent ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["https://elsewhere/x", "//elsewhere/x", "x", "", "/a b", "/a\r\nb", "/é", "/../x", "/a#b"],
)
def test_path_that_leads_elsewhere(driver, path):
    with Server([request]) as server:
        with pytest.raises(errors.ConfigError) as error:
            driver.exchange(driver.carrier(server.url), HttpCall(method="GET", path=path))
        assert ("relative" in str(error.value), server.connections) == (True, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-key", f"{SECRET}\r\nx: y"),
        ("x-key", f"{SECRET}\n"),
        ("x-key", f"{SECRET}é€"),
        ("x key", SECRET),
        ("Host", SECRET),
        ("Content-Length", SECRET),
    ],
)
def test_header_that_cannot_be_sent(driver, name, value):
    with Server([request]) as server:
        transfer = driver.carrier(server.url).transfer()
        call = HttpCall(method="POST", path="/")
        with pytest.raises(errors.ConfigError) as caught:
            driver.run(transfer.send(Request(call=call, headers={name: value}), CLOCKS))
        assert (SECRET in str(caught.value), server.connections) == (False, [])


@pytest.mark.parametrize(
    "endpoint",
    [
        "localhost:80",
        "ftp://x",
        "http://",
        "http://u:p@x",
        "http://x/?a",
        "http://x:y",
        "http://x#f",
    ],
)
def test_endpoint_that_is_none(driver, endpoint):
    with pytest.raises(errors.ConfigError, match="endpoint"):
        driver.carrier(endpoint)


# ---- kept connections ----------------------------------------------------------------------------


def test_connection_is_kept(driver):
    with Server([request, send(OK), request, send(CHUNKED), request, send(OK)]) as server:
        carrier = driver.carrier(server.url)
        assert [driver.exchange(carrier)[1] for _ in range(3)] == [b"hello"] * 3
        assert (len(server.connections), len(server.requests)) == (1, 3)


def test_each_request_has_its_own_head_and_length(driver):
    calls = [
        (HttpCall(method="POST", path="/a"), b"{}"),
        (HttpCall(method="POST", path="/a"), b"[1, 2, 3]"),
        (HttpCall(method="POST", path="/b"), b""),
        (HttpCall(method="GET", path="/b"), b""),
        (HttpCall(method="POST", path="/a"), b"{}"),
    ]
    with Server([step for _ in calls for step in (request, send(OK))]) as server:
        carrier = driver.carrier(server.url)
        for call, body in calls:
            driver.exchange(carrier, call=call, body=body)
        found = [(sent.method, sent.target, sent.body) for sent in server.requests]
        lengths = [b"content-length" in sent.raw.lower() for sent in server.requests]
    assert found == [(call.method, call.path, body) for call, body in calls]
    assert lengths == [True, True, True, False, True]


def test_another_key_is_sent_as_soon_as_there_is_one():
    way = Way.to("http://gpu", None)
    call = HttpCall(method="GET", path="/")
    keys = [f"key-{number % 20}" for number in range(60)]  # more than are kept
    sent = [way.wire(Request(call=call, headers={"x-key": key})) for key in keys]
    assert [f"x-key: {key}\r\n".encode() in data for data, key in zip(sent, keys, strict=True)] == [
        True
    ] * 60


def test_silence_is_timed_afresh_for_each_request_of_a_connection(direct):
    """What was left of the patience of the first one says nothing of the second."""
    patient, hasty = Clocks(idle=CEILING), Clocks(idle=TINY)
    with Server([request, send(OK), request, send(OK[:-1]), client_closed]) as server:
        carrier = direct.carrier(server.url)
        assert direct.exchange(carrier, clocks=patient)[1] == b"hello"
        assert failure(direct, carrier, clocks=hasty).kind == "stall_timeout"
        assert len(server.connections) == 1


@pytest.mark.parametrize(
    "answer",
    [OK.replace(b"text/plain", b"x\r\nconnection: close"), OK.replace(b"1.1", b"1.0")],
    ids=["close", "1.0"],
)
def test_connection_is_not_kept(driver, answer):
    with Server([request, send(answer), client_closed]) as server:
        carrier = driver.carrier(server.url)
        assert [driver.exchange(carrier)[1] for _ in range(2)] == [b"hello"] * 2
        assert len(server.connections) == 2


@pytest.mark.parametrize("more", [b"X", OK], ids=["rubbish", "answer"])
def test_connection_that_brought_too_much_is_not_kept(direct, more):
    with Server([request, send(OK + more), client_closed]) as server:
        carrier = direct.carrier(server.url)
        assert [direct.exchange(carrier)[1] for _ in range(2)] == [b"hello"] * 2
        assert len(server.connections) == 2


def test_rest_of_an_answer_is_drained(driver):
    with Server([request, send(CHUNKED), request, send(OK)]) as server:
        carrier = driver.carrier(server.url)
        transfer = carrier.transfer()
        driver.send(transfer)
        driver.run(transfer.done())
        assert driver.exchange(carrier)[1] == b"hello"
        assert len(server.connections) == 1


@pytest.mark.parametrize("rest", [b"", b"x" * 200_000], ids=["silent", "endless"])
def test_drain_is_bounded(driver, rest):
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\nhello" + rest
    with Server([request, send(answer), client_closed]) as server:
        transfer = driver.carrier(server.url).transfer()
        driver.send(transfer)
        assert driver.read(transfer).startswith(b"hello")
        driver.run(transfer.done())
        if driver.loop:
            driver.run(settle())
        assert server.connection(0).closed_by_client.wait(CEILING)


@pytest.mark.parametrize(("passed", "connections"), [(3.9, 1), (4.0, 2)])
def test_connection_that_was_idle_too_long_is_left(direct, passed, connections):
    clock = [1e9]
    script = [request, send(OK), request, send(OK), client_closed]
    with Server(script, script) as server:
        carrier = direct.carrier(server.url, now=lambda: clock[0])
        direct.exchange(carrier)
        clock[0] += passed
        assert direct.exchange(carrier)[1] == b"hello"
        assert (len(server.connections), carrier.pool.counts) == (connections, (1, 1))


def test_connection_closed_while_idle_is_never_used(driver):
    closed = threading.Event()
    script = [request, send(OK), close, tell(closed)]
    with Server(script, [request, send(OK)]) as server:
        carrier = driver.carrier(server.url)
        driver.exchange(carrier)
        assert closed.wait(CEILING)
        assert driver.exchange(carrier)[1] == b"hello"
        assert [len(each.requests) for each in server.connections] == [1, 1]


@pytest.mark.parametrize("end", [close, reset])
def test_dead_kept_connection_and_a_call_that_may_run_twice(direct, end):
    call = HttpCall(method="POST", path="/api/embed", idempotent=True)
    with Server([request, send(OK), request, end], [request, send(OK)]) as server:
        carrier = direct.carrier(server.url)
        assert [direct.exchange(carrier, call)[1] for _ in range(2)] == [b"hello"] * 2
        assert [len(each.requests) for each in server.connections] == [2, 1]


@pytest.mark.parametrize("end", [close, reset])
def test_dead_kept_connection_and_a_call_that_may_have_run(driver, end):
    with Server([request, send(OK), request, end], [request, send(OK)]) as server:
        carrier = driver.carrier(server.url)
        driver.exchange(carrier)
        assert facts(failure(driver, carrier)) == (errors.ProviderDown, "connection_lost", "wait")
        assert len(server.connections) == 1


def test_dead_kept_connection_before_all_was_sent(direct):
    async def take_some(connection: Connection) -> None:
        await connection.take(10)

    with Server([request, send(OK), take_some, reset], [request, send(OK)]) as server:
        carrier = direct.carrier(server.url)
        direct.exchange(carrier)
        assert direct.exchange(carrier, body=bytes(30_000_000))[1] == b"hello"
        assert [len(each.requests) for each in server.connections] == [1, 1]


def test_a_connection_that_died_after_a_byte_is_not_tried_again(direct):
    call = HttpCall(method="GET", path="/")
    script = [request, send(OK), request, send(b"HTTP"), close]
    with Server(script, [request, send(OK)]) as server:
        carrier = direct.carrier(server.url)
        direct.exchange(carrier, call)
        assert type(failure(direct, carrier, call=call)) is errors.TruncatedStream
        assert len(server.connections) == 1


def test_too_many_connections(direct):
    held = [request, send(OK[:-1]), client_closed]
    with Server(held) as server:
        carrier = direct.carrier(server.url, max_connections=1)
        transfer = carrier.transfer()
        direct.send(transfer)
        error = failure(direct, carrier)
        transfer.abort()
        direct.send(second := carrier.transfer())
        second.abort()
    assert facts(error) == (errors.Overloaded, "queue_full", "queue")


def test_closed_carrier(driver):
    with Server([request, send(OK), client_closed]) as server:
        carrier = driver.carrier(server.url)
        driver.exchange(carrier)
        carrier.close()
        if driver.loop:
            driver.run(settle())
        assert server.connection(0).closed_by_client.wait(CEILING)
        with pytest.raises(errors.LocalError, match="closed"):
            carrier.transfer()


# ---- clocks --------------------------------------------------------------------------------------


def test_no_first_byte(driver):
    with Server([request, client_closed]) as server:
        clocks = Clocks(first_byte=TINY)
        error = failure(driver, driver.carrier(server.url), clocks=clocks)
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert facts(error) == (errors.Timeout, "first_byte_timeout", "wait")


@pytest.mark.parametrize(
    "head",
    [
        [send(b"H"), client_closed],
        [send(b"HTTP/1.1 200 OK\r\n"), repeat(send(b"a: b\r\n"), sleep(TINY / 5))],
        [send(b"HTTP/1.1 103 Early Hints\r\n\r\n"), client_closed],
    ],
    ids=["silent", "drip", "informational"],
)
def test_a_head_that_does_not_end(direct, head):
    with Server([request, *head]) as server:
        error = failure(direct, direct.carrier(server.url), clocks=Clocks(head=2 * TINY))
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert facts(error) == (errors.Timeout, "slow_peer", "wait")
    assert f"for {2 * TINY:g} s" in str(error)


def test_an_informational_answer_is_a_first_byte(direct):
    go_on = threading.Event()
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    with Server([request, send(early), hold(go_on), send(OK)]) as server:
        transfer = direct.carrier(server.url).transfer()
        clocks = Clocks(first_byte=10 * TINY, head=CEILING)
        timer = threading.Timer(20 * TINY, go_on.set)  # only the clock of the head is long enough
        timer.start()
        assert direct.send(transfer, clocks=clocks).status == 200
        timer.join()
        transfer.abort()


def test_silence_inside_an_answer(driver):
    with Server([request, send(OK[:-1]), client_closed]) as server:
        error = failure(driver, driver.carrier(server.url), clocks=Clocks(idle=TINY))
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert facts(error) == (errors.Timeout, "stall_timeout", "stream")


def test_a_call_has_clocks_of_its_own(driver):
    silent, half = [request, client_closed], [request, send(OK[:-1]), client_closed]
    with Server(silent, half) as server:
        carrier = driver.carrier(server.url)
        first = HttpCall(method="POST", path="/", first_byte=TINY)
        idle = HttpCall(method="POST", path="/", idle=TINY)
        kinds = [failure(driver, carrier, call=call).kind for call in (first, idle)]
    assert kinds == ["first_byte_timeout", "stall_timeout"]


@pytest.mark.parametrize(("answer", "phase"), [(b"", "wait"), (OK[:-1], "stream")])
def test_deadline(driver, answer, phase):
    with Server([request, send(answer), client_closed]) as server:
        carrier = driver.carrier(server.url)
        error = failure(driver, carrier, clocks=Clocks(deadline=time.monotonic() + 20 * TINY))
    assert facts(error)[::2] == (errors.DeadlineExceeded, phase)


@pytest.mark.parametrize(
    "rest",
    [
        repeat(send(b"1\r\nx\r\n"), sleep(TINY / 10)),
        repeat(send(b"10000\r\n" + b"x" * 65536 + b"\r\n")),
    ],
    ids=["drip", "flood"],
)
def test_an_answer_without_end_ends_at_the_deadline(driver, rest):
    head = send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    with Server([request, head, rest]) as server:
        clocks = Clocks(deadline=time.monotonic() + 20 * TINY)
        error = failure(driver, driver.carrier(server.url), clocks=clocks)
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert type(error) is errors.DeadlineExceeded


def test_the_deadline_is_a_reading_of_the_clock_that_is_given(driver):
    def now() -> float:
        return time.monotonic() - 1e6

    with Server([request, client_closed]) as server:
        clocks = Clocks(deadline=now() + 20 * TINY, now=now)
        error = failure(driver, driver.carrier(server.url), clocks=clocks)
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert type(error) is errors.DeadlineExceeded


def test_the_wall_clock_may_step(driver, monkeypatch):
    steps = itertools.cycle([0.0, 3600.0, -3600.0, 86400.0])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(steps))
    with Server([request, send(OK), request, send(OK)]) as server:
        carrier = driver.carrier(server.url)
        clocks = Clocks(deadline=time.monotonic() + CEILING)
        assert [driver.exchange(carrier, clocks=clocks)[1] for _ in range(2)] == [b"hello"] * 2
        assert len(server.connections) == 1


def test_server_that_never_takes_the_body(direct):
    stop = threading.Event()
    with Server([hold(stop)]) as server:
        clocks = Clocks(write=TINY)
        error = failure(direct, direct.carrier(server.url), clocks=clocks, body=bytes(30_000_000))
        stop.set()
    assert facts(error) == (errors.Timeout, "stall_timeout", "send")


def full_listener() -> tuple[socket.socket, list[socket.socket]]:
    """A listener that takes no further connection: its queue is full."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = []
    for _ in range(3):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        waiting.append(client)
    return listener, waiting


@pytest.fixture
def deaf() -> Iterator[str]:
    """A URL where connecting takes for ever."""
    listener, waiting = full_listener()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    for opened in (listener, *waiting):
        opened.close()


def test_connecting_takes_too_long(driver, deaf):
    error = failure(driver, driver.carrier(deaf), clocks=Clocks(connect=TINY))
    assert facts(error) == (errors.Timeout, "connect_timeout", "connect")


def test_refused(driver):
    with Server([request]) as server:
        url = server.url
    error = failure(driver, driver.carrier(url))
    assert facts(error) == (errors.ProviderDown, "connect_failed", "connect")
    assert url in str(error)


def test_second_address_is_tried(driver):
    with Server([request, send(OK)]) as server:
        assert driver.exchange(driver.carrier(f"http://localhost:{server.port}"))[1] == b"hello"


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (socket.EAI_NONAME, "name_unknown", "there is no such name"),
        (socket.EAI_AGAIN, "connect_failed", "no name server answers"),
    ],
)
def test_a_name_without_an_address(direct, monkeypatch, code, kind, said):
    def without_address(*_: object, **__: object) -> None:
        raise socket.gaierror(code, "no address")

    monkeypatch.setattr(socket, "getaddrinfo", without_address)
    error = failure(direct, direct.carrier("http://nowhere.invalid:1"))
    assert facts(error) == (errors.ProviderDown, kind, "resolve")
    assert said in str(error)


@pytest.mark.parametrize("head", [b"content-length: 5\r\n", b""], ids=["length", "until the end"])
def test_one_read_may_bear_less_silence_than_the_clocks(driver, head):
    answer = b"HTTP/1.1 200 OK\r\n%s\r\nhel" % head
    with Server([request, send(answer), client_closed]) as server:
        transfer = driver.carrier(server.url).transfer()
        driver.send(transfer)
        body = b""
        while body != b"hel":
            body += driver.read(transfer)
        with pytest.raises(errors.Timeout) as caught:
            driver.run(transfer.read(TINY))
        if driver.loop:
            driver.run(settle())
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert f"for {TINY:g} s" in str(caught.value)
    assert facts(caught.value) == (errors.Timeout, "stall_timeout", "stream")


def test_a_read_that_bears_less_silence_may_be_quick_enough(driver):
    go_on = threading.Event()
    with Server([request, send(OK[:-4]), hold(go_on), send(OK[-4:])]) as server:
        transfer = driver.carrier(server.url).transfer()
        driver.send(transfer)
        parts = [driver.run(transfer.read(CEILING / 2))]
        go_on.set()
        while part := driver.run(transfer.read(CEILING / 2)):
            parts.append(part)
        driver.run(transfer.done())
    assert b"".join(parts) == b"hello"


# ---- TLS and processes ---------------------------------------------------------------------------

CERTIFICATE = Path(__file__).parent / "data" / "localhost.pem"  # for tests alone; it names no one


@pytest.fixture(scope="module")
def identity() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


@pytest.fixture(scope="module")
def trust() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERTIFICATE)


def test_secure_connection_is_kept(direct, identity, trust):
    with Server([request, send(OK), request, send(CHUNKED)], tls=identity) as server:
        carrier = direct.carrier(server.url, ssl_context=trust)
        assert [direct.exchange(carrier)[1] for _ in range(2)] == [b"hello"] * 2
        assert len(server.connections) == 1


def test_certificate_that_nobody_trusts(driver, identity):
    with Server([request], tls=identity) as server:
        error = failure(driver, driver.carrier(server.url))
    assert facts(error) == (errors.TLSFailed, "tls_failed", "tls")
    assert "self-signed certificate" in str(error).replace("self signed", "self-signed")


def test_plain_server_at_a_secure_endpoint(direct, trust):
    with Server([send(b"HTTP/1.1 400 Bad\r\n\r\n"), client_closed]) as server:
        url = server.url.replace("http:", "https:")
        assert type(failure(direct, direct.carrier(url, ssl_context=trust))) is errors.TLSFailed


def test_abort_of_a_secure_read(direct, identity, trust):
    reading = threading.Event()
    with Server([request, send(OK[:-1]), client_closed], tls=identity) as server:
        transfer = direct.carrier(server.url, ssl_context=trust).transfer()
        direct.send(transfer)
        assert direct.read(transfer) == b"hell"
        thread = abort_when(reading, transfer)
        reading.set()
        with pytest.raises(errors.BackendError) as caught:
            direct.read(transfer)
        thread.join()
    assert caught.value.kind == "aborted"


def test_forked_child_has_connections_of_its_own():
    go = threading.Event()
    held = [request, send(OK[:-1]), hold(go), send(OK[-1:]), client_closed]
    driver, kept = Driver("direct"), [request, send(OK), request, send(OK)]
    with Server(kept, held, [request, send(OK)]) as server:
        carrier = driver.carrier(server.url)
        first, stream = carrier.transfer(), carrier.transfer()
        driver.send(first)
        driver.send(stream)
        driver.run(first.done())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there are threads: the server's
            child = os.fork()
        if not child:
            stream.abort()
            call = HttpCall(method="POST", path="/child")
            os._exit(0 if driver.exchange(carrier, call)[1] == b"hello" else 1)
        assert os.waitpid(child, 0)[1] == 0
        go.set()
        assert [driver.read_all(stream), driver.exchange(carrier)[1]] == [b"hello", b"hello"]
        driver.run(stream.done())
        assert [len(each.requests) for each in server.connections] == [2, 1, 1]
        assert server.connections[2].requests[0].raw.startswith(b"POST /child ")
        driver.close()


# ---- giving up -----------------------------------------------------------------------------------


def abort_when(event: threading.Event, transfer) -> threading.Thread:
    def wait_and_abort() -> None:
        assert event.wait(CEILING)
        transfer.abort()

    thread = threading.Thread(target=wait_and_abort)
    thread.start()
    return thread


def test_abort_while_waiting_for_the_head(driver):
    with Server([request, client_closed]) as server:
        transfer = driver.carrier(server.url).transfer()
        came = threading.Event()
        watcher = threading.Thread(
            target=lambda: server.connection(0).request_came.wait() and came.set()
        )
        watcher.start()
        thread = abort_when(came, transfer)
        with pytest.raises(errors.BackendError) as caught:
            driver.send(transfer)
        thread.join()
        watcher.join()
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert caught.value.kind == "aborted"


def test_abort_while_reading(driver):
    reading = threading.Event()
    with Server([request, send(OK[:-1]), client_closed]) as server:
        carrier = driver.carrier(server.url)
        transfer = carrier.transfer()
        driver.send(transfer)
        assert driver.read(transfer) == b"hell"
        thread = abort_when(reading, transfer)
        reading.set()
        with pytest.raises(errors.BackendError) as caught:
            driver.read(transfer)
        thread.join()
        if driver.loop:
            driver.run(settle())
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert caught.value.kind == "aborted"


def test_abort_while_connecting(direct, deaf):
    transfer = direct.carrier(deaf).transfer()
    now = threading.Event()
    thread = abort_when(now, transfer)
    now.set()
    started = time.monotonic()
    with pytest.raises(errors.BackendError) as caught:
        direct.send(transfer, clocks=Clocks(connect=3 * CEILING))
    assert time.monotonic() - started < 2 * CEILING
    thread.join()
    assert facts(caught.value)[1:] == ("aborted", "connect")


def test_abort_while_a_name_is_looked_up(direct, monkeypatch):
    asked, answer = threading.Event(), threading.Event()

    def slow(host: str, *_: object, flags: int = 0, **__: object) -> list:
        if not flags:
            asked.set()
            answer.wait(CEILING)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    transfer = direct.carrier("http://slow.invalid:1").transfer()
    thread = abort_when(asked, transfer)
    started = time.monotonic()
    with pytest.raises(errors.BackendError) as caught:
        direct.send(transfer, clocks=Clocks(connect=3 * CEILING))
    assert time.monotonic() - started < 2 * CEILING
    answer.set()
    thread.join()
    assert facts(caught.value)[1:] == ("aborted", "connect")


def test_abort_before_and_after(driver):
    with Server([request, send(OK), client_closed]) as server:
        carrier = driver.carrier(server.url)
        early = carrier.transfer()
        early.abort()
        with pytest.raises(errors.BackendError):
            driver.send(early)
        transfer = carrier.transfer()
        driver.send(transfer)
        transfer.abort()
        transfer.abort()
        with pytest.raises(errors.BackendError):
            driver.read(transfer)
        driver.run(transfer.done())
        assert driver.exchange(carrier)[1] == b"hello"


def test_abort_after_done_leaves_the_kept_connection_alone(driver):
    with Server([request, send(OK), request, send(OK)]) as server:
        carrier = driver.carrier(server.url)
        transfer = carrier.transfer()
        driver.send(transfer)
        driver.read_all(transfer)
        driver.run(transfer.done())
        transfer.abort()
        assert driver.exchange(carrier)[1] == b"hello"
        assert len(server.connections) == 1
