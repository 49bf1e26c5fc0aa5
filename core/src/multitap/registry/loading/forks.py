"""What a forked child makes afresh: a lock that another thread held at that moment stays held."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ("renew_after_fork",)


class _Renewable(Protocol):
    def renew(self) -> None: ...


_alive: weakref.WeakSet[_Renewable] = weakref.WeakSet()


def renew_after_fork(owner: _Renewable) -> None:
    """Have the owner's ``renew`` called in every child, as long as the owner lives."""
    _alive.add(owner)


def _renew() -> None:
    for owner in list(_alive):
        owner.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
