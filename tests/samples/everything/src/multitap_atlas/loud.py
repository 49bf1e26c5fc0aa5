"""A filter: what a model says, in capital letters. ``filters = ["atlas-loud"]`` turns it on."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from multitap.events import Event, Text
from multitap.extensions import CallInfo
from multitap.hookspecs import hookimpl


class Loud:
    """One for each attempt; each piece is changed by itself, so nothing has to be held back."""

    def feed(self, events: Sequence[Event], /) -> Sequence[Event]:
        """The events, louder."""
        return [_louder(event) for event in events]

    def finish(self) -> Sequence[Event]:
        """Nothing is held back."""
        return ()


def _louder(event: Event) -> Event:
    return attrs.evolve(event, content=event.content.upper()) if isinstance(event, Text) else event


@hookimpl
def multitap_filter(call: CallInfo) -> Loud | None:
    """Chat alone has text to change."""
    return Loud() if call.capability == "chat" else None
