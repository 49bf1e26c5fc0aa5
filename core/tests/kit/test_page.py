"""docs/kit.md says of every rule what it promises, why, and how to mend what breaks it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from multitap.capabilities import CAPABILITIES
from multitap.testing import kit

PAGE = Path(__file__).parents[3] / "docs" / "kit.md"
SUITES = [kit.Suite, *(suite for name, suite in vars(kit).items() if name.endswith("Suite"))]
ORDER = ("plugin", *CAPABILITIES)
FOUND = {rule.id: rule for suite in SUITES for rule in kit.rules_of(suite)}
RULES = dict(sorted(FOUND.items(), key=lambda item: ORDER.index(item[0].partition("/")[0])))
ANCHOR = re.compile(r'<a id="([\w-]+)"></a>\n\n### (\S+)\n\n(.*?)(?=\n<a id|\n## |\Z)', re.DOTALL)
SECTIONS = {id_: (anchor, text) for anchor, id_, text in ANCHOR.findall(PAGE.read_text("utf-8"))}


def flat(text):
    return " ".join(text.split())


def test_every_rule_has_its_paragraph_and_no_paragraph_is_left():
    assert list(SECTIONS) == list(RULES)


@pytest.mark.parametrize("id_", RULES)
def test_a_paragraph_says_what_the_rule_says(id_):
    anchor, text = SECTIONS[id_]
    rule = RULES[id_]
    assert rule.page == f"docs/kit.md#{anchor}"
    promise, why, mend = text.strip().partition("** ")[0], text, text.strip().rpartition("\n\n")[2]
    assert flat(promise).removeprefix("**") == rule.says
    assert len(flat(why)) > len(rule.says) + len(rule.mend)
    assert flat(mend) == f"To mend it: {rule.mend}"


def test_every_attribute_of_a_class_is_in_the_table():
    """What an author may set or override."""
    table = PAGE.read_text("utf-8").partition("## What a class may say")[2].partition("\n\nA **")[0]
    shown = set(re.findall(r"^\| `(\w+)(?:\(\))?`", table, re.MULTILINE))
    classes = {cls for suite in SUITES for cls in suite.__mro__ if cls is not object}
    own = {name for cls in classes for name in cls.__annotations__ if not name.startswith("_")}
    asked = {name for name in own if name.endswith("_questions")}
    assert shown == (own - asked - {"live", "capability"}) | {
        *("chat_questions", "read_request", "registry", "server")
    }
