"""``strict=True``: an option that the backend could not honour is an error, not a warning."""

from __future__ import annotations

from collections.abc import Sequence

from multitap.errors import NotSupported
from multitap.events import Event, Failed, Notice

__all__ = ("Strict",)


_NOT_HONOURED = frozenset({"adjusted_option", "unsupported_option"})


class Strict:
    """Turns the first warning about an option into a failure; passes everything else.

    >>> Strict().feed([Notice("unsupported_option", "No seed here.", "seed")])[0].type
    'error'
    """

    _failed = False

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events, up to the first option that was not honoured; then nothing more."""
        if self._failed:
            return ()
        for place, event in enumerate(events):
            if isinstance(event, Notice) and event.code in _NOT_HONOURED:
                self._failed = True
                return [*events[:place], Failed(_refusal(event))]
        return events

    def finish(self) -> Sequence[Event]:
        """Nothing is held back."""
        return ()


def _refusal(notice: Notice) -> NotSupported:
    hint = "Leave it out, or call without strict=True to get a warning instead."
    return NotSupported(notice.message, hint=hint, kind=notice.code)
