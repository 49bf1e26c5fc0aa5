"""A connection of a loop, with a transport that only notes whether it is paused."""

from __future__ import annotations

import asyncio

from multitap.engine.direct.streams import StreamConnection


class Wire(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.paused = False

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def is_closing(self):
        return False

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False


def connection(buffer):
    made = StreamConnection(None, lambda lost: None, buffer)
    made.connection_made(Wire())
    return made


def arrive(made, data):
    made.get_buffer(-1)[: len(data)] = data
    made.buffer_updated(len(data))


def test_connections_share_a_buffer_and_none_sees_what_another_read():
    buffer = memoryview(bytearray(8))
    one, other = connection(buffer), connection(buffer)
    arrive(one, b"one")
    arrive(other, b"other")
    assert (one.take(), other.take()) == (b"one", b"other")


def test_what_each_read_gave_is_taken_by_itself_in_order():
    made = connection(memoryview(bytearray(8)))
    arrive(made, b"a")
    arrive(made, b"bc")
    assert [made.take(), made.readable, made.take()] == [b"a", True, b"bc"]
    assert [made.readable, made.take()] == [False, b""]


def test_reading_pauses_where_much_waits_and_goes_on_when_all_is_taken():
    made, block = connection(memoryview(bytearray(65536))), bytes(65536)
    for _ in range(17):
        arrive(made, block)
    assert made.transport.paused
    for _ in range(16):
        made.take()
    assert made.transport.paused
    made.take()
    assert not made.transport.paused
