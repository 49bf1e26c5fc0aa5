"""Which thread acts: one that calls a hook waits for another one, which acts in its place."""

from __future__ import annotations

import threading

__all__ = ("act_for", "whoami")


class _Identity(threading.local):
    caller: int | None = None


_identity = _Identity()


def whoami() -> int:
    """The thread that this one acts for, or this one."""
    return _identity.caller or threading.get_ident()


def act_for(caller: int) -> None:
    """From now on this thread acts in the place of one that waits for it."""
    _identity.caller = caller
