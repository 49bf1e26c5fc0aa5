"""No test here waits for chance; the rows are printed at the end."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from fault_answers import HTTP, REFERENCE
from fault_bounds import no_waits
from fault_rows import table

from multitap.testing import WORLDS

__all__ = ("no_waits",)

HERE = Path(__file__).parent
RESULTS = pytest.StashKey()
SECONDS = 60
LONG = {"test_soak.py", "test_storm.py"}


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    return request.param


@pytest.fixture(params=[REFERENCE, *(name for name in HTTP if name != REFERENCE)])
def plugin(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["stream", "whole"])
def streamed(request):
    return request.param


def pytest_addoption(parser):
    group = parser.getgroup("faults", "doses of the fault matrix")
    group.addoption("--seeds", type=int, default=1, help="how often, each time otherwise cut")
    group.addoption("--exchanges", type=int, default=5000, help="of a storm")
    group.addoption("--crowd", type=int, default=2000, help="calls at once")
    group.addoption("--streams", type=int, default=200, help="held at once")
    group.addoption("--hold", type=float, default=1.0, help="seconds for which they are held")
    group.addoption("--minutes", type=float, default=0.05, help="of mixed traffic")
    group.addoption("--churns", type=int, default=200, help="calls of a churn")


def pytest_configure(config):
    config.stash[RESULTS] = defaultdict(lambda: defaultdict(int))
    config.pluginmanager.register(Rows(config.stash[RESULTS]))


def pytest_collection_modifyitems(config, items):
    """What is waited for in vain ends the test, but for the doses that a caller may choose."""
    crowd = config.getoption("--crowd", 0)
    for item in items:
        if HERE not in item.path.parents:
            continue
        if item.path.name not in LONG:
            more = crowd // 20 if "ten_thousand" in item.name else 0
            item.add_marker(pytest.mark.timeout(SECONDS + more))


class Rows:
    """Counts what the tests of each row gave, in whichever process they run."""

    def __init__(self, results):
        self.results = results

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        plugin = getattr(item, "callspec", None) and item.callspec.params.get("plugin")
        if call.when == "call":
            for mark in item.iter_markers("fault"):
                report.user_properties += [("row", (row, plugin or "")) for row in mark.args]
        return report

    def pytest_runtest_logreport(self, report):
        for name, value in report.user_properties:
            if name == "row" and report.when == "call":
                row, plugin = value
                for place in {"", plugin}:
                    self.results[row, place][report.outcome] += 1


def pytest_terminal_summary(terminalreporter, config):
    results = config.stash[RESULTS]
    if not results:
        return
    terminalreporter.section("fault matrix")
    rows = list(table(results))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        terminalreporter.write_line("  ".join(cells).rstrip())
