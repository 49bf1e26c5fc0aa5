r"""A scripted server on the loopback interface: raw bytes, one script for each connection.

>>> import socket
>>> from multitap.testing import request, reset, send
>>> with Server([request, send("hello"), reset]) as server:
...     with socket.create_connection(("127.0.0.1", server.port)) as client:
...         client.sendall(b"GET /api/tags HTTP/1.1\r\n\r\n")
...         client.recv(100), server.requests[0].path
(b'hello', '/api/tags')
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from multitap.testing.connection import ClientLeft, Connection
from multitap.testing.gate import CEILING
from multitap.testing.received import ReceivedRequest
from multitap.testing.steps import Script, client_closed, play
from multitap.testing.wire import SecureWire, Wire

__all__ = ("Server",)

S = TypeVar("S", bound="Server")


class Server:
    """A server that plays one script for each connection; the last one serves all further.

    It is a context manager, and an asynchronous one: it runs on an event loop in a thread of its
    own, so blocking code and coroutines use it alike. A script that goes wrong (nobody opened its
    gate, no route for a request) is raised at the end of the ``with`` block. The end of a script
    closes its connection.

    Args:
        scripts: Steps, or sequences of them; without any, a connection is only held.
        tls: Speak TLS with this identity.
        unix: Listen at this path instead of at a port of 127.0.0.1.
        listener: Listen on this socket, which is bound and refuses until then.
        ceiling: Seconds that a script may wait for the test.

    Attributes:
        connections: In the order in which they were accepted.
        faults: What went wrong in scripts.
    """

    def __init__(
        self,
        *scripts: Script,
        tls: ssl.SSLContext | None = None,
        unix: str | os.PathLike[str] | None = None,
        listener: socket.socket | None = None,
        ceiling: float = CEILING,
    ) -> None:
        self._scripts = list(scripts) or [client_closed]
        self._tls = tls
        self._unix = unix
        self._bound = listener
        self._ceiling = ceiling
        self._changed = threading.Condition()
        self.connections: list[Connection] = []
        self.faults: list[AssertionError] = []
        self.port = 0
        self.url = ""

    def __repr__(self) -> str:
        where = self.url or "not started"
        return f"<Server {where}, {len(self.connections)} connections, {len(self.faults)} faults>"

    # ---- for the test ----------------------------------------------------------------------------

    @property
    def requests(self) -> list[ReceivedRequest]:
        """All requests, connection by connection."""
        return [request for known in list(self.connections) for request in known.requests]

    def connection(self, index: int) -> Connection:
        """The connection of this number, as soon as it is accepted."""
        self.wait_until(lambda: len(self.connections) > index)
        return self.connections[index]

    def wait_until(self, holds: Callable[[], object], seconds: float = CEILING) -> None:
        """Wait until this holds of the server; looked at whenever something happens to it."""
        with self._changed:
            if not self._changed.wait_for(lambda: bool(holds()), seconds):
                seen = ", ".join(map(repr, self.connections)) or "no connection"
                raise AssertionError(f"It did not come true within {seconds:g} s: {seen}")

    def __enter__(self: S) -> S:
        listener = self._listen()
        self._loop = asyncio.SelectorEventLoop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(listener,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(CEILING)
        if self._thread.is_alive():
            self.faults.append(AssertionError("The server is stuck: a step blocks its event loop"))
        if self.faults and error is None:
            raise AssertionError("\n".join(map(str, self.faults))) from self.faults[0]
        if error is not None and sys.version_info >= (3, 11):
            for fault in self.faults:
                error.add_note(str(fault))

    async def __aenter__(self: S) -> S:
        return self.__enter__()

    async def __aexit__(self, *ending: Any) -> None:
        self.__exit__(*ending)

    # ---- on a thread and a loop of its own -------------------------------------------------------

    def _listen(self) -> socket.socket:
        if self._unix is None:
            listener = self._bound or socket.create_server(("127.0.0.1", 0))
            listener.listen(socket.SOMAXCONN)
            self.port = listener.getsockname()[1]
            self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        else:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(os.fspath(self._unix))
            listener.listen(socket.SOMAXCONN)
            self.url = "http://localhost"
        listener.setblocking(False)
        return listener

    def _run(self, listener: socket.socket) -> None:
        try:
            self._loop.run_until_complete(self._serve(listener))
        finally:
            self._loop.close()
            if self._unix is not None:
                Path(self._unix).unlink()

    async def _serve(self, listener: socket.socket) -> None:
        playing: set[asyncio.Task[None]] = set()
        self._loop.add_reader(listener, self._accept, listener, playing)
        await self._stop.wait()
        self._loop.remove_reader(listener)
        listener.close()
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)
        for connection in self.connections:  # one whose task had not begun closes nothing itself
            connection.drop("server stopped")

    def _accept(self, listener: socket.socket, playing: set[asyncio.Task[None]]) -> None:
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:  # such as too many open files
            self._loop.remove_reader(listener)
            self._fault(f"No further connection can be accepted: {error}", error)
            return
        task = self._loop.create_task(self._play(self._connection(accepted)))
        playing.add(task)
        task.add_done_callback(playing.discard)

    def _connection(self, accepted: socket.socket) -> Connection:
        wire = (
            Wire(accepted, self._loop)
            if self._tls is None
            else SecureWire(accepted, self._loop, self._tls)
        )
        connection = Connection(len(self.connections), wire, self._ceiling, self._notify)
        self.connections.append(connection)
        self._notify()
        return connection

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    async def _play(self, connection: Connection) -> None:
        place = min(connection.number, len(self._scripts) - 1)
        try:
            await connection.start()
            await play(connection, self._scripts[place])
            await connection.close()
        except ClientLeft:
            connection.drop("server closed")
        except Exception as error:
            self._blame(connection, error)
            connection.drop("server closed")
        finally:
            connection.drop("server stopped")

    def _blame(self, connection: Connection, error: Exception) -> None:
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        self._fault(f"The script failed: {kind}{error} ({connection!r})", error)

    def _fault(self, message: str, cause: Exception) -> None:
        fault = AssertionError(message)
        fault.__cause__ = cause
        self.faults.append(fault)
        self._notify()
