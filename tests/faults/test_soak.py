"""Long runs: many streams at once, and hours of mixed traffic, in a memory that does not grow.

The doses are options (``nox -s soak``); what runs with all tests is short.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from multitap.errors import BackendError
from multitap.runtime import AsyncRuntime, Runtime

MIB = 1 << 20
GROWTH = 24 * MIB
"""What the memory of a process may grow by after its first quarter: caches of the allocator."""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="memory and descriptors are read from /proc"
)


@contextlib.contextmanager
def serving(pace, broken):
    """The address of a server that answers at such a pace, and breaks such a share of answers."""
    words = [
        sys.executable,
        str(Path(__file__).with_name("soak_server.py")),
        str(pace),
        str(broken),
    ]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


def config(url):
    return {
        "defaults": {"model": "vllm:tiny"},
        "vllm": {"endpoint": url, "timeouts": {"total": 600, "idle": 60}},
    }


def memory():
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


# ---- many at once --------------------------------------------------------------------------------


async def held(rt, tokens, begun, arrived):
    """Reads one stream to its end; the number of its tokens."""
    seen = 0
    async with rt.stream("hi", max_tokens=tokens) as events:
        async for event in events:
            if event.type == "text":
                seen += 1
                begun.add(id(events))
        arrived.append(events.answer.stop_reason)
    return seen


async def crowd(url, streams, tokens, samples):
    begun, arrived = set(), []
    async with AsyncRuntime(config(url)) as rt:
        tasks = [asyncio.ensure_future(held(rt, tokens, begun, arrived)) for _ in range(streams)]
        while len(begun) < streams and not all(task.done() for task in tasks):
            await asyncio.sleep(0.05)
        together = len(begun) - len(arrived)
        while not all(task.done() for task in tasks):
            samples.append(memory())
            await asyncio.sleep(0.5)
        return await asyncio.gather(*tasks), together, arrived


def test_many_paced_streams_at_once_in_a_memory_that_does_not_grow(pytestconfig):
    streams, seconds = pytestconfig.getoption("--streams"), pytestconfig.getoption("--hold")
    pace = max(0.02, streams / 10_000)  # ten thousand tokens a second, whatever the number
    tokens = int(2 * seconds / pace) + 1
    samples = []
    before = memory()
    with serving(pace, 0) as url:
        began = time.monotonic()
        seen, together, arrived = asyncio.run(crowd(url, streams, tokens, samples))
        took = time.monotonic() - began
    assert (set(seen), len(arrived), set(arrived)) == ({tokens}, streams, {"complete"})
    assert together == streams
    grown, late = max(samples) - before, samples[-1] - samples[len(samples) // 4]
    print(f"\n{streams} streams of {tokens} tokens in {took:.0f} s:", end=" ")
    print(f"{grown / MIB:.0f} MiB, {late / MIB:.1f} of it after the first quarter")
    assert late < GROWTH + streams * 20_480


# ---- for long ------------------------------------------------------------------------------------


async def ask_on_a_loop(rt, until, draw):
    """Chats, streams and streams that are left, one after the other."""
    while time.monotonic() < until:
        with contextlib.suppress(BackendError):
            if draw.random() < 0.3:
                await rt.chat("hi", max_tokens=20, force=True)
                continue
            async with rt.stream("hi", max_tokens=20, force=True) as events:
                async for _ in events:
                    if draw.random() < 0.02:
                        break


def ask_in_a_thread(rt, until, draw):
    while time.monotonic() < until:
        with (
            contextlib.suppress(BackendError),
            rt.stream("hi", max_tokens=20, force=True) as events,
        ):
            for _ in events:
                if draw.random() < 0.02:
                    break


async def traffic(settings, until, seed):
    async with AsyncRuntime(settings) as rt:
        await asyncio.gather(
            *(ask_on_a_loop(rt, until, random.Random(seed + n)) for n in range(16))
        )


def one_round(settings, seconds, seed):
    """Mixed traffic of both worlds; afterwards all of it is over."""
    until = time.monotonic() + seconds
    with Runtime(settings) as rt:
        threads = [
            threading.Thread(target=ask_in_a_thread, args=(rt, until, random.Random(seed * 7 + n)))
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        asyncio.run(traffic(settings, until, seed))
        for thread in threads:
            thread.join()


def test_mixed_traffic_leaves_nothing_behind(pytestconfig):
    minutes, rounds = pytestconfig.getoption("--minutes"), 12
    samples = []
    with serving(0.002, 0.01) as url:
        for number in range(rounds):
            one_round(config(url), 60 * minutes / rounds, number)
            samples.append((memory(), descriptors(), threading.active_count()))
    quarter, last = samples[rounds // 4], samples[-1]
    shown = [f"{size / MIB:.1f} MiB, {files} files, {n} threads" for size, files, n in samples]
    print(f"\n{minutes:g} minutes: " + "; ".join(shown[:: rounds // 4]))
    assert last[1:] == quarter[1:]
    assert last[0] - quarter[0] < GROWTH
