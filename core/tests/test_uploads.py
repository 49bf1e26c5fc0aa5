"""Bodies in files, through every carrier: what arrives, and what it costs."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc

import pytest
from test_carriers import CLOCKS, OK, Driver

from multitap.engine.blocks import BLOCK, Pieces, Stored
from multitap.engine.body import encode
from multitap.errors import LocalError
from multitap.testing import CEILING, Gate, Server, client_closed, close, hold, request, send
from multitap.work import File, HttpCall

MIB = 1 << 20
UPLOAD = HttpCall(method="POST", path="/api/blobs/sha256:0", idempotent=True)


@pytest.fixture(params=["direct", "direct-async", "httpx", "httpx-async"])
def driver(request):
    made = Driver(request.param)
    yield made
    made.close()


@pytest.fixture(params=["direct", "direct-async"])
def direct(request):
    made = Driver(request.param)
    yield made
    made.close()


def stored(path, content: bytes):
    path.write_bytes(content)
    return encode(File("model.gguf", path))[1]


class Sink:
    """A server's step that reads one request and keeps only its size and hash."""

    def __init__(self) -> None:
        self.size = 0
        self.hash = hashlib.sha256()

    async def __call__(self, connection) -> None:
        total = int((await head_of(connection)).split(b"content-length: ")[1].split(b"\r\n")[0])
        while self.size < total:
            data = await connection.take(min(65536, total - self.size))
            self.size += len(data)
            self.hash.update(data)


async def head_of(connection) -> bytes:
    """Read a request's head, and nothing of its body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await connection.take(1)
    return head.lower()


async def only_the_head(connection) -> None:
    await head_of(connection)


def test_a_file_arrives_whole_and_with_its_length(driver, tmp_path):
    content = bytes(range(256)) * 4096 + b"end"
    body = stored(tmp_path / "a", content)
    with Server([request, send(OK)]) as server:
        _, answer = driver.exchange(driver.carrier(server.url), UPLOAD, body=body)
    sent = server.requests[0]
    assert (answer, sent.body == content) == (b"hello", True)
    assert sent.headers["content-length"] == str(len(content))
    assert "transfer-encoding" not in sent.headers


def test_an_empty_file_arrives(driver, tmp_path):
    body = stored(tmp_path / "a", b"")
    with Server([request, send(OK)]) as server:
        driver.exchange(driver.carrier(server.url), UPLOAD, body=body)
    assert server.requests[0].headers["content-length"] == "0"


def test_the_connection_is_kept_after_a_file(driver, tmp_path):
    body = stored(tmp_path / "a", bytes(3 * BLOCK))
    with Server([request, send(OK), request, send(OK)]) as server:
        carrier = driver.carrier(server.url)
        for _ in range(2):
            driver.exchange(carrier, UPLOAD, body=body)
    assert len(server.connections) == 1
    assert server.requests[0].body == bytes(3 * BLOCK)


def test_a_large_file_is_never_in_memory(driver, tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    body = encode(File("model.gguf", path))[1]
    sink = Sink()
    with Server([request, send(OK)], [sink, send(OK)]) as server:
        driver.exchange(driver.carrier(server.url))  # what is made once is made by now
        carrier = driver.carrier(server.url)
        tracemalloc.start()
        try:
            driver.exchange(carrier, UPLOAD, body=body)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert sink.size == 64 * MIB
    assert sink.hash.hexdigest() == hashlib.sha256(bytes(64 * MIB)).hexdigest()
    assert peak < 8 * MIB


def test_a_file_is_sent_again_from_its_beginning(direct, tmp_path):
    content = bytes(range(256)) * 1024
    body = stored(tmp_path / "a", content)
    with Server([request, send(OK), request, close], [request, send(OK)]) as server:
        carrier = direct.carrier(server.url)
        direct.exchange(carrier)
        _, answer = direct.exchange(carrier, UPLOAD, body=body)
    assert answer == b"hello"
    assert server.requests[-1].body == content


def test_a_file_that_shrinks_ends_the_call_and_the_connection(driver, tmp_path):
    (tmp_path / "a").write_bytes(bytes(2 * BLOCK))
    body = Pieces((Stored(tmp_path / "a", 4 * BLOCK),))
    with Server([client_closed]) as server:
        carrier = driver.carrier(server.url)
        with pytest.raises(LocalError, match="shorter"):
            driver.exchange(carrier, UPLOAD, body=body)
        if driver.loop:
            driver.run(settled())
        assert server.connection(0).closed_by_client.wait(CEILING)


def test_an_answer_before_the_end_is_read_and_its_connection_not_kept(tmp_path):
    driver = Driver("direct-async")
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    body = encode(File("model.gguf", path))[1]

    async def sent_out(transfer) -> None:
        while transfer._connection.writing:  # the rest of a block, which the server takes
            await asyncio.sleep(0)

    answered = Gate()
    script = [only_the_head, send(OK), hold(answered), client_closed]
    with Server(script, [request, send(OK)]) as server:
        carrier = driver.carrier(server.url)
        transfer = carrier.transfer()
        driver.send(transfer, UPLOAD, CLOCKS, body)
        answer = driver.read_all(transfer)
        answered.open()
        driver.run(sent_out(transfer))
        driver.run(transfer.done())
        assert server.connection(0).closed_by_client.wait(CEILING)
        _, again = driver.exchange(carrier)
    driver.close()
    assert (answer, again, len(server.connections)) == (b"hello", b"hello", 2)


def test_giving_up_while_a_file_is_sent(direct, tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    body = encode(File("model.gguf", path))[1]

    async def head_and_abort(connection) -> None:
        await connection.take(1)
        transfers[0].abort()

    transfers: list = []
    with Server([head_and_abort, client_closed]) as server:
        transfers.append(direct.carrier(server.url).transfer())
        with pytest.raises(Exception, match="given up"):
            direct.send(transfers[0], UPLOAD, CLOCKS, body)
        if direct.loop:
            direct.run(settled())
        assert server.connection(0).closed_by_client.wait(CEILING)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
