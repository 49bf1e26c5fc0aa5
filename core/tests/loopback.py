"""A scripted server on the loopback interface: raw bytes, one script for each connection.

    with Loopback([request, send(b"HTTP/1.1 200 OK\\r\\n..."), client_closed]) as server:
        ...

The last script serves all further connections. Nothing sleeps: what a test waits for is an event.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

CEILING = 10.0  # seconds that anything may take before a test is called stuck


class Peer:
    """One accepted connection: what it received, and whether the client closed it."""

    def __init__(self, accepted: socket.socket) -> None:
        accepted.settimeout(CEILING)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = accepted
        self.requests: list[bytes] = []
        self.received = bytearray()
        self.request_came = threading.Event()
        self.closed_by_client = threading.Event()
        self.turn = threading.Semaphore(0)

    def take_request(self) -> None:
        """Read one request, with the body that its ``Content-Length`` promises."""
        while b"\r\n\r\n" not in self.received:
            self._read()
        head, _, _ = bytes(self.received).partition(b"\r\n\r\n")
        size = len(head) + 4 + _content_length(head)
        while len(self.received) < size:
            self._read()
        self.requests.append(bytes(self.received[:size]))
        del self.received[:size]
        self.request_came.set()

    def _read(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            self.closed_by_client.set()
            raise ConnectionError("the client closed")
        self.received += data

    def wait_for_close(self) -> None:
        """Read until the client closes."""
        try:
            while True:
                self._read()
        except ConnectionError:
            self.closed_by_client.set()


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


Step = Callable[[Peer], None]


def request(peer: Peer) -> None:
    """Wait for a request."""
    peer.take_request()


def client_closed(peer: Peer) -> None:
    """Wait until the client closes."""
    peer.wait_for_close()


def send(data: bytes) -> Step:
    """Send bytes."""
    return lambda peer: peer.socket.sendall(data)


def hold(event: threading.Event) -> Step:
    """Wait until the test sets the event."""

    def step(_: Peer) -> None:
        assert event.wait(CEILING), "nobody released the server"

    return step


def turn(peer: Peer) -> None:
    """Wait until the test releases this connection's ``turn``, once for each step."""
    assert peer.turn.acquire(timeout=CEILING), "nobody gave the server its turn"


def tell(event: threading.Event) -> Step:
    """Set an event for the test."""
    return lambda _: event.set()


def half_close(peer: Peer) -> None:
    """Say that no more is coming, and go on listening."""
    peer.socket.shutdown(socket.SHUT_WR)


def close(peer: Peer) -> None:
    """Close in the ordinary way."""
    peer.socket.close()


def reset(peer: Peer) -> None:
    """Close with a reset."""
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()


class Loopback:
    """The server; a context manager."""

    def __init__(self, *scripts: Sequence[Step], tls: ssl.SSLContext | None = None) -> None:
        self._scripts = list(scripts)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self.peers: list[Peer] = []
        self.faults: list[BaseException] = []
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[bytes]:
        """All requests, connection by connection."""
        return [request for peer in self.peers for request in peer.requests]

    def peer(self, index: int) -> Peer:
        """The connection of this number, as soon as it is accepted."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.peers) > index, CEILING)
            return self.peers[index]

    def __enter__(self) -> Loopback:
        self._start(self._accept)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        socket.socket.shutdown(self._listener, socket.SHUT_RDWR)
        self._listener.close()
        for peer in self.peers:
            peer.turn.release(1000)
            with suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(CEILING)
        if kind is None:
            assert not self.faults

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                peer = Peer(accepted)
                self.peers.append(peer)
                self._changed.notify_all()
            script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
            self._start(self._play, peer, script)

    def _play(self, peer: Peer, script: Sequence[Step]) -> None:
        try:
            if self._tls is not None:
                peer.socket = self._tls.wrap_socket(peer.socket, server_side=True)
            for step in script:
                step(peer)
        except (ConnectionError, ssl.SSLError):
            peer.closed_by_client.set()  # which is what many a test is about
        except BaseException as error:
            self.faults.append(error)
        finally:
            peer.socket.close()
