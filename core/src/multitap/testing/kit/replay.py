"""A server that says again what was recorded, whatever it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from multitap.testing.answers import json
from multitap.testing.connection import Connection
from multitap.testing.kit.vector import Vector
from multitap.testing.recording import Recording
from multitap.testing.steps import Script, repeat, request

__all__ = ("Replies", "asked_by", "replay")


class Replies:
    """Which recording answers which request: by method and path.

    Of several that one vector has for the same request, each is said once, in order; the last one
    is said again from there on, as to a question that is asked until something is done.
    """

    def __init__(self, vectors: Iterable[Vector]) -> None:
        self._vectors = list(vectors)
        self._said: dict[tuple[str, str], int] = {}

    def to(self, method: str, target: str) -> Recording | None:
        """What is said to a request; ``None``: nothing of it was recorded."""
        wanted = (method.upper(), target.partition("?")[0])
        for vector in self._vectors:
            known = [each for each in vector.recordings if asked_by(each) == wanted]
            if known:
                place = self._said.get(wanted, 0)
                self._said[wanted] = place + 1
                return known[min(place, len(known) - 1)]
        return None

    def refusal(self, method: str, target: str) -> tuple[int, str]:
        """The status for what was not recorded, and why: the path, or only the method."""
        known = {asked_by(each) for vector in self._vectors for each in vector.recordings}
        path = target.partition("?")[0]
        if path in {other for _, other in known}:
            return 405, f"Method not allowed: {method} {path} was not recorded"
        names = ", ".join(sorted(" ".join(each) for each in known)) or "nothing"
        return 404, f"Not found: no vector answers {method} {path}; there is {names}"


def replay(vectors: Iterable[Vector], cuts: Sequence[int] | None = None) -> Script:
    """A script that answers each request with what was recorded of its method and path.

    Args:
        vectors: Where several have the same request, the first one counts.
        cuts: Positions in the answer to cut at; ``None``: as it was recorded.
    """
    replies = Replies(vectors)

    def answer(connection: Connection) -> Script:
        asked = connection.request
        found = replies.to(asked.method, asked.path)
        if found is not None:
            return found.answer(cuts)
        status, reason = replies.refusal(asked.method, asked.path)
        return json({"error": {"message": reason}}, status)

    return repeat(request, answer)


def asked_by(recording: Recording) -> tuple[str, str]:
    """Method and path that were asked."""
    method, target, _ = recording.request.split(b" ", 2)
    return method.decode("latin-1"), target.decode("latin-1").partition("?")[0]
