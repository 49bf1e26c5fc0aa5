"""A Ctrl-C that comes just before something blocks is late, and never lost."""

import letters
import pytest
from letters import OverHttp
from silent_interrupt import silent_interrupt

from multitap.engine.direct.sockets import SocketConnection
from multitap.engine.local import LocalWork
from multitap.engine.sync import Stream
from multitap.events import Text
from multitap.hookspecs import hookimpl
from multitap.runtime import Runtime
from multitap.testing import CEILING, Gate, Server, client_closed, request, send
from multitap.work import LocalExchange

LATER = b"HTTP/1.1 429 Too Many\r\nretry-after: %d\r\ncontent-length: 0\r\n\r\n" % CEILING


@pytest.fixture(autouse=True)
def short_glances(monkeypatch):
    for module in ("local", "sync", "direct.sockets"):
        monkeypatch.setattr(f"multitap.engine.{module}.GLANCE", 0.01)


class Slow:
    """Says something, then nothing until the gate is open."""

    def __init__(self, gate):
        self.gate = gate

    def chat(self, request, /):
        return LocalExchange(self.run)

    def run(self, emit):
        emit([Text("a part")])
        self.gate.wait(CEILING)

    @hookimpl
    def multitap_chat(self, backend):
        return self


def runtime(plugin, url="http://127.0.0.1:9"):
    config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": url}}
    return Runtime(config, registry=letters.registry(acme=plugin))


def test_while_local_work_goes_on():
    gate = Gate()
    with runtime(Slow(gate)) as rt:
        stream = rt.stream("hi")
        with pytest.raises(KeyboardInterrupt), silent_interrupt(LocalWork.wait) as ended, stream:
            for _ in stream:
                pass
        gate.open()
    assert (ended, stream.answer.text, stream.answer.stop_reason) == ([True], "a part", "cancelled")


def test_while_a_next_try_is_waited_for():
    with Server([request, send(LATER)]) as server, runtime(OverHttp(), server.url) as rt:
        with pytest.raises(KeyboardInterrupt), silent_interrupt(Stream._rest) as ended:
            rt.chat("hi")
        assert (ended, len(server.requests)) == ([True], 1)


def test_while_the_server_is_silent():
    with Server([request, client_closed]) as server, runtime(OverHttp(), server.url) as rt:
        with pytest.raises(KeyboardInterrupt), silent_interrupt(SocketConnection.receive) as ended:
            rt.chat("hi")
        assert ended == [True]
