"""What a scenario is: clients, what is measured of each, and what is to be reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.environments import environment_of

if TYPE_CHECKING:
    from bench.place import Place

Figures = Mapping[str, float]
Round = Mapping[str, Figures]
"""What was measured of each client, one after another."""


@dataclass(frozen=True)
class Column:
    """A figure in the table; ``over`` shows its ratio to another client's, round by round."""

    key: str
    heading: str
    over: str | None = None
    digits: int = 2

    def value(self, figures: Round, client: str) -> float:
        value = figures[client][self.key]
        return value / figures[self.over][self.key] if self.over else value


@dataclass(frozen=True)
class Target:
    """A bound on a value of a round; its median is to keep it."""

    what: str
    bound: float
    value: Callable[[Round], float]
    least: bool = False


@dataclass(frozen=True)
class Scenario:
    """``measure`` gives the figures of a client; ``name`` is the module's."""

    name: str
    title: str
    clients: Sequence[str]
    columns: Sequence[Column]
    targets: Sequence[Target]
    measure: Callable[[Place, str], Figures]
    note: str = ""
    environment: Callable[[str], str] = environment_of


def ratio(key: str, client: str, other: str) -> Callable[[Round], float]:
    """A client's figure over that of another."""
    return lambda figures: figures[client][key] / figures[other][key]


def figure(key: str, client: str) -> Callable[[Round], float]:
    """A client's figure alone."""
    return lambda figures: figures[client][key]
