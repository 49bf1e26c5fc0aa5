"""How many inputs one request may have: declared, or learned from what a server refuses."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from multitap.errors import BackendError, BadRequest

__all__ = ("BatchLimits", "fewer_inputs", "wants_fewer_inputs")

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
