"""A server that says again what was recorded, whatever it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from multitap.testing.answers import json
from multitap.testing.connection import Connection
from multitap.testing.kit.vector import Vector
from multitap.testing.steps import Script, repeat, request

__all__ = ("replay",)


def replay(vectors: Iterable[Vector], cuts: Sequence[int] | None = None) -> Script:
    """A script that answers each request with the first vector of its path, however it is asked.

    Args:
        vectors: Where several have the same path, a streamed request is answered with a stream.
        cuts: Positions in the answer to cut at; ``None``: as it was recorded.
    """
    known = list(vectors)

    def answer(connection: Connection) -> Script:
        path = connection.request.path
        for vector in known:
            if path_of(vector) == path:
                return vector.recording.answer(cuts)
        paths = ", ".join(sorted({path_of(vector) for vector in known})) or "nothing"
        return json({"error": f"no vector answers {path}; there are {paths}"}, 404)

    return repeat(request, answer)


def path_of(vector: Vector) -> str:
    """The path that was asked."""
    target = vector.recording.request.split(b" ", 2)[1].decode("latin-1")
    return target.partition("?")[0]
