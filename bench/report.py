"""What was measured, as Markdown: medians, and in brackets the least and the most."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from bench.scenario import Column, Round, Scenario, Target


def markdown(scenario: Scenario, clients: Sequence[str], rounds: Sequence[Round]) -> str:
    """Heading, note, table, and what is reached."""
    parts = [f"## {scenario.title}", scenario.note, _table(scenario, clients, rounds)]
    targets = _targets(scenario.targets, rounds)
    return "\n\n".join(part for part in (*parts, targets) if part) + "\n"


def preamble(versions: Mapping[str, str], rounds: int) -> str:
    """On what it was measured, and with which versions."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    where = f"{os.cpu_count()} CPUs, {platform.system()} {platform.release()}"
    told = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()) if version)
    return (
        f"Python {platform.python_version()}, {where}{load}; {rounds} rounds, "
        f"median (least–most).\n\nVersions: {told or 'none'}.\n"
    )


def _table(scenario: Scenario, clients: Sequence[str], rounds: Sequence[Round]) -> str:
    columns = [column for column in scenario.columns if column.over in (None, *clients)]
    head = ["client", *(column.heading for column in columns)]
    rows = [_cells(column, clients, rounds) for column in columns]
    body = [[client, *cells] for client, *cells in zip(clients, *rows, strict=True)]
    return _lines([head, ["---", *("---:" for _ in columns)], *body])


def _cells(column: Column, clients: Sequence[str], rounds: Sequence[Round]) -> list[str]:
    return [_shown(column, client, rounds) for client in clients]


def _shown(column: Column, client: str, rounds: Sequence[Round]) -> str:
    """A client need not have every figure."""
    if column.key not in rounds[0][client]:
        return ""
    return spread([column.value(found, client) for found in rounds], column.digits)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, least and most.

    >>> spread([3.0, 1.0, 2.0], 1)
    '2.0 (1.0–3.0)'
    """
    low, middle, high = min(values), median(values), max(values)
    if low == high:
        return f"{middle:,.{digits}f}"
    return f"{middle:,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


def _targets(targets: Sequence[Target], rounds: Sequence[Round]) -> str:
    rows = [_judged(target, rounds) for target in targets if _known(target, rounds)]
    if not rows:
        return ""
    return _lines([["target", "bound", "median (least–most)", "kept"], ["---"] * 4, *rows])


def _known(target: Target, rounds: Sequence[Round]) -> bool:
    """Were all measured that it is about?"""
    try:
        target.value(rounds[0])
    except KeyError:
        return False
    return True


def _judged(target: Target, rounds: Sequence[Round]) -> list[str]:
    values = [target.value(found) for found in rounds]
    middle = median(values)
    kept = middle >= target.bound if target.least else middle <= target.bound
    word = "at least" if target.least else "at most"
    by = (
        max(middle, target.bound) / min(middle, target.bound)
        if min(middle, target.bound) > 0
        else 0
    )
    said = "yes" if kept else f"no, by {by:.2f} times"
    return [target.what, f"{word} {_bound(target.bound)}", _values(values, target.bound), said]


def _bound(bound: float) -> str:
    """A part of another's is shown as such.

    >>> _bound(1 / 40), _bound(1.6), _bound(20)
    ('1/40', '1.6', '20')
    """
    return f"1/{1 / bound:.0f}" if bound < 0.5 else f"{bound:g}"


def _values(values: Sequence[float], bound: float) -> str:
    if bound >= 0.5 or min(values) <= 0:
        return spread(values)
    shares = [1 / value for value in values]
    return f"1/{median(shares):.1f} (1/{max(shares):.1f}–1/{min(shares):.1f})"


def _lines(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
