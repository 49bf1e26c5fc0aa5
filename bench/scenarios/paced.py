"""CPU for each streamed token, where one comes at a time."""

from __future__ import annotations

from functools import partial
from typing import Any

from bench.place import Place
from bench.scenario import Column, Figures, Scenario, Target, ratio
from bench.subject import Subject, check, cpu_of

TOKENS, WARM_UP = 400, 500


def measured(subject: Subject) -> Figures:
    """Microseconds a token, and how many a read had where that is known."""
    subject.stream(f"burst-{WARM_UP}", lambda _: None)
    found: list[Any] = []
    cpu, wall = cpu_of(partial(subject.stream, f"paced-{TOKENS}", found.append))
    check(found, TOKENS)
    return {"cpu": cpu / TOKENS * 1e6, "wall": wall, **_reads(found)}


def _reads(found: list[Any]) -> Figures:
    """Known of the raw socket alone: what came together is no longer one at a time."""
    return {"reads": found[0][1] / found[0][0]} if isinstance(found[0], tuple) else {}


def measure(place: Place, client: str) -> Figures:
    return place.measured("paced", client)


SCENARIO = Scenario(
    name="paced",
    title="CPU for each streamed token, one at a time",
    note=f"{TOKENS:,} tokens, one write each, 250 a second: most is the kernel's wake-up.",
    clients=(
        "raw",
        "httpx",
        "httpx, uvloop",
        "aiohttp, uvloop",
        "aiohttp, asyncio",
        "openai",
        "openai, uvloop",
        "openai, asyncio",
        "litellm, uvloop",
        "any_llm, uvloop",
        "langchain_openai, uvloop",
        "pydantic_ai, uvloop",
        "multitap",
        "multitap, uvloop",
        "multitap, asyncio",
    ),
    columns=(
        Column("cpu", "µs of CPU a token", digits=1),
        Column("cpu", "× raw", over="raw"),
        Column("wall", "seconds"),
        Column("reads", "reads an event"),
    ),
    targets=(
        Target("of a raw socket, sync", 1.6, ratio("cpu", "multitap", "raw")),
        Target("of a raw socket, uvloop", 3.5, ratio("cpu", "multitap, uvloop", "raw")),
        Target("of a raw socket, uvloop (stretch)", 3.0, ratio("cpu", "multitap, uvloop", "raw")),
        Target("of openai, uvloop", 1 / 6, ratio("cpu", "multitap, uvloop", "openai, uvloop")),
        Target(
            "of openai, uvloop (stretch)",
            1 / 8,
            ratio("cpu", "multitap, uvloop", "openai, uvloop"),
        ),
    ),
    measure=measure,
)
