"""Rows in aligned columns: by rich on a terminal, as plain text in a pipe or without rich."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from multitap.cli.clean import one_line
from multitap.cli.output import wants_style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap.cli.output import Output

__all__ = ("print_table",)

_GAP = "  "


def print_table(output: Output, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below their headings; what a cell holds is made safe to show."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    if output.terminal and find_spec("rich"):
        output.line(_rich(headings, cells))
        return
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    for row in (headings, *cells):
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        output.line(_GAP.join(padded).rstrip())


def _rich(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, len(_GAP), 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(color_system="auto" if wants_style() else None)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip("\n")
