"""The addresses of one host, tried in turn: how long each has, and what is said if none answers."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from multitap.engine import faults
from multitap.engine.direct.dns import Address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap.engine.direct.way import Way
    from multitap.policy.clocks import Clocks

__all__ = ("Tries", "socket_address")


class Tries:
    """The opening of one connection; ``clocks.opening`` bounds all of it.

    Attributes:
        until: When it has to stand, a reading of ``clocks.now``.
    """

    def __init__(self, way: Way, clocks: Clocks) -> None:
        self._way = way
        self._clocks = clocks
        self.until = clocks.now() + clocks.left(clocks.opening)
        self._errors: list[OSError] = []
        self._reasons: list[str] = []

    @property
    def left(self) -> float:
        """Seconds until it has to stand."""
        return self.until - self._clocks.now()

    def share(self, addresses: int) -> float:
        """Seconds for the next address, where so many are left."""
        return min(self._clocks.connect, self.left / addresses)

    def failed(self, address: Address, error: OSError) -> None:
        """This address did not take the connection; an error of this machine ends all tries."""
        if faults.is_out_of_descriptors(error):
            raise error
        self._errors.append(error)
        said = os.strerror(error.errno) if error.errno else "no answer"
        named = not isinstance(address.sockaddr, str)  # else it is in the endpoint
        self._reasons.append(f"{address}: {said}" if named else said)

    @property
    def last(self) -> OSError | None:
        """What became of the address that was tried last."""
        return self._errors[-1] if self._errors else None

    def error(self) -> Exception:
        """What is raised where no address took it; ``last`` is its cause."""
        late = self.left <= 0
        silent = self._errors and all(isinstance(error, TimeoutError) for error in self._errors)
        if late or silent:
            clocks = self._clocks
            limit = clocks.opening if late else min(clocks.connect, clocks.opening)
            return faults.expired("connect_timeout", "connect", limit, clocks)
        return self._way.unreachable(", ".join(self._reasons) or "there are no Unix sockets here")

    def nameless(self, error: socket.gaierror | UnicodeError) -> Exception:
        """What is raised where the name has no address."""
        if self._way.proxy is not None:
            return self._way.unreachable("")
        if isinstance(error, UnicodeError) or error.errno in _NO_SUCH_NAME:
            return faults.name_unknown(str(self._way))
        return faults.connect_failed(str(self._way), "no name server answers", "resolve")


_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def socket_address(path: str) -> Sequence[Address]:
    """A Unix socket as the one address there is; none where the system has no such sockets."""
    family = getattr(socket, "AF_UNIX", None)
    return [] if family is None else [Address(family, path)]
