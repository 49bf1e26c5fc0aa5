"""Every row has its tests, and the page has the tables that the code has."""

from __future__ import annotations

from fault_cases import CASES
from fault_rows import ON_THE_WIRE, OWNED, ROWS, markdown, marked, rows_page, scripts_page
from matrix_lines import HOME

from multitap.testing.faults import SCRIPTS

PAGE = HOME / "docs/faults.md"


def test_every_row_of_ours_has_a_test_and_no_test_is_of_another():
    found = {*marked(), *(case.row for case in CASES)}
    assert set(OWNED) - found == set()
    assert found - set(ROWS) == set()


def test_rows_of_the_wire_are_held_to_here_on_every_plugin():
    here = {row for row, files in marked().items() if any("tests/faults" in f for f in files)}
    assert set(ON_THE_WIRE) - here - {case.row for case in CASES} == set()


def test_every_script_is_played():
    text = "".join(path.read_text("utf-8") for path in HOME.glob("tests/faults/*.py"))
    assert [name for name in SCRIPTS if name not in text] == []


def test_the_page_has_a_row_for_each_script_and_each_fault():
    page = PAGE.read_text("utf-8")
    assert markdown(scripts_page()) in page
    assert markdown(rows_page()) in page
