"""CPU for each streamed token with the filters of the core, beside none."""

from __future__ import annotations

from functools import partial
from typing import Any

from bench.place import Place
from bench.scenario import Column, Figures, Scenario
from bench.subject import Subject, cpu_of

TOKENS, WARM_UP = 20_000, 500
NONE = "no filter, µs"
SETTINGS: dict[str, dict[str, Any]] = {
    NONE: {},
    "think tags, none there": {"think_tags": True},
    "think tags, all thinking": {"think_tags": {"*": {"opened": True}}},
    "think tags anywhere": {"think_tags": {"*": {"anywhere": True}}},
    "tools in words": {"tools": "text"},
    "both": {"think_tags": True, "tools": "text"},
}


def measured(subject: Subject) -> Figures:
    """Microseconds a token without a filter, and each setting over that."""
    _token(subject, {})  # code and memory are cold
    found = {name: _token(subject, settings) for name, settings in SETTINGS.items()}
    return {name: used if name == NONE else used / found[NONE] for name, used in found.items()}


def _token(subject: Subject, settings: dict[str, Any]) -> float:
    client = subject.again(**settings)
    client.stream(f"burst-{WARM_UP}", lambda _: None)
    pieces: list[str] = []
    cpu, _ = cpu_of(partial(client.stream, f"burst-{TOKENS}", pieces.append))
    if len(pieces) != TOKENS and "think_tags" not in settings:
        raise SystemExit(f"{settings}: {len(pieces)} pieces instead of {TOKENS}")
    return cpu / TOKENS * 1e6


def measure(place: Place, client: str) -> Figures:
    return place.measured("filters", client)


SCENARIO = Scenario(
    name="filters",
    title="Filters of the core",
    note="CPU a token of a burst, and how many times that it is with each filter, in one process.",
    clients=("multitap",),
    columns=tuple(Column(name, name) for name in SETTINGS),
    targets=(),
    measure=measure,
)
