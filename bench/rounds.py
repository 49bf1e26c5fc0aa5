"""Interleaved rounds: in each, every client is measured once, in an order that moves on.

Ratios are taken within a round, so that what the machine does besides weighs on both sides.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench.place import Place
from bench.scenario import Figures, Round, Scenario


def run(scenario: Scenario, clients: Sequence[str], place: Place, rounds: int) -> list[Round]:
    """The figures of each client, round by round."""
    found: list[Round] = []
    for number in range(rounds):
        turn = number * max(1, len(clients) // rounds) % len(clients)
        figures: dict[str, Figures] = {}
        for client in (*clients[turn:], *clients[:turn]):
            print(f"{scenario.name} {number + 1}/{rounds}: {client}", file=sys.stderr)
            figures[client] = scenario.measure(place, client)
        found.append(figures)
    return found
