"""An observer: one line of the log for each call, whatever plugin serves it."""

from __future__ import annotations

import logging

from multitap.extensions import AttemptEnd, CallEnd, CallInfo
from multitap.hookspecs import hookimpl

LOG = logging.getLogger(__name__)


class Logbook:
    """Stateless; shared by all calls. It writes no prompt, no answer and no key."""

    def call_started(self, call: CallInfo, /) -> None:
        """Nothing yet: one line is enough."""

    def attempt_started(self, call: CallInfo, number: int, /) -> None:
        """Nothing yet."""

    def attempt_ended(self, call: CallInfo, end: AttemptEnd, /) -> None:
        """A failure that is tried again."""
        if end.delay is not None:
            LOG.warning("%s of %s: again in %.1f s", call.capability, call.backend, end.delay)

    def call_ended(self, call: CallInfo, end: CallEnd, /) -> None:
        """How it went."""
        word = type(end.error).__name__ if end.error else end.stop_reason or "done"
        LOG.info("%s of %s:%s: %s", call.capability, call.backend, call.model, word)


@hookimpl
def multitap_observer() -> Logbook:
    """Be told of every call."""
    return Logbook()
