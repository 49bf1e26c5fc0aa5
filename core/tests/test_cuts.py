"""A task cancelled at each of its suspensions: its carrier has to be as good as new."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

import pytest
from test_carriers import CERTIFICATE, CLOCKS, settle

from multitap import errors
from multitap.engine.blocks import Pieces, stored
from multitap.engine.carrier import Request
from multitap.engine.direct.aio import AsyncDirectCarrier
from multitap.testing import CEILING, Server, client_closed, request, secure, send, turn
from multitap.work import HttpCall

PARTS = [b"5\r\nhell%d\r\n" % number for number in range(3)] + [b"1\r\n!\r\n"]
WHOLE = b"hell0hell1hell2!"
IN_TURNS = [
    request,
    send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
    *(step for part in [*PARTS, b"0\r\n\r\n"] for step in (turn, send(part))),
]
SEVERAL = [*IN_TURNS, *IN_TURNS, *IN_TURNS, client_closed]
TUNNEL = [request, send(b"HTTP/1.1 200 Connection established\r\n\r\n")]
BODY = bytes(5_000_000)


class Cut:
    """Await something, and cancel the task at its n-th suspension."""

    def __init__(self, coroutine, at: int) -> None:
        self.coroutine, self.at, self.seen = coroutine, at, 0

    def __await__(self):
        value = fault = None
        while True:
            try:
                step = self.coroutine.throw(fault) if fault else self.coroutine.send(value)
            except StopIteration as end:
                return end.value
            self.seen += 1
            fault = None
            if self.seen == self.at:
                asyncio.current_task().cancel()
            try:
                value = yield step
            except BaseException as error:
                fault = error


class Scene:
    """A server, and how carriers of one connection reach it."""

    def __init__(self, way: str, path) -> None:
        self.body = BODY
        script, options, self._unix, self._way = SEVERAL, {}, None, way
        identity = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        identity.load_cert_chain(CERTIFICATE)
        if way == "a tunnel":
            script = [*TUNNEL, secure(identity), *SEVERAL]
        elif way in ("TLS", "a proxy with TLS"):
            options["tls"] = identity
        elif way == "a Unix socket":
            self._unix = options["unix"] = path / "llm.sock"
        elif way == "with a file":
            (path / "sound").write_bytes(BODY[:3_000_000])
            self.body = Pieces((b"before", stored(path / "sound")))
        self.server = Server(script, **options)

    def carrier(self) -> AsyncDirectCarrier:
        url = self.server.url
        endpoint, proxy = {
            "a proxy": ("http://box.example", url),
            "a proxy with TLS": ("http://box.example", url),
            "a tunnel": ("https://127.0.0.1:9", url),
            "a Unix socket": (f"unix://{self._unix}", None),
        }.get(self._way, (url, None))
        authorities = str(CERTIFICATE)
        return AsyncDirectCarrier(endpoint, proxy=proxy, ca_file=authorities, max_connections=1)

    async def read_in_turns(self, carrier) -> bytes:
        """An exchange that suspends wherever one can: the server sends only when we have asked."""
        transfer = carrier.transfer()
        call = HttpCall(method="POST", path="/")
        await transfer.send(Request(call=call, headers={}, body=self.body), CLOCKS)
        body = b""
        while not body.endswith(b"!"):
            self.server.connections[-1].turn.release()
            body += await transfer.read()
        self.server.connections[-1].turn.release()
        await transfer.done()
        return body

    async def cancel_at(self, carrier, point: int) -> bool:
        """Cancel an exchange at this suspension; ``False``: it has no more so many."""
        cut = Cut(self.read_in_turns(carrier), point)

        async def call() -> bytes:
            return await cut

        with suppress(asyncio.CancelledError):
            task = asyncio.get_running_loop().create_task(call())
            await self.while_it_runs(carrier)
            await task
            assert cut.seen < point, "the cancellation was swallowed"
        await settle()
        return cut.seen >= point

    async def while_it_runs(self, carrier) -> None:
        """What another task does meanwhile."""


class Contended(Scene):
    """Another task wants the one connection there may be."""

    async def while_it_runs(self, carrier) -> None:
        await asyncio.sleep(0)
        call = Request(call=HttpCall(method="POST", path="/other"), headers={})
        with pytest.raises(errors.Overloaded) as caught:
            await carrier.transfer().send(call, CLOCKS)
        assert caught.value.kind == "queue_full"


async def cut_everywhere(scene: Scene, *, warm: bool) -> int:
    """How many suspensions an exchange has; each of them was cut once."""
    connections = scene.server.connections
    for point in range(1, 200):
        carrier = scene.carrier()
        if warm:
            await scene.read_in_turns(carrier)
        cut = await scene.cancel_at(carrier, point)
        assert carrier.pool.counts == ((0, 0) if cut else (1, 1))
        assert asyncio.all_tasks() == {asyncio.current_task()}
        before = len(connections)
        if cut and before:
            connections[-1].turn.release(len(SEVERAL))
            assert connections[-1].closed_by_client.wait(CEILING)
        assert await scene.read_in_turns(carrier) == WHOLE
        assert carrier.pool.counts == (1, 1)
        # one that was cut may have been accepted only after it was counted
        assert len(connections) > before if cut else len(connections) == before
        carrier.close()
        await settle()
        if not cut:
            return point - 1
    raise AssertionError("it never ends")


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize(
    "way",
    ["straight", "TLS", "a proxy", "a proxy with TLS", "a tunnel", "a Unix socket", "with a file"],
)
def test_cancel_at_every_suspension(way, warm, tmp_path):
    scene = Scene(way, tmp_path)
    with scene.server:
        # how often it waits depends on how the pieces happen to arrive; there are four turns
        assert asyncio.run(cut_everywhere(scene, warm=warm)) >= 4


def test_cancel_at_every_suspension_while_another_task_waits(tmp_path):
    scene = Contended("straight", tmp_path)
    with scene.server:
        assert asyncio.run(cut_everywhere(scene, warm=False)) >= 4
