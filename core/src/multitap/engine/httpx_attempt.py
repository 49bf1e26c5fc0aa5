"""One request by way of httpx: its clocks, and the decoding of its answer."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from multitap.engine import faults
from multitap.engine.content import inflater_for
from multitap.engine.origin import check_headers
from multitap.work import Head

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Callable,
        Generator,
        Iterable,
        Iterator,
        Sequence,
    )

    from multitap.engine.blocks import Pieces
    from multitap.engine.carrier import Request
    from multitap.engine.content import Inflater
    from multitap.engine.origin import Origin
    from multitap.errors import Timeout
    from multitap.policy.clocks import Clocks

__all__ = ("Attempt", "bell")

PROXY_WANTS_CREDENTIALS = 407


class Attempt:
    """The clocks and the decoding of one request and its answer.

    Attributes:
        headers: All of them; those of a body in memory are httpx's own.
        timeouts: Seconds for each step, as httpx takes them.
        proxy: What the request goes through, without its credentials.
        phase: ``wait`` until the head is there, then ``stream``; ``connect`` while a SOCKS proxy is
            talked to.
    """

    def __init__(
        self, origin: Origin, request: Request, clocks: Clocks, proxy: str | None = None
    ) -> None:
        call = request.call
        check_headers(request.headers)
        self.request = request
        self.where = f"{origin} through the proxy {proxy}" if proxy else str(origin)
        self.proxy = proxy
        self.url = origin.url + origin.target(call.path)
        self.clocks = clocks
        self.connect = clocks.connect
        self.first_byte = clocks.first_byte if call.first_byte is None else call.first_byte
        self.idle = clocks.idle if call.idle is None else call.idle
        self._inflater: Inflater | None = None
        self.timeouts = {
            "connect": self.left(clocks.connect),
            "pool": self.left(clocks.connect),
            "read": self.left(self.first_byte),
            "write": self.left(clocks.write),
        }
        self.phase = "wait"
        self.headers = {"accept-encoding": "identity", **request.headers}
        if not isinstance(request.body, bytes):  # httpx would send it in chunks
            self.headers["content-length"] = str(len(request.body))

    def content(self, *, on_a_loop: bool) -> bytes | Iterable[bytes] | AsyncIterable[bytes] | None:
        """The body as httpx takes it."""
        body = self.request.body
        if isinstance(body, bytes):
            return body or None
        return _async_upload(body) if on_a_loop else _upload(body)

    def left(self, limit: float) -> float:
        """Seconds for the next step; never zero, which would not mean "at once"."""
        return max(self.clocks.left(limit), 0.001)

    def left_in_all(self, idle: float | None = None) -> float | None:
        """Seconds until the deadline, or of silence, if either has an end."""
        if self.clocks.deadline is None:
            return idle
        return self.left(float("inf") if idle is None else idle)

    def head(self, status: int, headers: Sequence[tuple[str, str]]) -> Head:
        """What came back; from here on it is silence within the answer that is measured."""
        if status == PROXY_WANTS_CREDENTIALS and self.proxy is not None:
            raise faults.proxy_refused(self.proxy, status)
        self.phase = "stream"
        self.timeouts["read"] = self.left(self.idle)
        self._check_size(headers)
        joined: dict[str, str] = {}
        for name, value in headers:
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        self._inflater = inflater_for(joined, self.request.limits.ratio)
        return Head(status, joined)

    def _check_size(self, headers: Sequence[tuple[str, str]]) -> None:
        """Of what httpx has taken; it tells nothing of trailers."""
        limits = self.request.limits
        size = sum(len(name) + len(value) + len(": \r\n") for name, value in headers)
        if len(headers) > limits.head_lines or size > limits.head_bytes:
            raise faults.violation("its headers are too many or too long")

    def decode(self, data: bytes) -> bytes:
        """Undo the answer's encoding."""
        return data if self._inflater is None else self._inflater.feed(data)

    def finish(self) -> bytes:
        """The end of the body, if it is one."""
        if self._inflater is not None and self._inflater.fault is not None:
            raise self._inflater.fault
        if self._inflater is not None and not self._inflater.complete:
            raise faults.truncated(self.where, reset=False)
        return b""

    def check_deadline(self) -> None:
        """Refuse to go on once the deadline has passed."""
        if self.clocks.left(1.0) <= 0:
            raise self.out_of_time()

    def out_of_time(self, idle: float | None = None) -> Timeout:
        """The error of the whole call's clock, or of too long a silence."""
        return faults.expired("stall_timeout", self.phase, idle or 0.0, self.clocks)


@contextmanager
def bell(seconds: float, ring: Callable[[], None]) -> Generator[threading.Event, None, None]:
    """Ring once the time is over, unless the work is done by then; the event says whether it did.

    A blocking client cannot change its clocks inside a body, so it is woken from outside.
    """
    rung = threading.Event()

    def ring_it() -> None:
        rung.set()
        ring()

    timer = threading.Timer(seconds, ring_it)
    timer.start()
    try:
        yield rung
    finally:
        timer.cancel()
        timer.join()  # it may just be ringing


def _upload(body: Pieces) -> Iterator[bytes]:
    with body.blocks() as blocks:
        yield from blocks


async def _async_upload(body: Pieces) -> AsyncIterator[bytes]:
    with body.blocks() as blocks:
        while block := await asyncio.to_thread(blocks.read):
            yield block
