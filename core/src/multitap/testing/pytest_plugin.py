"""What the kit adds to pytest: which rules are skipped and why, and how what was found is shown.

Pytest loads it wherever Multitap is installed, so nothing but pytest is imported until there is a
suite.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from multitap.testing.kit.rule import Broken, Rule
    from multitap.testing.kit.suite import Suite
    from multitap.testing.kit.vector import Vector

pytest.register_assert_rewrite("multitap.testing.kit")

_LEFT = pytest.StashKey[dict[tuple[type, str], list[int]]]()
"""Of each deviation, how many tests are still to come, and how many have failed as it says."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--multitap-live``: ask the servers that ``llm.toml`` names instead of recorded ones."""
    group = parser.getgroup("multitap", "the kit for plugins of Multitap")
    group.addoption(
        "--multitap-live",
        action="store_true",
        help="check the rules that a real server can be asked about, at llm.toml's endpoint",
    )


# ---- what is checked -----------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a rule that is checked with vectors once for each of them."""
    suite, rule = _suite_of(metafunc.cls), getattr(metafunc.function, "rule", None)
    if suite is None or rule is None or "vector" not in metafunc.fixturenames:
        return
    live = bool(metafunc.config.getoption("--multitap-live"))
    known = [] if why_skipped(suite, rule, live) else _asked_of(suite, rule, live)
    metafunc.parametrize("vector", known or [None], ids=[v.name for v in known] or ["none"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what the plugin does not declare, and expect the failures that it names."""
    live = bool(config.getoption("--multitap-live"))
    left = config.stash.setdefault(_LEFT, {})
    for item, suite, rule in _checks(items):
        suite.live = live
        if excuse := why_skipped(suite, rule, live):
            item.add_marker(pytest.mark.skip(reason=excuse))
        elif named := _deviation(item, suite, rule):
            # strict only as a whole: it may be broken by some of the vectors
            item.add_marker(pytest.mark.xfail(reason=suite.deviations[named], strict=False))
            left.setdefault((suite, named), [0, 0])[0] += 1


def _checks(items: Iterable[Any]) -> Iterator[tuple[Any, type[Suite], Rule]]:
    for item in items:
        suite, check = _suite_of(getattr(item, "cls", None)), getattr(item, "function", None)
        rule = getattr(check, "rule", None)
        if suite is not None and rule is not None:
            yield item, suite, rule


def _suite_of(cls: Any) -> type[Suite] | None:
    if not isinstance(cls, type) or not any(b.__name__ == "Suite" for b in cls.__mro__):
        return None
    from multitap.testing.kit.suite import Suite

    return cls if issubclass(cls, Suite) else None


def why_skipped(suite: type[Suite], rule: Rule, live: bool = False) -> str:
    """Why a rule is not checked of this plugin; empty where it is."""
    subject, capability = suite.subject(), rule.id.partition("/")[0]
    if not (live or subject.failure is None or rule.id == "plugin/manifest"):
        return f"{suite.provider} cannot be used; plugin/manifest says why"
    if capability != "plugin" and capability not in subject.capabilities:
        return f"{suite.provider} does not declare {capability}"
    if live and not rule.live:
        return "it is about recorded bytes, and a real server is asked"
    if rule.wire and subject.in_process:
        return f"{suite.provider} works in this process: there are no bytes on a wire"
    asks_itself = (live or subject.in_process) and suite.asks_itself(rule)
    if rule.vectors and not asks_itself and not _asked_of(suite, rule, live):
        return f"no vector of {capability} is one of {' or '.join(rule.vectors.split())}"
    return ""


def _asked_of(suite: type[Suite], rule: Rule, live: bool) -> list[Vector]:
    """What a rule is checked with: vectors, or questions where there are no bytes to show."""
    asked = live or suite.subject().in_process
    return suite.questions_of(rule) if asked else suite.vectors_of(rule)


def _deviation(item: Any, suite: type[Suite], rule: Rule) -> str:
    """The deviation that a test falls under: of its rule, or of its rule with its vector."""
    vector = getattr(item, "callspec", None) and item.callspec.params.get("vector")
    names = (f"{rule.id}[{vector.name}]" if vector else "", rule.id)
    return next((name for name in names if name in suite.deviations), "")


# ---- how it is told ------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell what a rule found without the kit's own code; a deviation that is none is a failure."""
    report = yield
    for _, suite, rule in _checks([item]):
        broken: Any = call.excinfo.value if call.excinfo else None
        if report.outcome == "failed" and type(broken).__name__ == "Broken":
            report.longrepr = _Told(broken)  # type: ignore[assignment]
        if report.when == "call" and (named := _deviation(item, suite, rule)):
            _count(item, report, suite, named)
    return report


def _count(item: pytest.Item, report: pytest.TestReport, suite: type[Suite], named: str) -> None:
    counts = item.config.stash[_LEFT].get((suite, named), [0, 0])
    counts[0] -= 1
    counts[1] += report.skipped
    if counts[0] == 0 and counts[1] == 0:
        report.outcome = "failed"
        report.longrepr = f"{named} is kept after all: take it out of {suite.__name__}.deviations."


class _Told:
    """A broken rule, as pytest shows it."""

    def __init__(self, broken: Broken) -> None:
        self._text = str(broken)
        self.reprcrash = _Line(self._text.partition("\n")[0])

    def __str__(self) -> str:
        return self._text

    def toterminal(self, terminal: Any) -> None:
        first, _, rest = self._text.partition("\n")
        terminal.line(first, red=True, bold=True)
        terminal.line(rest)


class _Line:
    """The line of the summary."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __str__(self) -> str:
        return self.message


def pytest_report_collectionfinish(items: list[pytest.Item]) -> list[str]:
    """Whom the rules are checked of: versions, and what is declared."""
    return [line for suite in _suites(items) for line in _header(suite)]


def _suites(items: Iterable[Any]) -> list[type[Suite]]:
    return list(dict.fromkeys(suite for _, suite, _ in _checks(items)))


def _header(suite: type[Suite]) -> Iterator[str]:
    from importlib.metadata import version

    from multitap.capabilities import API, CAPABILITIES

    info = suite.subject().info if suite.subject().rows else None
    who = f"{info.distribution} {info.version}".strip() if info else "not installed"
    offers = [name for name in CAPABILITIES if name in suite.subject().capabilities]
    yield f"multitap {version('multitap')} (api {API}), {suite.provider}: {who}, {suite.__name__}"
    yield f"  declares {', '.join(offers) or 'nothing'}; {len(suite.known_vectors())} vectors"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """How fast the decoders are; there is no bound."""
    session = getattr(terminalreporter, "_session", None)
    for suite in _suites(getattr(session, "items", ())):
        if hasattr(suite, "speed") and not config.getoption("--multitap-live"):
            for line in _speed(suite):
                terminalreporter.write_line(line)


def _speed(suite: Any) -> Iterator[str]:
    with suppress(Exception):  # of a plugin that raises, its rules have told already
        yield from suite.speed()
