"""``timeouts`` and ``limits``: tables of seconds and of sizes, in a section or for one call.

>>> timeouts_of({"total": 20, "idle": 2.5})
{'total': 20, 'idle': 2.5}
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import attrs

from multitap.config.packages import did_you_mean
from multitap.policy.clocks import Clocks, Limits

__all__ = ("limits_of", "timeouts_of")

_CLOCKS = {"total", *attrs.fields_dict(Clocks)} - {"asked", "deadline", "now"}
_LIMITS = frozenset(attrs.fields_dict(Limits))


def timeouts_of(table: Mapping[str, Any]) -> dict[str, float]:
    """The clocks that are set, by name, in seconds.

    Raises:
        ValueError: An unknown clock, or no number of seconds above 0.
    """
    _check_names(table, _CLOCKS)
    for name, seconds in table.items():
        number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if not (number and math.isfinite(seconds) and seconds > 0):
            raise ValueError(f"has to have a number of seconds above 0 for {name}")
    return dict(table)


def limits_of(table: Mapping[str, Any]) -> dict[str, int]:
    """The limits that are set, by name.

    Raises:
        ValueError: An unknown limit, or no whole number above 0.
    """
    _check_names(table, _LIMITS)
    for name, size in table.items():
        if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
            raise ValueError(f"has to have a whole number above 0 for {name}")
    return dict(table)


def _check_names(table: Mapping[str, Any], known: Collection[str]) -> None:
    for name in table:
        if name not in known:
            raise ValueError(
                f"has an unknown key {name!r}{did_you_mean(name, known)}; "
                f"there are {', '.join(sorted(known))}"
            )
