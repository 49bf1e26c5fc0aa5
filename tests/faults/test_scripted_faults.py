"""Every row that is one script: streamed and whole, blocking and on an event loop."""

from __future__ import annotations

import pytest
from fault_answers import HTTP, REFERENCE, good_answer, registry
from fault_asking import config, ended, threads_freed, works
from fault_cases import CASES

from multitap.testing import WORLDS
from multitap.testing.faults import FaultyServer

fault = pytest.mark.fault
PLUGINS = (REFERENCE, *(name for name in HTTP if name != REFERENCE))


def cells():
    for case in CASES:
        for plugin in PLUGINS:
            for streamed in (True, False):
                name = "stream" if streamed else "whole"
                named = f"{case.id}-{plugin}-{name}"
                yield pytest.param(case, plugin, streamed, id=named, marks=fault(case.row))


def pytest_generate_tests(metafunc):
    """Each seed cuts what the servers send in other places."""
    if "seed" in metafunc.fixturenames:
        seeds = metafunc.config.getoption("seeds", 1)
        metafunc.parametrize("seed", [None, *range(1, seeds)], ids=lambda s: f"seed{s or 0}")


@pytest.mark.parametrize("world", WORLDS, ids=["sync", "async"])
@pytest.mark.parametrize(("case", "plugin", "streamed"), list(cells()))
def test_a_fault_ends_as_the_matrix_says_and_all_is_freed(case, plugin, streamed, world, seed):
    expected, good = case.ending(plugin, streamed), good_answer(plugin, streamed)
    with threads_freed(), FaultyServer(good, seed=seed) as server:
        with world(config(plugin, server.url), registry(plugin)) as here:
            server.breaks(case.script, **case.options_for(plugin))
            error, answer = ended(here, streamed, **case.bounds)
            sent, opened = len(server.requests), len(server.connections)
            server.heals()
            assert works(here, streamed)
            server.wait_until(lambda: len(server.held) == 1)
            kept = len(server.connections) == opened
        server.wait_until(lambda: not server.held)

    assert type(error) is (expected.error or type(None)), error
    if error is not None:
        assert error.kind == (expected.kind or error.kind)
        assert error.phase == (expected.phase or error.phase)
        assert (error.backend, error.model) == (plugin, "tiny")
    assert (sent, len(answer.attempts), kept) == (expected.attempts, sent, expected.kept)
    if expected.text is not None:
        assert answer.text == expected.text_of(good)
