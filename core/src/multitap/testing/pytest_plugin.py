"""What the kit adds to pytest: which rules are skipped and why, and the option for a real server.

Loaded by pytest wherever Multitap is installed, so nothing but pytest is imported before a suite is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from multitap.testing.kit.rule import Rule
    from multitap.testing.kit.suite import Suite

pytest.register_assert_rewrite("multitap.testing.kit")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--multitap-live``: ask the servers that ``llm.toml`` names instead of recorded ones."""
    group = parser.getgroup("multitap", "the kit for plugins of Multitap")
    group.addoption(
        "--multitap-live",
        action="store_true",
        help="check the rules that a real server can be asked about, at llm.toml's endpoint",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a rule that is checked with vectors once for each of them."""
    suite, rule = _suite_of(metafunc.cls), getattr(metafunc.function, "rule", None)
    if suite and rule and "vector" in metafunc.fixturenames:
        known = [] if _excuse(suite, rule, live=False) else suite.vectors_of(rule)
        none = pytest.mark.skip(reason="no vector is about it")
        values = [pytest.param(vector, id=vector.name) for vector in known]
        metafunc.parametrize("vector", values or [pytest.param(None, id="none", marks=none)])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what the plugin does not declare, and expect the failures that it names."""
    live = bool(config.getoption("--multitap-live"))
    for item in items:
        suite, rule = _suite_of(getattr(item, "cls", None)), getattr(item, "function", None)
        rule = getattr(rule, "rule", None)
        if not suite or not rule:
            continue
        if excuse := _excuse(suite, rule, live):
            item.add_marker(pytest.mark.skip(reason=excuse))
        elif reason := suite.deviations.get(rule.id):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def _suite_of(cls: Any) -> type[Suite] | None:
    if not isinstance(cls, type) or not any(b.__name__ == "Suite" for b in cls.__mro__):
        return None
    from multitap.testing.kit.suite import Suite

    return cls if issubclass(cls, Suite) else None


def _excuse(suite: type[Suite], rule: Rule, live: bool) -> str:
    """Why a rule is not checked of this plugin; empty where it is."""
    subject, capability = suite.subject(), rule.id.partition("/")[0]
    if capability != "plugin" and capability not in subject.capabilities:
        return f"{suite.provider} does not declare {capability}"
    if live and not rule.live:
        return "it is about recorded bytes, and a real server is asked"
    if rule.wire and subject.in_process:
        return f"{suite.provider} works in this process: there are no bytes on a wire"
    return ""
