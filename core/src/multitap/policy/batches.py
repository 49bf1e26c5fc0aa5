"""How many inputs one request may have, and how wide vectors are: declared, or learned."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from multitap.errors import BackendError, BadRequest, ProtocolError

__all__ = ("BatchLimits", "Widths", "fewer_inputs", "wants_fewer_inputs")

LEARNED_FOR = 3600.0
MOST_LEARNED = 256

_TOO_MANY = re.compile(
    r"(?i)\bbatch(?:es)?\b|\barray too long|\bmax_?items\b|\bper request\b"
    r"|\btoo many (?:\w+ )?(?:documents|elements|inputs|items|strings|texts|tokens)\b"
    r"|\b(?:at most|maximum of|more than) \d+ (?:\w+ )?(?:inputs|items|requests|strings|texts)\b"
    r"|\bnumber of (?:\w+ )?(?:inputs|items|strings|texts)\b|\b(?:body|entity|payload) too large\b"
)
_MOST = re.compile(
    r"(?i)(?:max\w*|at most|limit\w*|(?:larger|longer|greater|more) than|exceed\w*|up to|>|<=|≤)"
    r"\D{0,40}?(\d+)(?!\d|\s*tokens)"
)


def wants_fewer_inputs(error: BackendError) -> bool:
    """Is this refusal about how much one request has, so that less may do?

    >>> wants_fewer_inputs(BadRequest("batch size 40 > maximum allowed batch size 32"))
    True
    >>> wants_fewer_inputs(BadRequest("dimensions must be positive"))
    False
    """
    if error.status == 413 or error.kind == "limit_exceeded":  # the request, or the reply
        return True
    return isinstance(error, BadRequest) and _TOO_MANY.search(error.message) is not None


def fewer_inputs(error: BackendError, count: int) -> int:
    """How many to send where ``count`` were refused: what the message says, or half as many.

    >>> fewer_inputs(BadRequest("Too many inputs in request. Max is 128"), 512)
    128
    >>> fewer_inputs(BadRequest("Too many tokens overall, split into more batches."), 512)
    256
    """
    said = [int(number) for number in _MOST.findall(error.message) if len(number) < 10]
    return max((number for number in said if 0 < number < count), default=count // 2)


class BatchLimits:
    """What was learned of backends' models: kept for an hour, of the last 256 models.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._learned: dict[tuple[str, str], tuple[int, float]] = {}
        self._changing = threading.Lock()

    def most(self, backend: str, model: str, declared: int) -> int:
        """How many inputs to send at once: as declared, or fewer where that was refused."""
        limit, until = self._learned.get((backend, model), (declared, 0.0))
        return min(limit, declared) if self._clock() < until else declared

    def learn(self, backend: str, model: str, limit: int) -> None:
        """More than ``limit`` were refused just now."""
        with self._changing:
            self._learned.pop((backend, model), None)
            self._learned[backend, model] = limit, self._clock() + LEARNED_FOR
            while len(self._learned) > MOST_LEARNED:
                del self._learned[next(iter(self._learned))]


class Widths:
    """How wide the vectors of each model are, of the last 256: what was seen first is right.

    Vectors of two widths have no distance, and a store of one takes none of the other.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, int | None], int] = {}
        self._changing = threading.Lock()

    def check(self, backend: str, model: str, asked: int | None, width: int) -> None:
        """The first call says it; ``asked``: the width that was asked for, if one was.

        Raises:
            ProtocolError: The width is not that of earlier vectors.
        """
        known = self._known.get((backend, model, asked))
        if known is None:
            self._learn((backend, model, asked), width)
        elif known != width:
            raise ProtocolError(
                f"The model gave vectors of {known} numbers until now, and gives some of {width}",
                hint="Was the model replaced? Then reload() the runtime and embed everything anew.",
                kind="embedding_invalid",
            )

    def forget(self, backend: str | None = None) -> None:
        """The models of a backend, or of all, may be others now."""
        with self._changing:
            for key in [key for key in self._known if backend in (None, key[0])]:
                del self._known[key]

    def _learn(self, key: tuple[str, str, int | None], width: int) -> None:
        with self._changing:
            self._known[key] = width
            while len(self._known) > MOST_LEARNED:
                del self._known[next(iter(self._known))]
