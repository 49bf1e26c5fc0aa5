"""The kit bites: for each rule there is a plugin that breaks it, and this rule alone is red."""

from __future__ import annotations

import sys

import honest_rest
import liars_chat
import liars_media
import liars_plugin
import liars_shelf
import liars_texts
import pytest
from hypothesis import settings

from multitap.registry.installed.snapshot import Installed
from multitap.testing.kit import ChatSuite, Suite, rules_of

pytest_plugins = ["pytester"]

settings.register_profile("liars", max_examples=3)
MODULES = (liars_plugin, liars_chat, liars_texts, liars_media, liars_shelf)
SUITES = (Suite, ChatSuite, *(suite for suite, _ in honest_rest.SUITES.values()))
LIARS = {id_: module.__name__ for module in MODULES for id_ in module.LIARS}
RULES = sorted({rule.id for suite in SUITES for rule in rules_of(suite)})
HONEST = (
    *("honest.ACME", "honest.LAMP", "liars_texts.WARNS"),
    *(f"honest_rest.HONEST[{name!r}]" for name in honest_rest.SUITES),
)


class Seen:
    """What pytest reports of a run: what is told of each rule that is broken."""

    def __init__(self):
        self.told = {}
        self.passed = 0

    def pytest_runtest_logreport(self, report):
        self.passed += report.when == "call" and report.passed
        if report.failed:
            rule, is_broken, _ = str(report.longrepr).partition(" is broken")
            self.told.setdefault(rule if is_broken else report.nodeid, str(report.longrepr))


@pytest.fixture
def held_to(pytester, monkeypatch):
    """Hold a suite to its rules: an expression that names it in one of the modules here."""

    def hold(named):
        module = named.partition(".")[0]
        pytester.makepyfile(test_it=f"import {module}\nTestIt = {named}")
        seen = Seen()
        words = ("-q", "-p", "no:cacheprovider", "-p", "no:unraisableexception")
        pytester.inline_run(*words, "--import-mode=importlib", plugins=[seen])
        return seen

    # nothing is installed meanwhile: without the new folder here a quick look sees all there is
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    look = Installed.look
    monkeypatch.setattr(Installed, "look", lambda self, *, quick=True: look(self, quick=True))
    settings.load_profile("liars")  # a few examples: it is the rules that are tried
    yield hold
    settings.load_profile("patient")


def test_every_rule_has_its_liar():
    assert sorted(LIARS) == RULES


@pytest.mark.parametrize("named", HONEST)
def test_who_is_honest_passes(held_to, named):
    seen = held_to(named)
    assert seen.told == {}
    assert seen.passed > 10


@pytest.mark.parametrize("id_", RULES)
def test_a_liar_is_caught_by_the_rule_that_it_breaks_and_by_no_other(held_to, id_):
    seen = held_to(f"{LIARS[id_]}.LIARS[{id_!r}]")
    print("\n\n".join(seen.told.values()))
    assert list(seen.told) == [id_]
