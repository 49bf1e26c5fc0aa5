"""Which rule of the kit is checked of which plugin; run as a script it writes the page.

What is skipped and why is known before anything runs. That the rest is kept is proved by the tests
of the plugins, their ``test_kit.py``; so nothing is run here.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from multitap.capabilities import CAPABILITIES
from multitap.testing import kit
from multitap.testing.pytest_plugin import why_skipped

HOME = Path(__file__).parents[1]
PAGE = HOME / "docs/kit-results.md"
PLUGINS = sorted(path.parent.name for path in HOME.glob("plugins/*/pyproject.toml"))
ORDER = ("plugin", *CAPABILITIES)
OK, ABSENT, SKIPPED, DEVIATES, MISSING = "ok", "–", "skipped", "deviation", "missing"
MANY = 20
BEGIN, END = "<!-- the tables -->\n\n", "<!-- the end of the tables -->\n"


def rules():
    """Every rule of the check list, in the order of the page about them."""
    suites = [kit.Suite, *(suite for name, suite in vars(kit).items() if name.endswith("Suite"))]
    found = {rule.id: rule for suite in suites for rule in kit.rules_of(suite)}
    return sorted(found.values(), key=lambda rule: ORDER.index(capability_of(rule)))


def capability_of(rule):
    return rule.id.partition("/")[0]


def classes_of(plugin):
    """The classes of a plugin's ``test_kit.py``, the one that checks all of it first."""
    path = HOME / "plugins" / plugin / "tests/test_kit.py"
    if not path.exists():
        return []
    name = f"kit_of_{plugin}"
    if name not in sys.modules:
        sys.path.append(str(path.parent))  # what its tests share
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    found = vars(sys.modules[name]).values()
    own = [each for each in found if isinstance(each, type) and each.__module__ == name]
    return sorted(own, key=lambda cls: cls.rest is not None)


def cell(rule, classes):
    """A word, and why it is no ``ok``."""
    if not classes:
        return MISSING, "it has no tests/test_kit.py"
    capability = capability_of(rule)
    if capability not in ("plugin", *classes[0].subject().capabilities):
        return ABSENT, ""
    checked = [cls for cls in classes if rule.id in {known.id for known in kit.rules_of(cls)}]
    if not checked:
        return MISSING, f"its class has no suite of {capability}"
    reasons = [reason for cls in checked for reason in deviations(cls, rule)]
    if reasons:
        return DEVIATES, "; ".join(dict.fromkeys(reasons))
    skips = [why_skipped(cls, rule) for cls in checked]
    return (SKIPPED, skips[0]) if all(skips) else (OK, "")


def deviations(cls, rule):
    """Why a class deviates from a rule, as a whole or with a vector."""
    named = cls.deviations.items()
    return [reason for name, reason in named if name.partition("[")[0] == rule.id]


def cells():
    """By rule and plugin."""
    classes = {plugin: classes_of(plugin) for plugin in PLUGINS}
    return {
        (rule.id, name): cell(rule, found) for rule in rules() for name, found in classes.items()
    }


# ---- the page ------------------------------------------------------------------------------------


def tables():
    """The tables, and why what is not checked is not."""
    found = cells()
    parts = [table(capability, found) for capability in ORDER]
    return "\n".join([*parts, "## What is not checked, and why\n", markdown(excuses(found))])


def table(capability, found):
    ids = [rule.id for rule in rules() if capability_of(rule) == capability]
    rows = [[link(id_), *(found[id_, plugin][0] for plugin in PLUGINS)] for id_ in ids]
    return f"## {capability}\n\n{markdown([['', *PLUGINS], *rows])}"


def link(id_):
    return f"[{id_}](kit.md#{id_.replace('/', '-')})"


def excuses(found):
    """A row for each plugin, word and reason, with all rules that it is of."""
    alike = {}
    for (id_, plugin), (word, reason) in found.items():
        if reason:
            alike.setdefault((plugin, word, reason), []).append(id_)
    rows = [
        [plugin, word, reason, some(ids)] for (plugin, word, reason), ids in sorted(alike.items())
    ]
    return [["plugin", "", "why", "rules"], *rows]


def some(ids):
    """Names of rules; where there are many, their number."""
    return ", ".join(f"`{id_}`" for id_ in ids) if len(ids) <= MANY else f"{len(ids)} of them"


def markdown(rows):
    head, *others = rows
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *others])


def page(text):
    """The page with the tables as they are now."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{tables()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    sys.path[:0] = [str(HOME / "tests"), str(HOME / "core/tests")]
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
