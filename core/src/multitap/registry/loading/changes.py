"""What code of a plugin has changed in this process although it works: it is told in the log."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import warnings
from typing import TYPE_CHECKING

from multitap.registry.loading.guard import loop_policy

if TYPE_CHECKING:
    from multitap.registry.discovery import Claim

__all__ = ("Changes",)

_NUMBERS = tuple(signal.valid_signals())
_PUT_BACK = ("signals", "the policy of event loops")


class Changes:
    """Compares the state of the process with what it was."""

    def __init__(self) -> None:
        self._before = _look()

    def tell(self, claim: Claim) -> None:
        """Name what is another now: a warning, where it is put back; else for who wants to know."""
        now = _look()
        changed = [name for name, before in self._before.items() if now[name] != before]
        back = [name for name in changed if name in _PUT_BACK]
        stay = [name for name in changed if name not in _PUT_BACK]
        who, log = claim.distribution or claim.module, logging.getLogger("multitap")
        if back:
            log.warning("%s changed %s of this process; put back", who, " and ".join(back))
        if stay:
            log.info("%s changed %s of this process", who, ", ".join(stay))


def _look() -> dict[str, object]:
    return {
        "signals": [signal.getsignal(number) for number in _NUMBERS],
        "the policy of event loops": loop_policy(),
        "the root logger": (logging.root.level, list(logging.root.handlers)),
        "the filters of warnings": list(warnings.filters),
        "the environment": dict(os.environ),
        "sys.path": list(sys.path),
        "the timeout of sockets": socket.getdefaulttimeout(),
    }
