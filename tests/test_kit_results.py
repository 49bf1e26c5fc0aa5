"""docs/kit-results.md is what the classes of the plugins say of themselves."""

from __future__ import annotations

import pytest
from kit_results import BEGIN, MISSING, PAGE, PLUGINS, cells, classes_of, page

from multitap.testing.kit import ChatSuite, Suite

CLASSES = [cls for plugin in PLUGINS for cls in classes_of(plugin)]


def test_the_page_has_these_tables():
    text = PAGE.read_text("utf-8")
    assert BEGIN in text
    assert text == page(text), "write it anew: python tests/kit_results.py"


def test_every_plugin_is_held_to_the_kit():
    assert set(PLUGINS) == {cls.provider for cls in CLASSES}
    assert MISSING not in {word for word, _ in cells().values()}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_no_rule_is_skipped_while_it_runs(cls):
    """Chat's rules are, where nothing can be asked; with a server of its own there always is."""
    on_a_wire = issubclass(cls, ChatSuite) and not cls.subject().in_process
    assert not on_a_wire or cls.server.__func__ is not Suite.server.__func__
