"""Time to the first token on a warm connection."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median, quantiles
from time import perf_counter
from typing import Any

from bench.place import Place
from bench.scenario import Column, Figures, Round, Scenario, Target
from bench.subject import Subject, cpu_of

MODEL = "burst-8"
WARM_UP, TIMES = 10, 70


class First:
    """The time of the first text."""

    def __init__(self) -> None:
        self.seconds: float | None = None
        self._start = perf_counter()

    def __call__(self, _: object) -> None:
        if self.seconds is None:
            self.seconds = perf_counter() - self._start


def measured(subject: Subject) -> Figures:
    """Microseconds from the call to the first text."""
    ask = getattr(subject.client, "first", subject.client.stream)
    _times(subject, ask, WARM_UP)
    times: list[float] = []
    cpu, _ = cpu_of(lambda: times.extend(_times(subject, ask, TIMES)))
    return {
        "first": median(times) * 1e6,
        "tenth": quantiles(times, n=10)[0] * 1e6,
        "cpu": cpu / len(times) * 1e6,
    }


def _times(subject: Subject, ask: Callable[[str, Any], Any], count: int) -> list[float]:
    return subject.run(_awaited(ask, count)) if subject.is_async else _called(ask, count)


def _called(ask: Callable[[str, Any], object], count: int) -> list[float]:
    times = []
    for _ in range(count):
        first = First()
        ask(MODEL, first)
        times.append(first.seconds or 0.0)
    return times


async def _awaited(ask: Callable[[str, Any], Any], count: int) -> list[float]:
    times = []
    for _ in range(count):
        first = First()
        await ask(MODEL, first)
        times.append(first.seconds or 0.0)
    return times


def measure(place: Place, client: str) -> Figures:
    return place.measured("first_token", client)


def above(client: str, other: str, key: str = "tenth") -> Callable[[Round], float]:
    """What a client takes above the raw socket, over what another does."""

    def value(figures: Round) -> float:
        floor = figures["raw"][key]
        return (figures[client][key] - floor) / (figures[other][key] - floor)

    return value


SCENARIO = Scenario(
    name="first_token",
    title="Time to the first token, warm",
    note=(
        f"Wall time from the call to the first text, of {TIMES} calls in turn: the median, and "
        "what the fastest tenth takes, which a busy machine spoils least; "
        "and the CPU of a whole call of eight tokens."
    ),
    clients=(
        "raw",
        "httpx",
        "httpx, uvloop",
        "aiohttp, uvloop",
        "openai",
        "openai, uvloop",
        "openai, asyncio",
        "litellm, uvloop",
        "any_llm, uvloop",
        "llm",
        "langchain_openai",
        "pydantic_ai, uvloop",
        "multitap",
        "multitap, uvloop",
        "multitap, asyncio",
    ),
    columns=(
        Column("first", "µs, median", digits=0),
        Column("tenth", "µs, fastest tenth", digits=0),
        Column("tenth", "× raw", over="raw", digits=1),
        Column("cpu", "µs of CPU a call", digits=0),
    ),
    targets=(
        Target("of openai's CPU above raw, sync", 1 / 15, above("multitap", "openai", "cpu")),
        Target("of openai's above raw, sync", 1 / 15, above("multitap", "openai")),
        Target(
            "of openai's above raw, uvloop", 1 / 15, above("multitap, uvloop", "openai, uvloop")
        ),
    ),
    measure=measure,
)
