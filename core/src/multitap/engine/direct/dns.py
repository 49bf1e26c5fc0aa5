"""Names to addresses, without keeping anybody waiting who has given up."""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from concurrent.futures import Future
from typing import Any, NamedTuple

__all__ = ("Address", "known_addresses", "look_up")

_MAX_THREADS = 4


class Address(NamedTuple):
    """Where to connect: a family and what ``socket.connect`` takes, a path for a Unix socket."""

    family: int
    sockaddr: tuple[Any, ...] | str

    def __str__(self) -> str:
        if isinstance(self.sockaddr, str):
            return self.sockaddr
        host, port = self.sockaddr[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def known_addresses(host: str, port: int) -> list[Address] | None:
    """The addresses that need no look-up: numbers, and this machine; ``None``: ask ``look_up``."""
    if host == "localhost" or host.endswith(".localhost"):
        return [
            Address(socket.AF_INET, ("127.0.0.1", port)),
            Address(socket.AF_INET6, ("::1", port, 0, 0)),
        ]
    try:
        return _resolve(host, port, socket.AI_NUMERICHOST)
    except socket.gaierror:
        return None


def look_up(host: str, port: int) -> Future[list[Address]]:
    """Ask the system for the addresses of a name, in a thread.

    The system's call cannot be stopped. At most four threads wait for it, whatever happens;
    cancel the future to give up a question that is still in the queue.
    """
    return _current().submit(host, port)


def _resolve(host: str, port: int, flags: int = 0) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [Address(row[0], row[4]) for row in found]


class _Resolver:
    """Up to four daemon threads, each for as long as there are questions."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._threads = 0
        self._questions: deque[tuple[Future[list[Address]], str, int]] = deque()

    def submit(self, host: str, port: int) -> Future[list[Address]]:
        answer: Future[list[Address]] = Future()
        with self._lock:
            self._questions.append((answer, host, port))
            if self._threads < _MAX_THREADS:
                self._threads += 1
                threading.Thread(target=self._work, name="multitap-dns", daemon=True).start()
        return answer

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._questions:
                    self._threads -= 1
                    return
                answer, host, port = self._questions.popleft()
            if answer.set_running_or_notify_cancel():
                _settle(answer, host, port)


def _settle(answer: Future[list[Address]], host: str, port: int) -> None:
    try:
        answer.set_result(_resolve(host, port))
    except (OSError, UnicodeError) as error:
        answer.set_exception(error)


_resolver = _Resolver()


def _current() -> _Resolver:
    global _resolver
    if _resolver.pid != os.getpid():  # a fork copies neither the threads nor a lock's owner
        _resolver = _Resolver()
    return _resolver
