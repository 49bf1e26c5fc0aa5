"""The scripted server: what it sends, what it writes down, how it ends."""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
import ssl
import struct
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from multitap.testing import (
    CEILING,
    Gate,
    Server,
    client_closed,
    close,
    drip,
    half_close,
    hold,
    json,
    ndjson,
    pieces_of,
    repeat,
    request,
    reset,
    respond,
    send,
    sleep,
    sse,
    tell,
    turn,
    when,
)

GET = b"GET /a/b?c=d HTTP/1.1\r\nHost: x\r\nX-One: 1\r\nx-one: 2\r\n\r\n"
CERTIFICATE = Path(__file__).parent / "data" / "localhost.pem"  # for tests alone; it names no one


def connect(server):
    client = socket.create_connection(("127.0.0.1", server.port), CEILING)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def rest(client):
    """What comes until the server closes."""
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data


def exchange(server, asked=GET):
    with connect(server) as client:
        client.sendall(asked)
        return rest(client)


def with_fault(script, asked=GET, **options):
    """Play a script that goes wrong."""
    with Server(script, **options) as server:
        exchange(server, asked)
        server.wait_until(lambda: server.faults)


def post(path, body):
    head = f"POST {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


# ---- requests ------------------------------------------------------------------------------------


def test_a_request_is_kept_as_it_came_and_taken_apart():
    with Server([request, close]) as server:
        assert exchange(server) == b""
        asked = server.requests[0]
    assert (asked.raw, asked.method, asked.target, asked.path) == (GET, "GET", "/a/b?c=d", "/a/b")
    assert asked.headers == {"host": "x", "x-one": "1, 2"}
    assert asked.body == b""


def test_a_request_has_the_body_that_its_length_promises():
    first, second = post("/one", b'{"n": 1}'), post("/two", b"rest")
    with Server([request, request]) as server:
        exchange(server, first + second)
        assert [asked.raw for asked in server.requests] == [first, second]
        assert server.requests[0].json() == {"n": 1}


@pytest.mark.parametrize("trailer", [b"", b"T: x\r\n"])
def test_a_request_may_be_chunked(trailer):
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    asked = head + b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n" + trailer + b"\r\n"
    with Server([request, request, send("done")]) as server:
        for at in range(1, len(asked)):
            with connect(server) as client:
                client.sendall(asked[:at])
                client.sendall(asked[at:] + GET)
                assert rest(client) == b"done"
        assert {r.body for r in server.requests} == {b"hello", b""}
        assert {r.raw for r in server.requests} == {asked, GET}


def test_what_is_no_request_is_a_fault():
    with pytest.raises(AssertionError, match=r"no request of HTTP/1.1.*\\x16\\x03"):
        with_fault([request], b"\x16\x03\x01\r\n\r\n")


# ---- what is sent --------------------------------------------------------------------------------


def test_a_text_is_sent_as_utf8():
    with Server([send("hé")]) as server:
        assert exchange(server, b"") == "hé".encode()


def test_one_script_for_each_connection_and_the_last_for_all_further():
    with Server(send("1"), [send("2")]) as server:
        assert [exchange(server, b"") for _ in range(4)] == [b"1", b"2", b"2", b"2"]


def test_without_a_script_a_connection_is_held():
    with Server() as server, connect(server) as client:
        client.sendall(b"what?")
        server.connection(0)
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)


@pytest.mark.parametrize(
    ("options", "pieces"),
    [
        ({}, [b"h", b"e", b"l", b"l", b"o"]),
        ({"size": 2}, [b"he", b"ll", b"o"]),
        ({"size": 9}, [b"hello"]),
        ({"cuts": [1, 4]}, [b"h", b"ell", b"o"]),
        ({"cuts": []}, [b"hello"]),
    ],
)
def test_drip_sends_pieces(options, pieces):
    sent = []

    class Recorder:
        async def send(self, data):
            sent.append(data)

        async def while_listening(self, waiting):
            await waiting

    asyncio.run(drip("hello", **options)(Recorder()))
    assert sent == pieces
    with Server(drip(b"hello", **options)) as server:
        assert exchange(server, b"") == b"hello"


def test_pieces_are_cut_where_it_is_said():
    assert pieces_of(b"hello", [1, 1, 5]) == [b"h", b"", b"ello", b""]


def test_a_step_is_any_function_of_the_connection():
    async def shout(connection):
        await connection.send(connection.request.path.upper().encode())

    def choose(connection):
        return [send("!"), send("?")] if len(connection.requests) == 1 else None

    with Server([request, shout, choose, [[], [lambda _: None]]]) as server:
        assert exchange(server) == b"/A/B!?"


def test_a_step_may_take_bytes_as_they_are():
    async def take(connection):
        await connection.send(await connection.take(3))

    with Server([take, take]) as server, connect(server) as client:
        for byte in b"abcdef":
            client.sendall(bytes([byte]))
        assert rest(client) == b"abcdef"


# ---- HTTP ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (respond(), b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        (
            respond(503, {"Retry-After": "1"}, "no"),
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\nRetry-After: 1\r\n\r\nno",
        ),
        (
            respond(599, body=b"no", chunked=True),
            b"HTTP/1.1 599 Unknown\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
        ),
        (
            json({"a": 1}),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n"
                b'content-type: application/json\r\n\r\n{"a": 1}'
            ),
        ),
        (
            ndjson([{"a": 1}, "raw\n", b"\xff"]),
            (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n"
                b'transfer-encoding: chunked\r\n\r\n9\r\n{"a": 1}\n\r\n4\r\nraw\n\r\n1\r\n\xff\r\n'
                b"0\r\n\r\n"
            ),
        ),
        (
            sse([{"a": 1}, "text", b": hi\n\n"]),
            (
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                b'transfer-encoding: chunked\r\n\r\n10\r\ndata: {"a": 1}\n\n\r\n'
                b"c\r\ndata: text\n\n\r\n6\r\n: hi\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
            ),
        ),
        (
            sse([1], 201, {"x": "y"}, done=None, chunked=False),
            (
                b"HTTP/1.1 201 Created\r\ncontent-type: text/event-stream\r\nx: y\r\n"
                b"connection: close\r\n\r\ndata: 1\n\n"
            ),
        ),
    ],
    ids=repr,
)
def test_http_answers(answer, expected):
    with Server([request, answer]) as server:
        assert exchange(server) == expected


def test_a_stream_may_hold_steps():
    gate = Gate()
    with Server([request, ndjson([1, hold(gate), 2, reset])]) as server, connect(server) as client:
        client.sendall(GET)
        seen = b""
        while not seen.endswith(b"1\n\r\n"):
            seen += client.recv(1000)
        gate.open()
        with pytest.raises(ConnectionResetError):
            rest(client)


def test_routes_answer_in_any_order_on_one_connection():
    routes = {"/one": json(1), "POST /two": json(2), "/two": json(3)}
    with Server(repeat(when(routes, otherwise=respond(404)))) as server:
        asked = [post("/two", b"x"), post("/one", b""), GET.replace(b"/a/b", b"/two"), GET]
        with connect(server) as client:
            for each in asked:
                client.sendall(each)
            client.shutdown(socket.SHUT_WR)
            answers = rest(client).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] + answer[-1:] for answer in answers[:3]] == [b"2002", b"2001", b"2003"]
    assert answers[3].startswith(b"404")
    assert [one.raw for one in server.requests] == asked


def test_a_request_that_no_route_takes_is_a_fault_that_names_it():
    with pytest.raises(AssertionError, match=r"no script for GET /a/b; there are /one, /two"):
        with_fault(when({"/one": [], "/two": []}))


def test_what_is_repeated_leaves_time_for_others():
    with Server(repeat(lambda _: None), send("x")) as server, connect(server):
        assert exchange(server, b"") == b"x"


def test_what_closes_the_connection_is_not_repeated():
    with Server(repeat(request, send("x"), close)) as server:
        for _ in range(2):
            with connect(server) as client:
                client.sendall(GET)
                assert rest(client) == b"x"
    assert [each.happened for each in server.connections] == [("request", "server closed")] * 2


def test_repeat_so_many_times():
    with Server(repeat(request, send("x"), times=3)) as server:
        assert exchange(server, GET * 5)[:3] == b"xxx"
        assert len(server.requests) == 3


# ---- ends ----------------------------------------------------------------------------------------


def test_a_reset_is_one():
    with Server([request, reset]) as server, connect(server) as client:
        client.sendall(GET)
        with pytest.raises(ConnectionResetError):
            rest(client)
    assert server.connections[0].happened == ("request", "server reset")


def test_after_half_a_close_the_server_listens():
    with Server([half_close, request, client_closed]) as server:
        with connect(server) as client:
            assert rest(client) == b""
            client.sendall(GET)
            assert server.connection(0).request_came.wait(CEILING)
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert server.connections[0].happened[:3] == ("server half-closed", "request", "client closed")


def test_close_in_the_ordinary_way_and_what_follows():
    closed = threading.Event()
    with Server([request, close, tell(closed)]) as server:
        assert exchange(server) == b""
        assert closed.wait(CEILING)
    assert server.connections[0].happened == ("request", "server closed")


@pytest.mark.parametrize("waiting", [client_closed, request, hold(Gate()), turn, sleep(CEILING)])
@pytest.mark.parametrize("how", ["client closed", "client reset"])
def test_it_is_noticed_that_the_client_leaves_whatever_the_script_does(waiting, how):
    with Server([waiting]) as server:
        with connect(server) as client:
            client.sendall(b"G")
            server.connection(0)
            if how == "client reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert server.connections[0].happened[0] == how
    assert how in repr(server.connections[0])


def test_a_script_ends_where_the_client_has_gone():
    gate, late = Gate(), Gate()
    with Server([hold(gate), repeat(send("x")), tell(late)]) as server:
        connect(server).close()
        assert server.connection(0).closed_by_client.wait(CEILING)
        gate.open()
        server.wait_until(lambda: server.connections[0].closed)
    assert not late.is_set()
    assert server.faults == []


def test_moments_have_times_that_ascend():
    with Server([request, send("x")]) as server:
        exchange(server)
    times = [moment.at for moment in server.connections[0].moments]
    assert times == sorted(times)
    assert times[0] >= 0


# ---- waiting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Gate, threading.Event])
def test_hold_waits_for_an_event_of_either_kind(make):
    event, told = make(), make()
    with Server([hold(event), tell(told), send("x")]) as server, connect(server) as client:
        assert not told.is_set()
        event.set()
        assert told.wait(CEILING)
        assert rest(client) == b"x"
        assert exchange(server, b"") == b"x"


@pytest.mark.parametrize("step", [hold(Gate()), hold(threading.Event()), turn], ids=repr)
def test_a_script_that_nobody_lets_go_on_is_a_fault(step):
    with pytest.raises(AssertionError, match=r"nobody .* within 0.01 s"):
        with_fault(step, ceiling=0.01)


def test_turns_are_given_one_by_one():
    with Server([turn, send("a"), turn, send("b"), turn]) as server, connect(server) as client:
        server.connection(0).turn.release()
        assert client.recv(10) == b"a"
        server.connection(0).turn.release(2)
        assert rest(client) == b"b"
    server.connection(0).turn.release()  # too late, and no harm


def test_what_does_not_come_true_is_said_with_what_was_seen():
    with Server() as server, pytest.raises(AssertionError, match=r"within 0.01 s: no connection"):
        server.wait_until(lambda: server.requests, 0.01)


def test_a_gate_is_waited_for_on_any_loop():
    async def main(gate, other):
        waiting = asyncio.create_task(gate.opened())
        await asyncio.sleep(0)
        threading.Thread(target=gate.open).start()
        await waiting
        await gate.opened()
        with pytest.raises(asyncio.TimeoutError):
            await other.opened(0.01)

    gate, other = Gate(), Gate()
    asyncio.run(main(gate, other))
    other.open()  # the loop that waited is closed
    assert (repr(gate), repr(Gate())) == ("<Gate, open>", "<Gate, shut>")


# ---- the server ----------------------------------------------------------------------------------


def test_coroutines_use_it_in_their_own_loop():
    async def main():
        async with Server([request, send("x")]) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(GET)
            data = await reader.read()
            writer.close()
            await writer.wait_closed()
            return data, server.requests[0].method

    assert asyncio.run(main()) == (b"x", "GET")


def test_a_fault_does_not_hide_the_failure_of_the_test():
    def failing_test():
        with Server(lambda _: [1 / 0]) as server:
            exchange(server, b"")
            server.wait_until(lambda: server.faults)
            raise KeyError("the test's own")

    with pytest.raises(KeyError, match="the test's own") as caught:
        failing_test()
    if sys.version_info >= (3, 11):
        assert ["ZeroDivisionError" in note for note in caught.value.__notes__] == [True]


def test_a_fault_of_any_kind_is_raised_at_the_end_with_its_cause():
    with pytest.raises(AssertionError, match="division by zero") as caught:
        with_fault(lambda _: [1 / 0], b"")
    assert isinstance(caught.value.__cause__.__cause__, ZeroDivisionError)


def test_a_step_after_the_end_is_a_fault():
    with pytest.raises(AssertionError, match="the server itself has closed this connection"):
        with_fault([close, send("x")], b"")


def test_a_step_that_blocks_the_server_is_said(monkeypatch):
    monkeypatch.setattr("multitap.testing.server.CEILING", 0.05)
    event = threading.Event()
    with pytest.raises(AssertionError, match="a step blocks its event loop"):
        with_blocked_server(event)
    event.set()


def with_blocked_server(event):
    with Server(lambda _: event.wait(CEILING) and None) as server:
        connect(server).close()
        server.connection(0)


def test_nothing_is_left_behind():
    before = {*threading.enumerate()}
    with Server() as server:
        client = connect(server)
        server.connection(0)
    assert client.recv(1) == b""
    client.close()
    assert {*threading.enumerate()} <= before
    with pytest.raises(ConnectionRefusedError):
        connect(server)
    gc.collect()


@contextmanager
def open_files(most):
    """While this process may have so many."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_thousand_connections_at_once():
    gate, clients = Gate(), []
    with open_files(3000), Server([request, hold(gate), send("x")]) as server:
        for _ in range(1000):
            clients.append(connect(server))
            clients[-1].sendall(GET)
        server.wait_until(lambda: len(server.requests) == 1000)
        gate.open()
        assert {rest(client) for client in clients} == {b"x"}
        for client in clients:
            client.close()
    assert len(server.connections) == 1000


def with_no_file_left():
    with Server() as server, socket.socket() as client, open_files(client.fileno() + 1):
        client.connect(("127.0.0.1", server.port))
        server.wait_until(lambda: server.faults)


def test_a_connection_that_cannot_be_accepted_is_a_fault():
    with pytest.raises(AssertionError, match=r"No further connection .*: .*open files"):
        with_no_file_left()


def test_a_path_in_the_place_of_a_port(tmp_path):
    path = tmp_path / "server"
    with Server([request, send("x")], unix=path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(GET)
        assert rest(client) == b"x"
    assert not path.exists()


@pytest.fixture(scope="module")
def identity():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def secure(server):
    context = ssl.create_default_context(cafile=CERTIFICATE)
    names = {"server_hostname": "localhost", "suppress_ragged_eofs": False}
    return context.wrap_socket(connect(server), **names)


def test_tls(identity):
    big = bytes(range(256)) * 4000
    with Server([request, send(big), half_close, client_closed], tls=identity) as server:
        assert server.url.startswith("https://")
        with secure(server) as client:
            client.sendall(post("/", big))
            assert rest(client) == big
            assert server.requests[0].body == big
        assert server.connection(0).closed_by_client.wait(CEILING)


def test_tls_closes_with_a_goodbye(identity):
    script = [request, send("x"), close]
    with Server(script, tls=identity) as server, secure(server) as client:
        client.sendall(GET)
        assert rest(client) == b"x"  # an end of file alone would be an error


def test_tls_resets_without_one(identity):
    script = [request, send("x"), turn, reset]
    with Server(script, tls=identity) as server, secure(server) as client:
        client.sendall(GET)
        assert client.recv(1) == b"x"
        server.connection(0).turn.release()
        with pytest.raises(OSError, match=r"reset|EOF"):
            rest(client)


def test_a_client_that_trusts_nobody(identity):
    with Server([request], tls=identity) as server:
        context = ssl.create_default_context()
        with connect(server) as client, pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(client, server_hostname="localhost")
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert server.connections[0].happened[0].startswith("TLS failed")


def test_steps_show_as_they_were_written():
    steps = [request, send(b"a"), drip("ab", 2), drip("ab", cuts=[1]), sleep(1), turn]
    shown = "[request, send(b'a'), drip(b'ab', size=2), drip(b'ab', cuts=[1]), sleep(1), turn]"
    assert repr(steps) == shown
    assert repr(repeat(*steps[:2], times=2)) == "repeat(request, send(b'a'), times=2)"
    assert repr(repeat([reset, [with_fault]])) == "repeat([reset, [with_fault]])"
    assert repr(when({"/a": [], "/b": []})) == "when({'/a', '/b'})"
    assert repr(send(bytes(100))).endswith("… 100 bytes)")
    assert repr(Server()) == "<Server not started, 0 connections, 0 faults>"
