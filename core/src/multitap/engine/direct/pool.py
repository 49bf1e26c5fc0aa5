"""The connections that a carrier keeps for the next request."""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from multitap.engine import faults

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("IDLE_SECONDS", "MAX_CONNECTIONS", "Pool")

MAX_CONNECTIONS = 4096
IDLE_SECONDS = 4.0  # uvicorn, and so vLLM, closes an idle connection after 5 s


class _Poolable(Protocol):
    pid: int
    idle_since: float

    def usable(self) -> bool: ...

    def close(self) -> None: ...

    def disown(self) -> None: ...


C = TypeVar("C", bound=_Poolable)


class Pool(Generic[C]):
    """Idle connections, the newest first, and a count of all that are open.

    It takes no lock: each step is one operation of a deque or a set, which no other thread can
    divide, so that even a finaliser may come here at any moment. In a forked child it is empty.

    Args:
        where: Where they lead, for messages.
        max_connections: How many may be open.
        idle_expiry: Seconds that one waits for its next request.
        now: What tells the seconds; it never goes back.
    """

    def __init__(
        self,
        where: str,
        max_connections: int,
        idle_expiry: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._where = where
        self._now = now
        self._max_connections = max_connections
        self._idle_expiry = idle_expiry
        self._closed = False
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._idle: deque[C] = deque()
        self._open: set[C] = set()

    @property
    def counts(self) -> tuple[int, int]:
        """How many connections are open, and how many of them are idle."""
        return len(self._open), len(self._idle)

    def check(self) -> None:
        """Refuse to work once closed; start anew in a forked child."""
        if self._closed:
            raise faults.closed()
        if self._pid != os.getpid():
            inherited = self._idle
            self._start()
            for connection in inherited:
                connection.disown()

    def take(self) -> C | None:
        """The connection that was used last, if there is one that still lives."""
        self.check()
        while (connection := self._newest()) is not None:
            if self._is_fresh(connection) and connection.usable():
                return connection
            self.discard(connection)
        return None

    def add(self, connection: C) -> None:
        """Count a connection that is about to be opened; an idle one gives way to it.

        Raises:
            Overloaded: There are as many as there may be, and all are in use.
        """
        while len(self._open) >= self._max_connections:
            if (oldest := self._oldest()) is None:
                raise faults.pool_full(self._where)
            self.discard(oldest)
        self._open.add(connection)

    def give(self, connection: C) -> None:
        """Keep a connection for the next request, and let go of those that nobody took in time."""
        if connection.pid != os.getpid() or connection not in self._open:
            self.discard(connection)
            return
        connection.idle_since = self._now()
        self._idle.append(connection)
        self._let_go_of_the_old()
        if self._closed:
            self.close()

    def _let_go_of_the_old(self) -> None:
        while (oldest := self._oldest()) is not None:
            if self._is_fresh(oldest):
                self._idle.appendleft(oldest)
                break
            self.discard(oldest)

    def discard(self, connection: C) -> None:
        """Close a connection and count it no more."""
        self._open.discard(connection)
        connection.close()

    def forget(self, connection: C) -> None:
        """An idle connection died by itself."""
        with suppress(ValueError):
            self._idle.remove(connection)
        self._open.discard(connection)

    def refuse(self) -> None:
        """Hand out nothing more."""
        self._closed = True

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it comes back."""
        self.refuse()
        while (connection := self._newest()) is not None:
            self.discard(connection)

    def _is_fresh(self, connection: C) -> bool:
        return self._now() - connection.idle_since < self._idle_expiry

    def _newest(self) -> C | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _oldest(self) -> C | None:
        try:
            return self._idle.popleft()
        except IndexError:
            return None
