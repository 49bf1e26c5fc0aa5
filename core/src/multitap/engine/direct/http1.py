"""An answer in HTTP/1.1, assembled without any I/O; both direct carriers read with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multitap.engine import faults
from multitap.engine.content import inflater_for
from multitap.errors import ProtocolError
from multitap.work import Head

if TYPE_CHECKING:
    import httptools

    from multitap.engine.content import Inflater
    from multitap.policy.clocks import Limits

__all__ = ("DRAIN_BYTES", "DRAIN_SECONDS", "READ_SIZE", "Response")

READ_SIZE = 65536  # a larger buffer makes a small read slower, by its allocation
DRAIN_BYTES = 65536
DRAIN_SECONDS = 0.2
MAX_INFORMATIONAL = 8
_ENCODED = frozenset({"content-encoding", "transfer-encoding"})


class Response:
    """One answer, assembled from the bytes of a connection as they come.

    Args:
        where: Who answers, for messages.
        method: What was asked; an answer to HEAD has no body.
        limits: How much of it is taken.

    Attributes:
        head: Status and headers; ``None`` until they are all there.
        started: Has any byte come?
        complete: Is the body at its end?
        reusable: May the connection carry another request, once ``complete``?
    """

    def __init__(self, where: str, method: str, limits: Limits) -> None:
        import httptools  # once for each answer: a look into the modules costs as much as a parse

        self.head: Head | None = None
        self.started = False
        self.complete = False
        self.reusable = False
        self._where = where
        self._limits = limits
        self._bodiless = method == "HEAD"
        self._until_close = False
        self._broken: Exception | None = None
        self._headers: dict[str, str] = {}
        self._header_lines = self._header_bytes = self._barren_bytes = self._informational = 0
        self._inflater: Inflater | None = None
        self._parts: list[bytes] = []
        self._last_part = 0
        # Set before the parser looks for it: each chunk goes from C code into the list at once.
        self.on_body = self._parts.append
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._violation = httptools.HttpParserError

    def feed(self, data: bytes | memoryview) -> None:
        """Take what one read gave.

        Raises:
            ProtocolError: The head is no HTTP/1.1, or too long. A fault in the body waits in
                ``take`` until what came before it has been taken.
        """
        if self._parser is None:
            self.reusable = False
            return
        self.started = True
        before = self.head
        try:
            self._parser.feed_data(data)
        except self._violation as error:
            self._stumble(error)
        if self.complete:
            del self._parts[self._last_part :]
        if self._parts or before is not self.head:
            self._barren_bytes = 0
        else:
            self._count(len(data))
        if self._broken is not None and self.head is None:
            raise self._broken
        if self.complete:
            self._parser = None  # parser and callbacks hold each other

    def _stumble(self, error: Exception) -> None:
        if self.complete and self.head is not None:
            self.reusable = False  # more than the answer came; the answer itself is fine
        elif self._broken is None:
            self._broken = faults.violation(str(error) or "an upgrade that nobody asked for")

    def take(self) -> bytes:
        """The body that has come since the last time, decoded; ``b""``: nothing.

        Raises:
            ProtocolError: What follows is damaged, or swells beyond the limit.
            TruncatedStream: The compressed data ends too early.
        """
        parts = self._parts
        if parts:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            if self._inflater is not None:
                data = self._inflater.feed(data)
            if data:
                return data
        if self._broken is not None or self._inflater is not None:
            self._verify(self._inflater)
        return b""

    def _verify(self, inflater: Inflater | None) -> None:
        fault = inflater.fault if inflater is not None and inflater.fault else self._broken
        if fault is not None:
            raise fault
        if self.complete and inflater is not None and not inflater.complete:
            raise faults.truncated(self._where, reset=False)

    def end(self, *, reset: bool = False) -> None:
        """The connection is at its end.

        Raises:
            ProviderDown: No byte of an answer had come.
            TruncatedStream: The answer was not at its end.
        """
        if not self.started:
            raise faults.connection_lost(self._where, "wait")
        if not (self.complete or (self._until_close and not reset)):
            raise faults.truncated(self._where, reset=reset)
        self.complete, self.reusable = True, False

    # ---- called by the parser --------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A status line begins; after the answer's end it is none of ours."""
        if self.complete:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header, or a trailer, which is only counted."""
        self._header_lines += 1
        self._header_bytes += len(name) + len(value) + len(": \r\n")
        limits = self._limits
        if self._header_lines > limits.head_lines or self._header_bytes > limits.head_bytes:
            self._broken = faults.violation("its headers are too many or too long")
        if self.head is not None or self._broken is not None:
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """The head is there: ours, or an informational one, which is passed over."""
        assert self._parser is not None
        status = self._parser.get_status_code()
        headers, self._headers = self._headers, {}
        if self.complete:
            return
        if status < 200:
            self._skip(status)
            return
        self._until_close = not headers.keys() & {"content-length", "transfer-encoding"}
        self.reusable = self._parser.should_keep_alive() and not self._bodiless
        self.complete = self._bodiless
        if not headers.keys().isdisjoint(_ENCODED):
            self._open(headers)
        if self._broken is None:
            self.head = Head(status, headers)

    def on_message_complete(self) -> None:
        """The body is at its end; a second answer, which nobody asked for, has one too."""
        if self.head is not None and not self.complete:
            self.complete = True
            self._last_part = len(self._parts)

    def _open(self, headers: dict[str, str]) -> None:
        if headers.get("transfer-encoding", "chunked").lower() != "chunked":
            self._broken = faults.violation("an unknown transfer encoding")
        if self._bodiless:
            return
        try:
            self._inflater = inflater_for(headers, self._limits.ratio)
        except ProtocolError as error:
            self._broken = error

    def _skip(self, status: int) -> None:
        self._informational += 1
        if status == 101 or self._informational > MAX_INFORMATIONAL:
            self._broken = faults.violation("too many informational answers, or an upgrade")

    def _count(self, barren: int) -> None:
        # Bytes that bring neither a head nor a body: one endless line, of which the parser tells
        # nothing until it ends.
        self._barren_bytes += barren
        if self._barren_bytes > self._limits.head_bytes:
            self._broken = faults.violation("a line without an end")
