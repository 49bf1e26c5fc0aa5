"""The first column of each table as bars, on a scale of powers of ten: a plain SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from statistics import median

from bench.scenario import Round, Scenario

WIDTH, NAMES, BAR, ROW, HEAD = 860, 210, 520, 18, 44
OURS, OTHERS = "#1f6feb", "#9aa4b2"

Measured = tuple[Scenario, Sequence[str], Sequence[Round]]


def svg(measured: Sequence[Measured]) -> str:
    """One panel below the other."""
    panels, top = [], 0
    for scenario, clients, rounds in measured:
        panels.append(_panel(scenario, clients, rounds, top))
        top += HEAD + ROW * len(clients)
    size = f'width="{WIDTH}" height="{top + ROW}" font-family="sans-serif" font-size="12"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n' + "\n".join(panels) + "\n</svg>\n"


def _panel(scenario: Scenario, clients: Sequence[str], rounds: Sequence[Round], top: int) -> str:
    column = scenario.columns[0]
    values = {
        client: median(column.value(found, client) for found in rounds)
        for client in clients
        if column.key in rounds[0][client]
    }
    low = floor(log10(min(values.values())))
    decades = max(1, ceil(log10(max(values.values()))) - low)
    title = escape(f"{scenario.title}: {column.heading}")
    lines = [f'<text x="8" y="{top + 28}" font-weight="bold">{title}</text>']
    for number, (client, value) in enumerate(values.items()):
        length = BAR * (log10(value) - low) / decades
        lines.append(_bar(client, value, max(2.0, length), top + HEAD + ROW * number))
    return "\n".join(lines)


def _bar(client: str, value: float, length: float, y: int) -> str:
    colour = OURS if client.startswith("multitap") else OTHERS
    return (
        f'<text x="{NAMES - 8}" y="{y + 11}" text-anchor="end">{escape(client)}</text>'
        f'<rect x="{NAMES}" y="{y}" width="{length:.0f}" height="13" fill="{colour}"/>'
        f'<text x="{NAMES + length + 6:.0f}" y="{y + 11}">{value:,.3g}</text>'
    )
