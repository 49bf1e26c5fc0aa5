"""A server that says again what was recorded, whatever it is asked."""

from __future__ import annotations

import json as stdlib_json
from collections.abc import Iterable, Sequence

from multitap.testing.answers import json
from multitap.testing.connection import Connection
from multitap.testing.kit.vector import Vector
from multitap.testing.recording import Recording
from multitap.testing.steps import Script, Step, play

__all__ = ("Replies", "asked_by", "replay")


class Replies:
    """Which recording answers which request: by method and path, and by whether it is streamed.

    Of several that one vector has for the same request, each is said once, as they were made; the
    last one is said again from there on, as to a question that is asked until something is done.
    """

    def __init__(self, vectors: Iterable[Vector]) -> None:
        self._vectors = list(vectors)
        self._said: dict[tuple[str, str], int] = {}

    def to(self, method: str, target: str, body: bytes = b"") -> Recording | None:
        """What is said to a request; ``None``: nothing of it was recorded."""
        wanted, streamed = (method.upper(), target.partition("?")[0]), _streams(body)
        known = [[r for r in v.recordings if asked_by(r) == wanted] for v in self._vectors]
        fitting = [recordings for recordings in known if recordings]
        fitting.sort(key=lambda recordings: _streams(_body(recordings[0])) != streamed)
        if not fitting:
            return None
        place = self._said.get(wanted, 0)
        self._said[wanted] = place + 1
        return fitting[0][min(place, len(fitting[0]) - 1)]

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
        vectors: Where several have the same path, a streamed request is answered with a stream.
        cuts: Positions in their own answers to cut at; ``None``: as they were recorded.
    """
    known = list(vectors)
    own = {id(vector.recording) for vector in known}
    replies = Replies(known)

    async def serve(connection: Connection) -> None:
        while not connection.closed:
            asked = await connection.take_request()
            found = replies.to(asked.method, asked.path, asked.body)
            if found is not None:
                await play(connection, found.answer(cuts if id(found) in own else None))
            else:
                status, reason = replies.refusal(asked.method, asked.path)
                await play(connection, json({"error": {"message": reason}}, status))

    return Step(f"replay({[vector.name for vector in known]})", serve)


def asked_by(recording: Recording) -> tuple[str, str]:
    """Method and path that were asked."""
    method, target, _ = recording.request.split(b" ", 2)
    return method.decode("latin-1"), target.decode("latin-1").partition("?")[0]


def _body(recording: Recording) -> bytes:
    return recording.request.partition(b"\r\n\r\n")[2]


def _streams(body: bytes) -> bool:
    """Does a request ask for a stream, in the way in which most dialects do?"""
    try:
        value = stdlib_json.loads(body)
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("stream") is True
