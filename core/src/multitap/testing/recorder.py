"""A server in front of a real one: it passes everything on, and keeps what was said.

>>> from urllib.request import urlopen
>>> from multitap.testing import json, repeat, request
>>> with Server(repeat(request, json(["a1"]))) as real, Recorder(real.url) as recorder:
...     urlopen(f"{recorder.endpoint}/models").read()
...     recorder.wait_until(lambda: recorder.recordings)
b'["a1"]'
>>> recorder.recordings[0].scenario, recorder.recordings[0].body
('/models', b'["a1"]')
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from urllib.parse import urlsplit

from multitap.testing.answers import respond
from multitap.testing.connection import Connection
from multitap.testing.received import header_lines, unchunked
from multitap.testing.recording import Recording
from multitap.testing.server import Server
from multitap.testing.steps import Script, close, play, reset

__all__ = ("Recorder",)

OPEN = "response complete, connection left open"
CLOSED = "server closed the connection"
RESET = "server reset the connection"
READ = 65536
_LAST: dict[str, Script] = {OPEN: [], CLOSED: close, RESET: reset}
_SECRET = re.compile(
    rb"^(?:proxy-)?authorization|^(?:x-)?api-key|^(?:set-)?cookie|^x-[\w-]*(?:key|token)", re.I
)
_HEADER = re.compile(rb"(?im)^([\w-]+):[ \t]*(.*?)\r?$")
_HOST = re.compile(rb"(?im)^host:.*?\r$")


class Recorder(Server):
    """Stands on a free port of 127.0.0.1, and passes each request on to ``endpoint``.

    Keys are not kept: the values of the headers that carry them are starred wherever they stand, in
    the answer too.

    Args:
        endpoint: The real server's base URL; its path is to be put behind ``url``.

    Attributes:
        recordings: The exchanges, in the order in which they ended.
        unreachable: Why the real server could not be asked the last time; empty: it could.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__(self._relay)
        self._real = urlsplit(endpoint)
        self.recordings: list[Recording] = []
        self.unreachable = ""

    @property
    def endpoint(self) -> str:
        """The base URL to use in the place of the real one."""
        return self.url + self._real.path

    async def _relay(self, connection: Connection) -> None:
        while not connection.closed:
            await connection.take_request()
            await play(connection, await self._pass_on(connection))

    async def _pass_on(self, connection: Connection) -> Script:
        asked = connection.request
        try:
            reader, writer = await self._connect()
        except OSError as error:
            self.unreachable = f"{self._real.netloc} cannot be reached: {error}"
            return respond(502, body=self.unreachable)
        self.unreachable = ""
        sent = _for_host(asked.raw, self._real.netloc)
        answer = _Answer(asked.method)
        try:
            writer.write(sent)
            async for data in answer.of(reader):
                await connection.send(data)
        finally:
            writer.close()
        self.recordings.append(answer.recording(asked.target, sent))
        return _LAST[answer.ended]

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        secure = self._real.scheme == "https"
        return await asyncio.open_connection(
            self._real.hostname,
            self._real.port or (443 if secure else 80),
            ssl=ssl.create_default_context() if secure else None,
        )


class _Answer:
    """What the real server says, as it comes."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._said = b""
        self._ends: list[tuple[float, int]] = []
        self.ended = OPEN

    async def of(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """Its pieces, until it is whole or the connection is not there any more."""
        began = time.monotonic()
        while not _whole(self._said, self._method):
            try:
                data = await reader.read(READ)
            except ConnectionError:
                self.ended = RESET
                return
            if not data:
                self.ended = CLOSED
                return
            self._said += data
            self._ends.append((round((time.monotonic() - began) * 1000, 3), len(self._said)))
            yield data

    def recording(self, scenario: str, sent: bytes) -> Recording:
        """The exchange, without its keys."""
        secrets = _secrets(sent) | _secrets(self._said)
        said = _starred(self._said, secrets)
        cuts = [0, *(end for _, end in self._ends)]
        return Recording(
            scenario=scenario,
            request=_starred(sent, secrets),
            reads=tuple(said[start:end] for start, end in pairwise(cuts)),
            times=tuple(at for at, _ in self._ends),
            ended=self.ended,
        )


def _for_host(raw: bytes, host: str) -> bytes:
    """The request with the real server's name."""
    head, end, body = raw.partition(b"\r\n\r\n")
    return _HOST.sub(b"Host: " + host.encode() + b"\r", head + b"\r\n")[:-2] + end + body


def _whole(raw: bytes, method: str) -> bool:
    """Is this all of an answer that says where it ends?"""
    head, end, body = raw.partition(b"\r\n\r\n")
    if not end:
        return False
    line, headers = header_lines(head)
    status = int(line.split(" ")[1])
    if 100 <= status < 200:
        return _whole(body, method)
    if method == "HEAD" or status in (204, 304):
        return True
    if headers.get("transfer-encoding", "").lower().endswith("chunked"):
        return unchunked(body)[2]
    return "content-length" in headers and len(body) >= int(headers["content-length"])


def _secrets(raw: bytes) -> set[bytes]:
    """What stands in the headers that carry keys; without the word before a key."""
    head = raw.partition(b"\r\n\r\n")[0]
    values = {value for name, value in _HEADER.findall(head) if _SECRET.match(name)}
    return {value.split()[-1] for value in values if value.strip()}


def _starred(data: bytes, secrets: set[bytes]) -> bytes:
    """As long as it was, so that lengths that stand in it stay true."""
    for secret in sorted(secrets, key=len, reverse=True):
        data = data.replace(secret, b"*" * len(secret))
    return data
