"""Queues, slow consumers, many at once, no descriptors left, and a clock on the wall that jumps."""

from __future__ import annotations

import asyncio
import re
import resource
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from contextlib import ExitStack, contextmanager, suppress

import pytest
from fault_answers import REFERENCE, TEXT, good_answer, half_of, registry
from fault_asking import ask, config, ended, threads_freed, works
from matrix_lines import HOME

from multitap.errors import DeadlineExceeded, LocalError, MultitapError, Overloaded, Timeout
from multitap.runtime import AsyncRuntime
from multitap.testing import CEILING, WORLDS, Gate, Server, hold, repeat, request, send
from multitap.testing.faults import FaultyServer, never_ends, refuses, silent

fault = pytest.mark.fault


# ---- A5 ------------------------------------------------------------------------------------------


class Held(Server):
    """Answers well, as soon as its gate is open."""

    def __init__(self, good):
        self.gate = Gate()
        super().__init__(repeat(request, hold(self.gate), send(good.raw)))


@fault("A5")
@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
def test_who_waits_too_long_for_a_place_is_refused_and_nothing_is_sent(plugin, streamed):
    with threads_freed(), Held(good_answer(plugin, streamed)) as server:
        given = config(plugin, server.url, max_in_flight=1)
        with WORLDS[0](given, registry(plugin)) as here:
            answers = []
            first = threading.Thread(target=lambda: answers.append(ask(here, streamed)))
            first.start()
            server.connection(0).request_came.wait(CEILING)
            error, _ = ended(here, streamed, timeout={"total": 5, "queue": 0.05})
            sent = len(server.requests)
            server.gate.open()
            first.join(CEILING)
            assert works(here, streamed)
    assert (type(error), error.phase, error.kind, sent) == (Timeout, "queue", "queue_timeout", 1)
    assert [answer.text for answer in answers] == [TEXT]


@fault("A5")
@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
def test_on_a_loop_who_waits_too_long_for_a_place_is_refused(plugin, streamed):
    async def both(server, given):
        async with AsyncRuntime(given, registry=registry(plugin)) as rt:

            async def one(**asked):
                if not streamed:
                    return await rt.chat("hi", **asked)
                async with rt.stream("hi", **asked) as events:
                    async for _ in events:
                        pass
                return events.answer

            first = asyncio.create_task(one())
            await server.gate_came()
            with pytest.raises(Timeout) as caught:
                await one(timeout={"total": 5, "queue": 0.05})
            sent = len(server.requests)
            server.gate.open()
            return caught.value, sent, (await first).text, (await one()).text

    class Awaited(Held):
        async def gate_came(self):
            connection = await asyncio.to_thread(self.connection, 0)
            await connection.request_came.opened()

    with Awaited(good_answer(plugin, streamed)) as server:
        given = config(plugin, server.url, max_in_flight=1)
        error, sent, *texts = asyncio.run(both(server, given))
    assert (error.phase, error.kind, sent) == ("queue", "queue_timeout", 1)
    assert texts == [TEXT, TEXT]


# ---- F14 -----------------------------------------------------------------------------------------

MIB = 1 << 20


@fault("F14")
def test_a_slow_consumer_stops_the_server_and_memory_is_bounded(world):
    """A stream of 64 MiB that nobody reads: what is taken from the socket stays small."""
    good = good_answer(REFERENCE, True)
    record = next(record for record in good.records if good.word in record)
    filled = record.replace(good.word, b"P" * 65536)
    done = threading.Event()

    def stalls(seen, stream):
        if len(seen) == 1:
            tracemalloc.reset_peak()
        return len(seen) < 3

    def flood(connection):
        chunks = b"%x\r\n%b\r\n" % (len(filled), filled)
        return [
            send(good.begun(filled)),
            repeat(send(chunks), times=1024),
            lambda _: done.set(),
        ]

    tracemalloc.start()
    try:
        with (
            Server([request, flood]) as server,
            world(config(REFERENCE, server.url), registry(REFERENCE)) as here,
        ):
            here.stream("hi", after=stalls)
            peak = tracemalloc.get_traced_memory()[1]
            assert server.connection(0).closed_by_client.wait(CEILING)
    finally:
        tracemalloc.stop()
    assert not done.is_set()
    assert peak < 32 * MIB


@fault("F14")
@pytest.mark.parametrize(
    ("late", "expected"),
    [(0.5, (DeadlineExceeded, "deadline_exceeded")), (1.5, (LocalError, "slow_consumer"))],
)
def test_a_reader_that_comes_back_after_the_deadline(world, plugin, late, expected):
    """It was away when the time ran out: that is no fault of the backend."""
    now = [1000.0]

    def pauses(seen, stream):
        now[0] = 1060.0 + late
        return True

    with (
        FaultyServer(good_answer(plugin, True)) as server,
        world(config(plugin, server.url), registry(plugin), clock=lambda: now[0]) as here,
    ):
        server.breaks(silent)
        with pytest.raises(MultitapError) as caught:
            here.stream("hi", timeout=60, after=pauses)
        server.wait_until(lambda: not server.held)
        server.heals()
        assert works(here, True)
    error = caught.value
    assert (type(error), error.kind, len(error.attempts)) == (*expected, 1)
    assert error.partial.text == half_of(good_answer(plugin, True))


@fault("F14")
def test_a_flood_that_is_read_ends_with_the_deadline(world):
    """However late that is seen: it is seen by who reads."""
    with (
        FaultyServer(good_answer(REFERENCE, True)) as server,
        world(config(REFERENCE, server.url), registry(REFERENCE)) as here,
    ):
        server.breaks(never_ends)
        error, _ = ended(here, True, timeout=0.3)
    assert (type(error), error.kind) == (DeadlineExceeded, "deadline_exceeded")


# ---- F15 -----------------------------------------------------------------------------------------


@fault("F15")
def test_of_ten_thousand_each_has_one_end_and_the_line_is_bounded(pytestconfig):
    """Two at a time, 512 wait, the rest is refused at once; afterwards all is well."""
    crowd = pytestconfig.getoption("crowd", 2000)
    patient = dict.fromkeys(("total", "queue", "opening", "connect", "first_byte"), 500)
    gate, good = Gate(), good_answer(REFERENCE, False)
    flying, most, refused = [0], [0], []

    async def all_of_them(url):
        given = config(REFERENCE, url, max_in_flight=2, timeouts=patient)
        async with AsyncRuntime(given, registry=registry(REFERENCE)) as rt:

            async def one():
                try:
                    return (await rt.chat("hi")).text
                except Overloaded as error:
                    refused.append(error)
                    if len(refused) == crowd - 514:
                        gate.open()
                    return error.kind

            tasks = []
            for number in range(crowd):
                tasks.append(asyncio.create_task(one()))
                if number % 100 == 0:
                    await asyncio.sleep(0)
            return await asyncio.gather(*tasks), (await rt.chat("hi")).text

    def counted(connection):
        flying[0] += 1
        most[0] = max(most[0], flying[0])

    def gone(connection):
        flying[0] -= 1

    serving = repeat(request, counted, hold(gate), gone, send(good.raw))
    with Server(serving, ceiling=500) as server:
        ends, again = asyncio.run(all_of_them(server.url))
        assert len(server.requests) == 515
    assert (ends.count(TEXT), ends.count("queue_full"), again) == (514, crowd - 514, TEXT)
    assert most[0] == 2


# ---- F16 -----------------------------------------------------------------------------------------


@contextmanager
def no_descriptors():
    """All that this process may have are taken."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    with ExitStack() as taken:
        taken.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        with suppress(OSError):
            while True:
                taken.enter_context(socket.socket())
        yield


@fault("F16")
def test_without_descriptors_it_is_this_machines_fault_and_mends_itself(world):
    with (
        FaultyServer(good_answer(REFERENCE, False)) as server,
        world(config(REFERENCE, server.url), registry(REFERENCE)) as here,
    ):
        with no_descriptors(), pytest.raises(LocalError) as caught:
            ask(here, False)
        assert works(here, False)
    assert "file descriptor" in str(caught.value)


# ---- F21 -----------------------------------------------------------------------------------------

WALL = re.compile(
    r"\btime\.(?:time|time_ns|ctime)\b|\bfrom time import\b|\.(?:now|utcnow|today)\((?!\))"
)
SHOWN = {
    "core/src/multitap/headers.py",  # the server's date, against that of this machine
    "core/src/multitap/registry/installed/disk.py",  # the age of a file
    "core/src/multitap/runtime/debugging.py",  # when something happened
}
JUMPING = """
import sys, time
wall, jumps = time.time, iter(range(10**9))
time.time = lambda: wall() + next(jumps) % 2 * {hours} * 3600
time.time_ns = lambda: int(time.time() * 10**9)

from multitap import Runtime, errors

config = {{"vllm": {{"endpoint": sys.argv[1], "max_in_flight": 1}}}}
began = time.monotonic()
with Runtime(config) as rt:
    answer = rt.chat("hi", model="vllm:tiny", timeout=30)
    print([attempt.delay is not None for attempt in answer.attempts])
    for clocks in ({{"total": 30, "idle": 0.2}}, 0.2):
        try:
            rt.chat("hi", model="vllm:tiny", timeout=clocks)
        except errors.Timeout as error:
            print(error.kind)
    print(rt.chat("hi", model="vllm:tiny", timeout=30).text)
print(time.monotonic() - began < 30)
"""


@fault("F21")
def test_nothing_but_what_is_shown_reads_the_clock_on_the_wall():
    sources = [*HOME.glob("core/src/**/*.py"), *HOME.glob("plugins/*/src/**/*.py")]
    found = {
        path.relative_to(HOME).as_posix()
        for path in sources
        if "testing" not in path.parts and WALL.search(path.read_text("utf-8"))
    }
    assert len(sources) > 300
    assert found == SHOWN


@fault("F21")
@pytest.mark.parametrize("hours", [-1, 1, 24])
def test_a_process_whose_clock_is_set_waits_no_longer_and_no_shorter(hours):
    """Set before anything is imported, so that nothing has kept the true one."""
    good = good_answer(REFERENCE, False)
    busy = refuses(good, status=429, headers={"retry-after": "0.05"})
    scripts = iter([busy, send(good.raw), *[silent(good)] * 2])

    def serve(connection):
        return [request, lambda _: next(scripts, None) or send(good.raw), serve]

    with Server(serve) as server:
        words = [sys.executable, "-c", JUMPING.format(hours=hours), server.url]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    said = ["[True, False]", "stall_timeout", "deadline_exceeded", TEXT, "True"]
    assert (done.stdout.splitlines(), done.returncode) == (said, 0), done.stderr


@fault("F21")
@pytest.mark.parametrize("hours", [-1, 1, -24, 24])
def test_a_clock_that_is_set_changes_no_wait(world, hours, monkeypatch):
    """Every look at the clock on the wall finds it elsewhere; what counts only grows."""
    wall, jumps = time.time, iter(range(1, 1_000_000))
    monkeypatch.setattr(time, "time", lambda: wall() + next(jumps) % 2 * hours * 3600)
    with FaultyServer(good_answer(REFERENCE, True)) as server:
        with world(config(REFERENCE, server.url), registry(REFERENCE)) as here:
            assert works(here, True)
            assert works(here, True)
        assert len(server.connections) == 1
