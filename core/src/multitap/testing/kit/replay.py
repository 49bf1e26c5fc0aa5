"""A server that says again what was recorded, whatever it is asked."""

from __future__ import annotations

import json as stdlib_json
from collections.abc import Iterable, Sequence

from multitap.testing.answers import json
from multitap.testing.connection import Connection
from multitap.testing.kit.vector import Vector
from multitap.testing.received import ReceivedRequest
from multitap.testing.steps import Script, Step, play

__all__ = ("path_of", "replay")


def replay(vectors: Iterable[Vector], cuts: Sequence[int] | None = None) -> Script:
    """A script that answers each request with a vector of its path, however it is asked.

    Args:
        vectors: Where several have the same path, a streamed request is answered with a stream.
        cuts: Positions in the answer to cut at; ``None``: as it was recorded.
    """
    known = list(vectors)

    async def serve(connection: Connection) -> None:
        while not connection.closed:
            asked = await connection.take_request()
            await play(connection, _answer(known, asked, cuts))

    return Step(f"replay({[vector.name for vector in known]})", serve)


def _answer(known: list[Vector], asked: ReceivedRequest, cuts: Sequence[int] | None) -> Script:
    fitting = [vector for vector in known if path_of(vector) == asked.path]
    fitting.sort(key=lambda vector: _streams(_body(vector)) != _streams(asked.body))
    if fitting:
        return fitting[0].recording.answer(cuts)
    paths = ", ".join(sorted({path_of(vector) for vector in known})) or "nothing"
    return json({"error": f"no vector answers {asked.path}; there are {paths}"}, 404)


def path_of(vector: Vector) -> str:
    """The path that was asked."""
    target = vector.recording.request.split(b" ", 2)[1].decode("latin-1")
    return target.partition("?")[0]


def _body(vector: Vector) -> bytes:
    return vector.recording.request.partition(b"\r\n\r\n")[2]


def _streams(body: bytes) -> bool:
    """Does a request ask for a stream, in the way in which most dialects do?"""
    try:
        value = stdlib_json.loads(body)
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("stream") is True
