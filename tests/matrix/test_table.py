"""The table of the documentation is the one that the tests prove."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from matrix_lines import ABSENT, HOME, LINES, PLUGINS, PROVED, declared, markdown, reasons, table

HERE = Path(__file__)
PAGE = HOME / "docs/matrix.md"


def test_no_chat_plugin_is_left_out():
    assert set(PLUGINS) == {path.parent.name for path in HOME.glob("plugins/*/pyproject.toml")}


def test_every_cell_has_a_test():
    for path in HERE.parent.glob("test_*.py"):
        if path != HERE:
            runpy.run_path(str(path))
    assert set(declared()) == PROVED


def test_every_reason_is_of_a_cell():
    cells = {(line, plugin, *([part] if part else [])) for line, plugin, part in declared()}
    assert set(ABSENT) <= cells


@pytest.mark.parametrize("rows", [table(declared()), reasons()], ids=["cells", "reasons"])
def test_the_page_has_this_table(rows):
    assert markdown(rows) in PAGE.read_text("utf-8")


def test_the_page_names_the_parts_of_every_line_that_has_some():
    page = PAGE.read_text("utf-8")
    for line, parts in LINES.items():
        assert not parts or f"**{line}**: {', '.join(parts)}" in page
