"""The texts of one embedding request, in as many batches as the server wants. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Union

import attrs

from multitap.capabilities.embedding import EmbeddingRequest, Embeddings, Vectors, check_width
from multitap.engine.call import Call
from multitap.errors import BackendError, ContextOverflow, PluginError, ProtocolError
from multitap.policy.batches import BatchLimits, Widths, fewer_inputs, wants_fewer_inputs
from multitap.policy.retry import Attempt

__all__ = ("Batches",)

Error = Union[BackendError, PluginError]

IN_FLIGHT = 2
USUAL_BATCH = 512  # of 4096 numbers each, written in digits, that is still a reply of 64 MiB


class Batches:
    """Parts of one request, each a call of its own, and their results put together.

    Iterating gives ranges of indices for as long as there are texts left. Each is to be answered
    with ``done`` or ``failed``: a part that the server finds too much comes again, as smaller ones.
    Several tasks of one event loop may iterate at the same time.

    Args:
        request: All texts.
        call: Makes the call of a request with some of them; all have the same deadline.
        limits: What was learned of the backend.
        backend: Its id.
        declared: What the plugin says that one request may have.
        widths: How wide the vectors of earlier calls were.
    """

    def __init__(
        self,
        request: EmbeddingRequest,
        call: Callable[[EmbeddingRequest], Call[Embeddings]],
        limits: BatchLimits,
        backend: str,
        declared: int | None = None,
        widths: Widths | None = None,
    ) -> None:
        self._request = request
        self._call = call
        self._limits = limits
        self._backend = backend
        self._widths = widths or Widths()
        self._declared = declared or USUAL_BATCH
        self._waiting = deque([range(len(request.texts))])
        self._found: dict[int, Embeddings] = {}
        self._again: set[int] = set()
        self._attempts: list[Attempt] = []

    @property
    def at_once(self) -> int:
        """How many parts are worth asking for at the same time."""
        return min(IN_FLIGHT, -(-len(self._request.texts) // self._most))

    def __iter__(self) -> Iterator[range]:
        while self._waiting:
            part, most = self._waiting.popleft(), self._most
            if len(part) > most:
                self._waiting.appendleft(part[most:])
            yield part[:most]

    @property
    def _most(self) -> int:
        return self._limits.most(self._backend, self._request.model, self._declared)

    def call(self, part: range) -> Call[Embeddings]:
        """The call of a part."""
        return self._call(self._of(part))

    def _of(self, part: range) -> EmbeddingRequest:
        return attrs.evolve(self._request, texts=self._request.texts[part.start : part.stop])

    def done(self, part: range, found: Embeddings, attempts: Iterable[Attempt]) -> None:
        """The vectors of a part; a ``BackendError``: they are not those of its texts."""
        self._attempts += attempts
        if len(found.vectors) != len(part):
            message = f"The backend gave {len(found.vectors)} vectors for {len(part)} texts"
            error = ProtocolError(message, kind="embedding_invalid")
            error.partial = {}  # nothing says which text a vector belongs to
            raise error
        check_width(found.vectors, self._request.dimensions)
        if not self._fits(found.dimensions):
            Vectors.joined([*(known.vectors for known in self._found.values()), found.vectors])
        model, asked = self._request.model, self._request.dimensions
        self._widths.check(self._backend, model, asked, found.dimensions)
        self._found[part.start] = found

    def _fits(self, width: int) -> bool:
        """Are the vectors that there are as wide?"""
        return all(found.dimensions == width for found in self._found.values())

    def failed(self, part: range, error: Error) -> None:
        """A part was not answered: it is asked for in smaller ones, or else the error is raised.

        Of a part with a text that is too long for the model the text is looked for, so that the
        error can name it. Texts whose vectors are missing, or are none, are asked for once more.
        """
        self._attempts += error.attempts
        if isinstance(error, BackendError):
            error.texts = part
            error.backend = error.backend or self._backend
            error.model = error.model or self._request.model
            if len(part) > 1 and isinstance(error, ContextOverflow):
                self._waiting.extendleft(reversed(self._halves(part)))
                return
            if len(part) > 1 and wants_fewer_inputs(error):
                limit = min(self._most, fewer_inputs(error, len(part)))
                self._limits.learn(self._backend, self._request.model, limit)
                self._waiting.appendleft(part)
                return
            if error.kind == "embedding_invalid":
                if again := self._once_more(part, error):
                    self._waiting.extendleft(reversed(again))
                    return
                error.partial = self._sound()
        raise self._located(error, part)

    def _once_more(self, part: range, error: BackendError) -> Sequence[range]:
        """What to ask for again: a text whose vector is none alone, missing ones together."""
        if error.partial is None:
            return self._searched(part) if error.status is not None else ()
        for place, row in error.partial.items():
            if row is not None and place in range(len(part)) and self._fits(len(row)):
                self._found[part.start + place] = Embeddings(vectors=Vectors.from_rows([row]))
        left = [place for place in part if place not in self._found]
        if not self._again.isdisjoint(left):
            return ()
        self._again.update(left)
        return _runs(left, alone={part.start + place for place in error.partial})

    def _searched(self, part: range) -> Sequence[range]:
        """The server names no text: smaller parts, down to the one whose vector is none."""
        parts = self._halves(part) if len(part) > 1 else [part]
        alone = {each.start for each in parts if len(each) == 1}
        if not self._again.isdisjoint(alone):
            return ()
        self._again |= alone
        return parts

    def _sound(self) -> Mapping[int, Sequence[float]]:
        """The vectors that there are, by the index of their text."""
        return {
            start + place: row
            for start, found in sorted(self._found.items())
            for place, row in enumerate(found.vectors)
        }

    def _halves(self, part: range) -> list[range]:
        """The one with the longest text first: most likely it is that one which is too long."""
        middle = len(part) // 2
        return sorted((part[:middle], part[middle:]), key=self._longest, reverse=True)

    def _longest(self, part: range) -> int:
        return max(len(self._request.texts[place].encode()) for place in part)

    def _located(self, error: Error, part: range) -> Error:
        error.attempts = tuple(self._attempts)
        if len(part) < len(self._request.texts):
            place = part.start if len(part) == 1 else f"{part.start}:{part.stop}"
            error.message = f"texts[{place}]: {error.message}"
            error.args = (error.message,)
        return error

    def joined(self) -> Embeddings:
        """All vectors, in the order of the texts."""
        parts = [found for _, found in sorted(self._found.items())]
        usage = sum((part.usage for part in parts[1:]), parts[0].usage)
        told = [notice for part in parts for notice in part.warnings]
        return Embeddings(
            vectors=Vectors.joined([part.vectors for part in parts]),
            usage=usage,
            model=parts[0].model,
            warnings=tuple(n for place, n in enumerate(told) if n not in told[:place]),
            attempts=tuple(self._attempts),
        )


def _runs(places: Sequence[int], alone: Collection[int]) -> Sequence[range]:
    """Those that follow each other as one range, but each of ``alone`` by itself."""
    runs: list[range] = []
    for place in places:
        last = runs[-1] if runs else range(0)
        if last and last.stop == place and not {place, place - 1} & set(alone):
            runs[-1] = range(last.start, place + 1)
        else:
            runs.append(range(place, place + 1))
    return runs
