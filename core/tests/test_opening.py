"""How a connection comes about: its clocks, Unix sockets, authorities, and what may be missing."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import ssl
import threading
import warnings
from contextlib import contextmanager, suppress

import httpx
import pytest
from test_carriers import (
    CERTIFICATE,
    OK,
    TINY,
    Driver,
    abort_when,
    facts,
    failure,
    full_listener,
    settle,
)

from multitap import errors
from multitap.engine.direct import dns
from multitap.policy.clocks import Clocks
from multitap.testing import (
    CEILING,
    Server,
    client_closed,
    close,
    request,
    reset,
    secure,
    send,
    tell,
)
from multitap.work import HttpCall

KINDS = ["direct", "direct-async", "httpx", "httpx-async"]


@pytest.fixture(params=KINDS)
def driver(request):
    made = Driver(request.param)
    yield made
    made.close()


@pytest.fixture(params=KINDS[:2])
def direct(request):
    made = Driver(request.param)
    yield made
    made.close()


@pytest.fixture
def deaf():
    """A port where connecting takes for ever."""
    listener, waiting = full_listener()
    yield listener.getsockname()[1]
    for opened in (listener, *waiting):
        opened.close()


@pytest.fixture(scope="module")
def identity():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


# ---- clocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("clock", ["connect", "opening"])
def test_the_clocks_of_a_connection(direct, deaf, clock):
    clocks = Clocks(connect=CEILING, opening=CEILING).evolved({clock: TINY})
    error = failure(direct, direct.carrier(f"http://127.0.0.1:{deaf}"), clocks=clocks)
    assert facts(error) == (errors.Timeout, "connect_timeout", "connect")
    assert f"for {TINY:g} s" in str(error)


def test_an_address_that_never_answers_leaves_time_for_the_next(direct, monkeypatch, deaf):
    with Server([request, send(OK)]) as server:
        places = [("127.0.0.1", deaf), ("127.0.0.1", server.port)]
        addresses = [dns.Address(socket.AF_INET, place) for place in places]
        monkeypatch.setattr(dns, "known_addresses", lambda *_: addresses)
        clocks = Clocks(connect=TINY, opening=CEILING)
        assert direct.exchange(direct.carrier(server.url), clocks=clocks)[1] == b"hello"


def test_every_address_that_failed_is_named(direct, monkeypatch, deaf):
    places = [("127.0.0.1", deaf), ("127.0.0.1", 1)]
    addresses = [dns.Address(socket.AF_INET, place) for place in places]
    monkeypatch.setattr(dns, "known_addresses", lambda *_: addresses)
    error = failure(direct, direct.carrier("http://127.0.0.1:9"), clocks=Clocks(connect=TINY))
    assert facts(error) == (errors.ProviderDown, "connect_failed", "connect")
    assert "127.0.0.1:1: Connection refused" in str(error)
    assert f"127.0.0.1:{deaf}: " in str(error)
    assert isinstance(error.__cause__, ConnectionRefusedError)


def test_a_name_that_is_looked_up_for_too_long(direct, monkeypatch):
    answer = threading.Event()

    def slow(*_: object, flags: int = 0, **__: object) -> None:
        if not flags:
            answer.wait(CEILING)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    error = failure(direct, direct.carrier("http://slow.invalid:1"), clocks=Clocks(opening=TINY))
    answer.set()
    assert facts(error) == (errors.Timeout, "connect_timeout", "connect")


def test_a_handshake_that_never_ends(direct):
    with Server([client_closed]) as server:
        url = server.url.replace("http:", "https:")
        error = failure(direct, direct.carrier(url), clocks=Clocks(opening=4 * TINY))
        assert server.connection(0).closed_by_client.wait(CEILING)
    assert facts(error) == (errors.Timeout, "connect_timeout", "connect")


def test_a_server_that_closes_in_the_handshake_may_be_tried_again(direct):
    with Server([close]) as server:
        error = failure(direct, direct.carrier(server.url.replace("http:", "https:")))
    assert facts(error) == (errors.ProviderDown, "connection_lost", "tls")
    assert error.retryable


CONNECTED = send(b"HTTP/1.1 200 Connection established\r\n\r\n")
EVIL = send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nevil!")


@pytest.mark.parametrize("moment", ["at once", "with the tunnel", "behind the tunnel"])
def test_what_is_said_before_tls_is_no_answer(direct, identity, moment):
    went = threading.Event()
    words = {
        "at once": [EVIL],
        "with the tunnel": [request, send(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\nevil!")],
        "behind the tunnel": [request, CONNECTED, EVIL],
    }[moment]
    with Server([*words, tell(went), secure(identity), request, send(OK)]) as server:
        options = {} if moment == "at once" else {"proxy": server.url}
        url = server.url.replace("http:", "https:")
        carrier = direct.carrier(url, ca_file=str(CERTIFICATE), **options)
        transfer = carrier.transfer()
        body = b""
        with suppress(errors.TLSFailed, errors.ProxyFailed):
            direct.send(transfer)
            body = direct.read_all(transfer)
        assert body in (b"", b"hello")
        assert went.wait(CEILING)
        transfer.abort()


def test_a_server_that_speaks_before_tls_is_refused(direct):
    with Server([EVIL, client_closed]) as server:
        error = failure(direct, direct.carrier(server.url.replace("http:", "https:")))
    assert facts(error) == (errors.TLSFailed, "tls_failed", "tls")
    assert isinstance(error.__cause__, ssl.SSLError)


# ---- Unix sockets --------------------------------------------------------------------------------


@pytest.mark.parametrize(("prefix", "target"), [("", "/api/chat"), (":/v1/", "/v1/api/chat")])
def test_a_server_at_a_unix_socket(driver, tmp_path, prefix, target):
    path = tmp_path / "llm.sock"
    with Server([request, send(OK), request, send(OK)], unix=path) as server:
        carrier = driver.carrier(f"unix://{path}{prefix}")
        assert [driver.exchange(carrier)[1] for _ in range(2)] == [b"hello"] * 2
        assert len(server.connections) == 1
        assert (server.requests[0].target, server.requests[0].headers["host"]) == (
            target,
            "localhost",
        )


def test_a_unix_socket_whose_path_has_a_blank(driver, tmp_path):
    path = tmp_path / "my llm.sock"
    with Server([request, send(OK)], unix=path):
        url = f"unix://{path}".replace(" ", "%20")
        assert driver.exchange(driver.carrier(url))[1] == b"hello"


def test_a_unix_socket_that_is_not_there_is_named(direct, tmp_path):
    error = failure(direct, direct.carrier(f"unix://{tmp_path}/llm.sock"))
    assert facts(error) == (errors.ProviderDown, "connect_failed", "connect")
    assert f"Cannot connect to unix://{tmp_path}/llm.sock: " in str(error)


def test_a_path_that_no_socket_can_have(direct, tmp_path):
    error = failure(direct, direct.carrier(f"unix://{tmp_path}/{'x' * 200}"))
    assert facts(error)[:2] == (errors.ProviderDown, "connect_failed")


@pytest.mark.parametrize("url", ["unix:/run/x.sock", "unix://run/x", "unix://", "unix:///"])
def test_what_is_no_unix_socket(driver, url):
    with pytest.raises(errors.ConfigError, match=r"unix:///run/llm\.sock"):
        driver.carrier(url)


def test_a_client_of_the_applications_has_its_own_way_to_a_unix_socket():
    with httpx.Client() as client, pytest.raises(errors.ConfigError, match="uds="):
        Driver("httpx").carrier("unix:///run/llm.sock", client=client)


# ---- authorities ---------------------------------------------------------------------------------


def test_a_file_of_authorities(driver, identity):
    with Server([request, send(OK), request, send(OK)], tls=identity) as server:
        carrier = driver.carrier(server.url, ca_file=str(CERTIFICATE))
        assert [driver.exchange(carrier)[1] for _ in range(2)] == [b"hello"] * 2
        assert len(server.connections) == 1


def test_the_environments_file_of_authorities(driver, identity, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with Server([request, send(OK)], tls=identity) as server:
        assert driver.exchange(driver.carrier(server.url))[1] == b"hello"


def test_a_certificate_of_another_host(direct, identity, monkeypatch):
    with Server([request], tls=identity) as server:
        here = [dns.Address(socket.AF_INET, ("127.0.0.1", server.port))]
        monkeypatch.setattr(dns, "known_addresses", lambda *_: here)
        carrier = direct.carrier("https://other.example", ca_file=str(CERTIFICATE))
        error = failure(direct, carrier)
    assert facts(error) == (errors.TLSFailed, "tls_failed", "tls")
    assert "hostname mismatch" in str(error).lower()
    assert not error.retryable


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), ("not PEM", "no certificate in PEM")]
)
def test_a_file_that_holds_no_authorities(driver, tmp_path, content, words):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(errors.ConfigError, match=words) as caught:
        driver.exchange(driver.carrier("https://127.0.0.1:9", ca_file=str(path)))
    assert str(path) in str(caught.value)


# ---- proxies -------------------------------------------------------------------------------------


def test_a_tunnel_is_kept(driver, identity):
    script = [request, CONNECTED, secure(identity), request, send(OK), request, send(OK)]
    with Server(script) as proxy:
        options = {"proxy": proxy.url, "ca_file": str(CERTIFICATE)}
        carrier = driver.carrier("https://127.0.0.1:9/base", **options)
        assert [driver.exchange(carrier)[1] for _ in range(2)] == [b"hello"] * 2
        assert [asked.target for asked in proxy.requests] == [
            "127.0.0.1:9",
            "/base/api/chat",
            "/base/api/chat",
        ]


def test_a_proxy_that_refuses_on_a_kept_connection_is_not_asked_again(driver):
    refusal = send(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n")
    with Server([request, send(OK), request, refusal, client_closed]) as proxy:
        carrier = driver.carrier("http://box.example", proxy=proxy.url)
        driver.exchange(carrier)
        call = HttpCall(method="GET", path="/")
        assert type(failure(driver, carrier, call=call)) is errors.ProxyFailed
        assert (len(proxy.connections), len(proxy.requests)) == (1, 2)


@pytest.mark.parametrize(
    "words",
    [
        [close],
        [reset],
        [send(b"\x05\x00"), client_closed],
        [send(b"HTTP/1.1 200"), close],
        [send(b"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n"), client_closed],
    ],
    ids=["closed", "reset", "no HTTP", "cut", "redirect"],
)
def test_what_opens_no_tunnel_is_a_proxy_that_refuses(direct, words):
    with Server([request, *words]) as proxy:
        carrier = direct.carrier("https://box.example", proxy=proxy.url)
        error = failure(direct, carrier)
        assert facts(error) == (errors.ProxyFailed, "proxy_failed", "connect")
        assert f"The proxy {proxy.url} refused to connect" in str(error)
        assert carrier.pool.counts == (0, 0)


def test_a_proxy_that_says_nothing_to_connect(direct):
    with Server([request, client_closed]) as proxy:
        carrier = direct.carrier("https://box.example", proxy=proxy.url)
        error = failure(direct, carrier, clocks=Clocks(opening=4 * TINY))
        assert proxy.connection(0).closed_by_client.wait(CEILING)
    assert facts(error) == (errors.Timeout, "connect_timeout", "connect")


def test_a_proxy_that_hangs_up_behind_its_answer(direct):
    with Server([request, CONNECTED, close]) as proxy:
        error = failure(direct, direct.carrier("https://box.example", proxy=proxy.url))
    assert facts(error) == (errors.ProviderDown, "connection_lost", "tls")


def test_a_proxy_whose_name_does_not_exist(direct, monkeypatch):
    def no_such_name(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    carrier = direct.carrier("https://box.example", proxy="http://me:pw@nowhere.invalid:1")
    error = failure(direct, carrier)
    assert type(error) is errors.ProxyFailed
    assert "Cannot connect to the proxy http://***@nowhere.invalid:1" in str(error)


def test_giving_up_while_a_proxy_is_asked(direct):
    came = threading.Event()
    with Server([request, tell(came), client_closed]) as proxy:
        transfer = direct.carrier("https://box.example", proxy=proxy.url).transfer()
        thread = abort_when(came, transfer)
        with pytest.raises(errors.BackendError) as caught:
            direct.send(transfer)
        thread.join()
    assert caught.value.kind == "aborted"


@contextmanager
def relay(identity, port):
    """A proxy that itself speaks TLS, and hands on what goes through its tunnel to a port."""
    loop, started = asyncio.new_event_loop(), threading.Event()
    found = []

    async def pump(reader, writer) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader, writer) -> None:
        found.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=identity)
        found.append(server.sockets[0].getsockname()[1])
        started.set()
        async with server:
            await over.wait()
        await settle()

    over = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert started.wait(CEILING)
    try:
        yield found
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def test_tls_within_the_tls_of_a_proxy(driver, identity):
    long = b"x" * 300_000
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(long), long)
    script = [request, send(OK), request, send(answer), client_closed]
    with Server(script, tls=identity) as server, relay(identity, server.port) as found:
        proxy = f"https://127.0.0.1:{found[0]}"
        carrier = driver.carrier(server.url, proxy=proxy, ca_file=str(CERTIFICATE))
        assert driver.exchange(carrier)[1] == b"hello"
        assert driver.exchange(carrier, body=long)[1] == long
        assert found[1:] == [f"CONNECT 127.0.0.1:{server.port} HTTP/1.1".encode()]
        assert server.requests[1].raw.endswith(long)
        driver.close()


def test_an_answer_that_breaks_off_within_the_tls_of_a_proxy(direct, identity):
    with (
        Server([request, send(OK[:-1]), close], tls=identity) as server,
        relay(identity, server.port) as found,
    ):
        options = {"proxy": f"https://127.0.0.1:{found[0]}", "ca_file": str(CERTIFICATE)}
        error = failure(direct, direct.carrier(server.url, **options))
    assert type(error) is errors.TruncatedStream


# ---- descriptors ---------------------------------------------------------------------------------


@contextmanager
def no_descriptor_left():
    """Take every descriptor that this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(probe + 64, soft), hard))
    taken = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_descriptor_is_left_for_a_connection(driver):
    with Server([request, send(OK)]) as server:
        carrier = driver.carrier(server.url)
        with no_descriptor_left(), pytest.raises(errors.LocalError) as caught:
            driver.exchange(carrier)
        assert caught.value.kind == "descriptors"
        assert "descriptor" in str(caught.value)
        if driver.direct:
            assert carrier.pool.counts == (0, 0)
        assert driver.exchange(carrier)[1] == b"hello"
        assert len(server.connections) == 1


# ---- event loops ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["direct-async", "httpx-async"])
def test_a_carrier_belongs_to_one_loop(kind):
    driver, other = Driver(kind), Driver(kind)
    with Server([request, send(OK), client_closed]) as server:
        carrier = driver.carrier(server.url)
        driver.exchange(carrier)
        with pytest.raises(errors.LocalError, match="another event loop"):
            other.exchange(carrier)
        driver.close()
        other.close()


@pytest.mark.parametrize("kind", ["direct-async", "httpx-async"])
def test_a_loop_that_is_closed(kind):
    """Whoever still holds the carrier gets typed errors, and may close and abort it."""
    driver, other = Driver(kind), Driver(kind)
    with Server([request, send(OK[:-1]), client_closed]) as server:
        carrier = driver.carrier(server.url)
        transfer = carrier.transfer()
        driver.send(transfer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # a closed loop closes nothing
            driver.loop.close()
            with pytest.raises(errors.LocalError, match="another event loop"):
                other.exchange(carrier)
            transfer.abort()
            carrier.close()
            with pytest.raises(errors.LocalError, match="closed"):
                carrier.transfer()
            other.close()
            driver.carriers.clear()
            del carrier, transfer
            gc.collect()


def test_closing_from_another_thread(direct):
    with Server([request, send(OK), client_closed]) as server:
        carrier = direct.carrier(server.url)
        direct.exchange(carrier)
        thread = threading.Thread(target=carrier.close)
        thread.start()
        thread.join()
        if direct.loop:
            direct.run(asyncio.sleep(0))
        assert server.connection(0).closed_by_client.wait(CEILING)
        assert carrier.pool.counts == (0, 0)


def test_a_forked_child_leaves_the_parents_connections_alone():
    parent = Driver("direct-async")
    with Server([request, send(OK), request, send(OK)], [request, send(OK)]) as server:
        carrier = parent.carrier(server.url)
        parent.exchange(carrier)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there are threads: the server's
            child = os.fork()
        if not child:
            code = 1
            with suppress(BaseException):
                own = Driver("direct-async")
                carrier.close()
                code = 0 if own.exchange(own.carrier(server.url))[1] == b"hello" else 2
            os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert parent.exchange(carrier)[1] == b"hello"
        assert [len(each.requests) for each in server.connections] == [2, 1]
        parent.close()
