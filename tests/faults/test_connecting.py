"""Section 3.4: the way to the server, on every HTTP plugin."""

from __future__ import annotations

import socket
import ssl

import pytest
from fault_answers import TEXT, good_answer, registry
from fault_asking import KEY, ask, config, ended, facts, threads_freed, works
from matrix_lines import HOME

from multitap.errors import ProviderDown, ProxyFailed, Timeout, TLSFailed
from multitap.testing import CEILING, Gate, Server, request, tell
from multitap.testing.faults import (
    FaultyServer,
    closes_unanswered,
    dead_kept_connection,
    fault_script,
    resets_in_handshake,
    resets_unanswered,
    tunnel_broken,
    tunnel_refused,
)

fault = pytest.mark.fault
CERTIFICATE = HOME / "core/tests/data/localhost.pem"  # for tests alone; it names no one
SHORT = {"total": 3, "connect": 0.2, "opening": 0.2}


@pytest.fixture
def identity(monkeypatch):
    """What servers are, and what the runtime trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    return served(CERTIFICATE)


def served(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


# ---- A1, A2, A4: no connection -------------------------------------------------------------------


@fault("A1")
def test_a_refused_connection_is_tried_three_times(world, plugin, streamed):
    with threads_freed(), socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with world(config(plugin, url), registry(plugin)) as here:
            error, _ = ended(here, streamed)
            with FaultyServer(good_answer(plugin, streamed), listener=reserved) as server:
                assert works(here, streamed)
                assert len(server.requests) == 1
    assert facts(error) == (ProviderDown, "connect_failed", "connect", 3)
    assert url in str(error)


@fault("A2")
@pytest.mark.parametrize(
    ("code", "attempts"),
    [(socket.EAI_NONAME, 1), (socket.EAI_AGAIN, 3), (socket.EAI_FAIL, 3)],
    ids=["no such name", "no answer", "failure"],
)
def test_a_name_that_is_not_found(world, plugin, streamed, code, attempts, monkeypatch):
    found, lookup = [], socket.getaddrinfo

    def resolve(host, port, *args, **options):
        if host != "box.example":
            return lookup(host, port, *args, **options)
        if not found:
            raise socket.gaierror(code, "it is not there")
        return lookup(found[0], port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with threads_freed(), FaultyServer(good_answer(plugin, streamed)) as server:
        url = f"http://box.example:{server.port}"
        with world(config(plugin, url), registry(plugin)) as here:
            error, _ = ended(here, streamed)
            found.append("127.0.0.1")
            assert works(here, streamed)
    kind = "name_unknown" if attempts == 1 else "connect_failed"
    assert facts(error) == (ProviderDown, kind, "resolve", attempts)


@pytest.fixture
def deaf():
    """A listener where connecting takes for ever: its queue is full."""
    listener, waiting = socket.socket(), [socket.socket() for _ in range(3)]
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for client in waiting:
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
    yield listener
    for opened in (listener, *waiting):
        opened.close()


@fault("A4")
def test_a_connection_that_never_opens(world, plugin, streamed, deaf):
    url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
    with threads_freed(), world(config(plugin, url), registry(plugin)) as here:
        error, _ = ended(here, streamed, timeout=SHORT)
    assert facts(error) == (Timeout, "connect_timeout", "connect", 3)


# ---- A3: TLS -------------------------------------------------------------------------------------


@fault("A3")
def test_a_handshake_that_is_reset_is_tried_again(world, plugin, streamed, identity):
    with threads_freed(), FaultyServer(good_answer(plugin, streamed)) as server:
        server.breaks(resets_in_handshake)
        url = f"https://localhost:{server.port}"
        with world(config(plugin, url), registry(plugin)) as here:
            error, _ = ended(here, streamed)
            assert len(server.connections) == 3
    assert facts(error) == (ProviderDown, "connection_lost", "tls", 3)


@fault("A3")
def test_a_certificate_that_nobody_trusts_is_final(world, plugin, streamed):
    identity, good = served(CERTIFICATE), good_answer(plugin, streamed)
    with threads_freed(), FaultyServer(good, tls=identity) as server:
        url = f"https://localhost:{server.port}"
        with world(config(plugin, url), registry(plugin)) as here:
            error, _ = ended(here, streamed)
        assert (len(server.connections), server.requests) == (1, [])
    assert facts(error) == (TLSFailed, "tls_failed", "tls", 1)


@fault("A3")
def test_a_certificate_of_another_host_is_final(world, plugin, streamed, identity, monkeypatch):
    lookup = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: lookup("127.0.0.1", *a, **k))
    with threads_freed(), FaultyServer(good_answer(plugin, streamed), tls=identity) as server:
        url = f"https://box.example:{server.port}"
        with world(config(plugin, url), registry(plugin)) as here:
            error, _ = ended(here, streamed)
        assert (len(server.connections), server.requests) == (1, [])
    assert facts(error) == (TLSFailed, "tls_failed", "tls", 1)
    assert "match" in str(error)


# ---- A6: proxies ---------------------------------------------------------------------------------


@fault("A6")
@pytest.mark.parametrize(
    ("script", "options"),
    [(tunnel_refused, {}), (tunnel_refused, {"status": 403}), (tunnel_broken, {})],
    ids=["407", "403", "no HTTP"],
)
def test_a_proxy_that_opens_no_tunnel(world, plugin, streamed, script, options):
    with threads_freed(), FaultyServer(good_answer(plugin, streamed)) as proxy:
        proxy.breaks(script, **options)
        given = config(plugin, "https://box.example", proxy=proxy.url)
        with world(given, registry(plugin)) as here:
            error, _ = ended(here, streamed)
        assert [each.method for each in proxy.requests] == ["CONNECT"]
        assert KEY.encode() not in proxy.requests[0].raw
        proxy.wait_until(lambda: not proxy.held)
    assert (type(error), error.phase, len(error.attempts)) == (ProxyFailed, "connect", 1)


@fault("A6")
def test_what_is_here_is_never_asked_through_the_environments_proxy(
    world, plugin, streamed, monkeypatch
):
    with FaultyServer(good_answer(plugin, streamed)) as server, Server([request]) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with world(config(plugin, server.url), registry(plugin)) as here:
            assert ask(here, streamed).text == TEXT
        assert proxy.connections == []


# ---- A7: a connection that was kept --------------------------------------------------------------


@fault("A7")
def test_a_connection_that_was_closed_while_it_was_kept_is_not_used(world, plugin, streamed):
    gone = Gate()
    with threads_freed(), FaultyServer(good_answer(plugin, streamed)) as server:
        with world(config(plugin, server.url), registry(plugin)) as here:
            server.breaks(fault_script("A7")(lambda good: [dead_kept_connection(good), tell(gone)]))
            assert works(here, streamed)
            assert gone.wait(CEILING)
            server.heals()
            assert works(here, streamed)
        assert len(server.requests) == 2


@fault("A7")
@pytest.mark.parametrize("script", [closes_unanswered, resets_unanswered], ids=["close", "reset"])
def test_a_kept_connection_that_dies_with_the_request(world, plugin, streamed, script):
    """It may have run: an unstreamed question is not asked again by itself."""
    with (
        threads_freed(),
        FaultyServer(good_answer(plugin, streamed)) as server,
        world(config(plugin, server.url), registry(plugin)) as here,
    ):
        assert works(here, streamed)
        server.breaks(script)
        error, _ = ended(here, streamed)
        sent = len(server.requests)
        server.heals()
        assert works(here, streamed)
    tries = 3 if streamed else 1
    assert facts(error) == (ProviderDown, "connection_lost", "wait", tries)
    assert sent == 1 + tries
