"""A rule: one promise of a plugin, which a check of the kit holds it to.

>>> @rule("demo/add", "One and one are two.", mend="Count again.")
... def test_adding(self):
...     raise Finding(3, expected=2, smallest="1 + 1")
>>> test_adding.rule.page
'docs/kit.md#demo-add'
>>> try:
...     test_adding(None)
... except Broken as failure:
...     print(failure)
demo/add is broken. One and one are two.
  input:    1 + 1
  expected: 2
  came:     3
  mend it:  Count again.
  see:      docs/kit.md#demo-add
"""

from __future__ import annotations

import functools
import os
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import attrs

import multitap
from multitap.errors import ConfigError, PluginError
from multitap.testing.finding import Finding

__all__ = ("Broken", "Rule", "rule", "rules_of", "told")

F = TypeVar("F", bound=Callable[..., Any])
OURS = str(Path(multitap.__file__).parent)
PYTHONS = sysconfig.get_path("stdlib") + os.sep
LONGEST = 4000


@attrs.frozen
class Rule:
    """One promise.

    Attributes:
        id: The suite's name and its own, such as ``chat/cuts``.
        says: The promise, in a sentence.
        mend: What to do where it is broken.
        vectors: Which recorded exchanges it is checked with: words of ``Vector.kinds``; empty: with
            none.
        wire: It is about bytes, so that a plugin which works in this process has nothing to show.
        live: It can be asked of a real server.
    """

    id: str
    says: str
    mend: str = ""
    vectors: str = ""
    wire: bool = False
    live: bool = False

    @property
    def page(self) -> str:
        """Where it is explained."""
        return f"docs/kit.md#{self.id.replace('/', '-')}"


class Broken(AssertionError):
    """A plugin breaks a rule; the text says which, what was seen, and what to do."""

    def __init__(
        self, rule: Rule, finding: Finding, provider: str = "", mend: str | None = None
    ) -> None:
        super().__init__(rule, finding, provider, mend)
        self.rule, self.finding, self.provider = rule, finding, provider
        self.mend = rule.mend if mend is None else mend

    def __str__(self) -> str:
        who = f" by {self.provider}" if self.provider else ""
        found = self.finding
        rows = {
            "input": found.smallest,
            "expected": found.expected,
            "came": found.came,
            "mend it": self.mend,
            "see": self.rule.page,
        }
        lines = [_row(name, value) for name, value in rows.items() if value != ""]
        return "\n".join([f"{self.rule.id} is broken{who}. {self.rule.says}", *lines])


def _row(name: str, value: object) -> str:
    """A name, and beside it the value, whose further lines stand below its first."""
    text = str(value)
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
    return f"  {name + ':':<9} " + shown.replace("\n", "\n" + " " * 12)


def rule(id: str, says: str, **facts: Any) -> Callable[[F], F]:  # noqa: A002 - as in `Rule`
    """Make a test the check of a rule: whatever it finds is reported under the rule's name."""
    known = Rule(id, says, **facts)

    def of(check: F) -> F:
        @functools.wraps(check)
        def checked(*args: Any, **fixtures: Any) -> None:
            __tracebackhide__ = True
            provider = getattr(args[0], "provider", "") if args else ""
            asked = fixtures.get("vector") or ""
            try:
                check(*args, **fixtures)
            except Broken:
                raise
            except AssertionError as finding:
                raise Broken(known, _with_input(finding, asked), provider) from None
            except (ConfigError, PluginError) as error:  # it comes before what the rule is about
                raise Broken(known, Finding(told(error), smallest=asked), provider, "") from error
            except Exception as error:
                raise Broken(known, Finding(told(error), smallest=asked), provider) from error

        checked.rule = known  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return of


def _with_input(finding: AssertionError, asked: object) -> Finding:
    """The finding, with the vector where it does not name a smaller input itself."""
    if not isinstance(finding, Finding):
        return Finding(finding, smallest=asked)
    finding.smallest = finding.smallest or asked
    return finding


def told(error: Exception) -> str:
    """An error that nobody expected, and where in the plugin it came from."""
    return "\n".join([f"{type(error).__name__}: {error}", *_places(error)])


def _places(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        for frame in traceback.extract_tb(error.__traceback__):
            if _is_foreign(frame.filename):
                yield f"{frame.filename}:{frame.lineno}, in {frame.name}: {frame.line}"
        error = error.__cause__


def _is_foreign(file: str) -> bool:
    """Is it neither ours nor Python's own?"""
    pythons = file.startswith(PYTHONS) and "site-packages" not in file
    return not pythons and not file.startswith(OURS)


def rules_of(suite: type) -> list[Rule]:
    """The rules that a suite checks, in the order in which it states them.

    >>> class Demo:
    ...     @rule("demo/one", "It is one.")
    ...     def test_one(self): ...
    >>> [rule.id for rule in rules_of(Demo)]
    ['demo/one']
    """
    checks = {name: check for base in reversed(suite.__mro__) for name, check in vars(base).items()}
    return [check.rule for check in checks.values() if hasattr(check, "rule")]
