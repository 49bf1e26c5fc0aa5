"""The first calls of many threads at once share what they make."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import letters
from letters import OverHttp

from multitap.engine.direct.sync import DirectCarrier
from multitap.runtime import Runtime
from multitap.testing import CEILING, Server, repeat, request, respond


def test_first_calls_of_many_threads_leave_no_connection_behind(monkeypatch):
    """Two threads that find no carrier both make one; only one of them is used."""
    together, made = threading.Barrier(8), []
    begin = DirectCarrier.__init__

    def slowly(self, *args, **options):
        made.append(self)
        together.wait(CEILING)
        begin(self, *args, **options)

    monkeypatch.setattr(DirectCarrier, "__init__", slowly)
    with Server(repeat(request, respond(body="Hi."))) as server:
        config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": server.url}}
        with (
            Runtime(config, registry=letters.registry(acme=OverHttp())) as rt,
            ThreadPoolExecutor(8) as pool,
        ):
            texts = list(pool.map(lambda _: rt.chat("hi").text, range(8)))
        server.wait_until(lambda: all(c.closed_by_client.is_set() for c in server.connections))
    assert (texts, len(made)) == (["Hi"] * 8, 8)
