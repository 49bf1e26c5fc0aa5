"""A hundred short chats at a time, not streamed."""

from __future__ import annotations

import asyncio
from statistics import quantiles
from time import perf_counter
from typing import Any

from bench import answers
from bench.place import Place
from bench.scenario import Column, Figures, Scenario, Target, ratio
from bench.subject import Subject, cpu_of

AT_ONCE = 100
WARM_UP, MOST = 2, 100


def measured(subject: Subject) -> Figures:
    """Chats a second and CPU of each, over about a second."""
    subject.run(_all(subject.client, 1))
    _, warm = cpu_of(lambda: subject.run(_all(subject.client, WARM_UP)))
    each = max(WARM_UP, min(MOST, int(WARM_UP / warm)))
    times: list[float] = []
    cpu, wall = cpu_of(lambda: times.extend(subject.run(_all(subject.client, each))))
    return {
        "rate": len(times) / wall,
        "cpu": cpu / len(times) * 1e6,
        "p99": quantiles(times, n=100)[98] * 1e3,
    }


async def _all(client: Any, each: int) -> list[float]:
    times: list[float] = []
    await asyncio.gather(*(_one_after_another(client, each, times) for _ in range(AT_ONCE)))
    return times


async def _one_after_another(client: Any, each: int, times: list[float]) -> None:
    for _ in range(each):
        start = perf_counter()
        text = await client.chat("short")
        times.append(perf_counter() - start)
        if text != answers.SHORT:
            raise SystemExit(f"it did not read what was sent: {text!r}")


def measure(place: Place, client: str) -> Figures:
    return place.measured("short_chats", client)


SCENARIO = Scenario(
    name="short_chats",
    title=f"{AT_ONCE} short chats at a time",
    note="Not streamed; one after another on each of the connections, for about a second.",
    clients=(
        "httpx, uvloop",
        "aiohttp, uvloop",
        "aiohttp, asyncio",
        "openai, uvloop",
        "openai, asyncio",
        "multitap, uvloop",
        "multitap, asyncio",
    ),
    columns=(
        Column("rate", "chats a second", digits=0),
        Column("cpu", "µs of CPU a chat", digits=0),
        Column("p99", "p99, ms", digits=1),
    ),
    targets=(
        Target(
            "of openai's CPU, uvloop", 1 / 20, ratio("cpu", "multitap, uvloop", "openai, uvloop")
        ),
        Target(
            "of aiohttp's CPU, uvloop", 1 / 2, ratio("cpu", "multitap, uvloop", "aiohttp, uvloop")
        ),
        Target(
            "of openai's rate, uvloop",
            20,
            ratio("rate", "multitap, uvloop", "openai, uvloop"),
            True,
        ),
        Target(
            "of aiohttp's rate, uvloop",
            2,
            ratio("rate", "multitap, uvloop", "aiohttp, uvloop"),
            True,
        ),
        Target(
            "of openai's rate, asyncio",
            20,
            ratio("rate", "multitap, asyncio", "openai, asyncio"),
            True,
        ),
        Target(
            "of aiohttp's rate, asyncio",
            2,
            ratio("rate", "multitap, asyncio", "aiohttp, asyncio"),
            True,
        ),
    ),
    measure=measure,
)
