"""A filter that somebody else wrote, held to the contract of filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from multitap.errors import BackendError, PluginError
from multitap.events import Event, Failed, Stop
from multitap.work import Stage

__all__ = ("Guarded",)


class Guarded:
    """Passes batches through a filter, and sees to their end.

    What the filter still holds at the end of the answer, its ``finish``, goes before the terminal
    event. A ``BackendError`` that it raises ends the answer; anything else is its own fault, and so
    is an answer that loses its end in it.

    Args:
        stage: The filter, made for one attempt.
        broken: The ``PluginError`` for a fault of the filter, from what was wrong.
    """

    def __init__(
        self, stage: Stage[Sequence[Event], Event], broken: Callable[[str], PluginError]
    ) -> None:
        self._stage = stage
        self._broken = broken
        self._over = False

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        """What the filter makes of the events; everything that it has, once they end."""
        if self._over:
            return ()
        given = self._asked(self._stage.feed, events)
        place = _end_of(given)
        if place is None and _end_of(events) is None:
            return given
        return self._ended(given, place)

    def finish(self) -> Sequence[Event]:
        """Nothing: an answer ends with a terminal event."""
        return ()

    def _ended(self, given: Sequence[Event], place: int | None) -> Sequence[Event]:
        self._over = True
        held = self._asked(self._stage.finish)
        cut = len(given) if place is None else place
        whole = [*given[:cut], *held, *given[cut : cut + 1]]
        if _end_of(whole) is None:
            raise self._broken("it swallowed the end of the answer")
        return whole

    def _asked(self, method: Callable[..., Any], *arguments: Any) -> Sequence[Event]:
        try:
            return list(method(*arguments))
        except BackendError as error:
            return [Failed(error)]
        except PluginError:
            raise
        except Exception as error:
            raise self._broken(f"{type(error).__name__}: {error}") from error


def _end_of(events: Sequence[Event]) -> int | None:
    """Where the terminal event is: a failure, or the stop of the first choice."""
    for place, event in enumerate(events):
        if isinstance(event, Failed) or (isinstance(event, Stop) and not event.choice):
            return place
    return None
