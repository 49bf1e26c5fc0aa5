"""Chat with a Python library in this process; ``backend.provider`` says which bird is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from multitap.capabilities.chat import ChatRequest
from multitap.events import Event, Stop, Text
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Emit, LocalExchange

Song = Callable[[str], Iterable[str]]


def finch(said: str) -> Iterable[str]:
    """The library's first function: the words as they were."""
    return (f"{word} " for word in said.split())


def linnet(said: str) -> Iterable[str]:
    """Its second: the words from the last to the first."""
    return (f"{word} " for word in reversed(said.split()))


SONGS: dict[str, Song] = {"finch": finch, "linnet": linnet}


class Bird:
    """Stateless; one for each backend."""

    options = frozenset[str]()

    def __init__(self, song: Song) -> None:
        self._song = song

    def chat(self, request: ChatRequest, /) -> LocalExchange[Event]:
        """Blocking work in a thread of its own; it ends when the reader has gone."""

        def run(emit: Emit[Event]) -> None:
            for piece in self._song(request.messages[-1].text):
                if not emit([Text(piece)]):
                    return
            emit([Stop("complete")])

        return LocalExchange(run)


@hookimpl
def multitap_chat(backend: Backend) -> Bird:
    """Chat with the bird of this name."""
    return Bird(SONGS[backend.provider])
