"""Values to try a parameter of ``provider.toml`` with."""

from __future__ import annotations

from typing import Any

from multitap.rules import Rule

__all__ = ("samples_of",)

_VALUES: dict[str, tuple[Any, ...]] = {
    "text": ("kit-one", "kit-two", "k", "t"),
    "path": ("/kit-one", "/kit-two"),
    "boolean": (True, False),
    "list": (["kit-one"], ["kit-two"]),
    "table": ({"kit": "one"}, {"kit": "two"}),
    "any": ("kit-one", "kit-two"),
    "integer": (17, 18, 1, 2, 0, -1, 100, 1000, 10_000),
    "number": (0.25, 0.5, 0.1, 1, 0, 1.5, 2, -1, 17, 100),
}


def samples_of(parameter: Rule) -> tuple[Any, ...]:
    """Two values that the rule allows, if there are two.

    >>> samples_of(Rule(name="top_k", type="integer", minimum=18))
    (18, 100)
    """
    known = parameter.choices or (*_VALUES[parameter.type], parameter.minimum, parameter.maximum)
    fitting = [value for value in known if _allowed(parameter, value)]
    return tuple(fitting[:2])


def _allowed(parameter: Rule, value: Any) -> bool:
    try:
        parameter.check(value)
    except (TypeError, ValueError):
        return False
    return True
