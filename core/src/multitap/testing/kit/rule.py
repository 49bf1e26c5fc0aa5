"""A rule: one promise of a plugin, which a check of the kit holds it to.

>>> @rule("demo/add", "One and one are two.")
... def test_adding(self):
...     raise Finding(3, expected=2, smallest="1 + 1")
>>> test_adding.rule.page
'docs/kit.md#demo-add'
>>> try:
...     test_adding(None)
... except Broken as failure:
...     print(failure)
demo/add is broken. One and one are two.
see: docs/kit.md#demo-add
input: 1 + 1
expected: 2
came: 3
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from multitap.testing.finding import Finding

__all__ = ("Broken", "Rule", "rule", "rules_of")

F = TypeVar("F", bound=Callable[..., Any])


@attrs.frozen
class Rule:
    """One promise.

    Attributes:
        id: The suite's name and its own, such as ``chat/cuts``.
        says: The promise, in a sentence.
        mend: What to do where it is broken.
        vectors: Which recorded exchanges it is checked with: ``answers``, ``streams``, ``refusals``
            (or several of them), or ``all``; empty: with none.
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
    """A plugin breaks a rule; the text says which, where it is explained, and what was seen."""

    def __init__(self, rule: Rule, finding: object) -> None:
        super().__init__(rule, finding)
        self.rule, self.finding = rule, finding

    def __str__(self) -> str:
        found = self.finding if isinstance(self.finding, Finding) else f"came: {self.finding}"
        return f"{self.rule.id} is broken. {self.rule.says}\nsee: {self.rule.page}\n{found}"


def rule(id: str, says: str, **facts: Any) -> Callable[[F], F]:  # noqa: A002 - as in `Rule`
    """Make a test the check of a rule: whatever it finds is reported under the rule's name."""
    known = Rule(id, says, **facts)

    def of(check: F) -> F:
        @functools.wraps(check)
        def checked(*args: Any, **fixtures: Any) -> None:
            try:
                check(*args, **fixtures)
            except AssertionError as finding:
                raise Broken(known, finding) from finding

        checked.rule = known  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return of


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
