"""A thousand streams at once, fifty tokens a second each."""

from __future__ import annotations

import asyncio
from functools import partial
from statistics import quantiles
from time import monotonic

from bench.place import Place
from bench.scenario import Column, Figures, Scenario, Target, figure, ratio
from bench.subject import Subject, cpu_of, peak_megabytes

STREAMS, TOKENS, RATE = 1_000, 150, 50
IDEAL = (TOKENS + 4) / RATE  # four records are no tokens: role, stop, usage and the end


def measured(subject: Subject) -> Figures:
    """Wall and CPU of all of them, and how late each token was seen."""
    subject.stream("burst-8", lambda _: None)
    late: list[float] = []

    def tell(stamp: str) -> None:
        late.append(monotonic() - float(stamp))

    cpu, wall = cpu_of(lambda: subject.run(_all(partial(subject.client.stream, tell=tell))))
    if len(late) != STREAMS * TOKENS:
        raise SystemExit(f"{len(late)} tokens instead of {STREAMS * TOKENS}")
    percentiles = quantiles(late, n=100)
    return {
        "wall": wall / IDEAL,
        "cores": cpu / wall,
        "cpu": cpu / len(late) * 1e6,
        "p50": percentiles[49] * 1e3,
        "p99": percentiles[98] * 1e3,
        "megabytes": peak_megabytes(),
    }


async def _all(stream: partial[asyncio.Future[None]]) -> None:
    await asyncio.gather(*(stream(f"slow-{TOKENS}") for _ in range(STREAMS)))


def measure(place: Place, client: str) -> Figures:
    return place.measured("many_streams", client)


OURS = "multitap, uvloop"

SCENARIO = Scenario(
    name="many_streams",
    title=f"{STREAMS:,} streams of {RATE} tokens a second",
    note=(
        f"{TOKENS} tokens each, {IDEAL:.2f} s at best. How late a token is counts from when the "
        "backend writes it, and a client that falls behind makes the backend late too."
    ),
    clients=("aiohttp, uvloop", "openai, uvloop", OURS, "multitap, asyncio"),
    columns=(
        Column("wall", "× ideal"),
        Column("cores", "cores"),
        Column("cpu", "µs of CPU a token", digits=1),
        Column("p50", "late p50, ms", digits=1),
        Column("p99", "late p99, ms", digits=1),
        Column("megabytes", "most MB", digits=0),
    ),
    targets=(
        Target("wall over ideal", 1.06, figure("wall", OURS)),
        Target("cores", 0.75, figure("cores", OURS)),
        Target("late p99, ms", 40, figure("p99", OURS)),
        Target("MB", 60, figure("megabytes", OURS)),
        Target("CPU of openai's", 1 / 7, ratio("cpu", OURS, "openai, uvloop")),
    ),
    measure=measure,
)
