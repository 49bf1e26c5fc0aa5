"""A call that goes on at another backend, which the user named for that.

Only before the first result, and only where the backend failed: what the caller did wrong is wrong
everywhere, and what the model refused is its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from multitap.engine.call import Call
from multitap.errors import (
    BackendError,
    BadRequest,
    ContentFiltered,
    ContextOverflow,
    DeadlineExceeded,
    MultitapError,
    NotSupported,
    Refused,
)
from multitap.events import Event, Notice
from multitap.resolve import ResolvedModel

__all__ = ("elsewhere",)

STAYS = (BadRequest, ContentFiltered, ContextOverflow, DeadlineExceeded, NotSupported, Refused)


def elsewhere(
    call: Call[Event], others: Sequence[ResolvedModel], ask: Callable[..., Call[Event]]
) -> Call[Event]:
    """The call, which tries these models in turn where it fails.

    Args:
        call: For the first model.
        others: The models that come after it.
        ask: Makes the same call for another of them.
    """

    def turn(error: BackendError) -> Call[Event] | None:
        if isinstance(error, STAYS):
            return None
        for place, target in enumerate(others):
            try:
                found = ask(target, deadline=call.clocks.deadline)
            except MultitapError:
                continue  # that one cannot even be asked; what is told is why the first one failed
            return _told(elsewhere(found, others[place + 1 :], ask), call, error)
        return None

    return attrs.evolve(call, elsewhere=turn if others else None)


def _told(other: Call[Event], before: Call[Any], error: BackendError) -> Call[Event]:
    """With a warning that says why, and told to those who watched the first."""
    reason = error.message.rstrip(". ")
    notice = Notice(
        "fallback", f"{before.backend.id} failed ({reason}); {other.backend.id} answers"
    )
    return attrs.evolve(other, watch=before.watch, notices=(notice, *other.notices))
