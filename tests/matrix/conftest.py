"""The matrix is printed when its tests have run: plugins beside lines."""

from __future__ import annotations

import pytest
from matrix_lines import ABSENT, cell_of, reasons, table

from multitap.testing import WORLDS

RESULT = pytest.StashKey()


def pytest_configure(config):
    config.addinivalue_line("markers", "cell(line, plugin, part): what a test of the matrix proves")
    config.stash[RESULT] = {}
    config.pluginmanager.register(Cells(config.stash[RESULT]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.user_properties += [("cell", mark.args) for mark in item.iter_markers("cell")]
    return report


class Cells:
    """Gathers the states of cells, in whichever process their tests run."""

    def __init__(self, states):
        self.states = states

    def pytest_runtest_logreport(self, report):
        for name, cell in report.user_properties:
            if name != "cell":
                continue
            if report.failed:
                self.states[tuple(cell)] = "FAILED"
            elif report.when == "call":
                state = "n/a" if cell_of(*cell) in ABSENT else "ok"
                self.states.setdefault(tuple(cell), state)


def pytest_terminal_summary(terminalreporter, config):
    states = config.stash[RESULT]
    if not states:
        return
    rows = list(table(states))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    terminalreporter.section("validation matrix")
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        terminalreporter.write_line("  ".join(cells).rstrip())
    terminalreporter.write_line("")
    for what, plugin, reason in list(reasons())[1:]:
        terminalreporter.write_line(f"n/a: {plugin}, {what}: {reason}")


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes a runtime, blocking or on an event loop, that is closed at the end."""
    opened = []

    def make(config, registry=None):
        opened.append(request.param(config, registry))
        return opened[-1]

    yield make
    for one in opened:
        one.close()
