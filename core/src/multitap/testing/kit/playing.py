"""A work done against recorded answers, in one go and without a socket.

It is what the engine does, less clocks, retries and connections: so that a rule can be checked at
thousands of cuts in a second, and says what the plugin made of the bytes and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from multitap.engine.call import Call
from multitap.errors import BackendError, PluginError
from multitap.events import Failed
from multitap.testing.chunking import outputs_of
from multitap.testing.finding import Finding
from multitap.testing.kit.calls import call_of
from multitap.testing.kit.replay import Replies, asked_by
from multitap.testing.kit.subject import Subject
from multitap.testing.kit.vector import Ask, Vector
from multitap.testing.recording import Recording
from multitap.work import (
    Digest,
    Exchange,
    Explain,
    Head,
    HttpCall,
    HttpReply,
    LocalExchange,
    Operation,
    Out,
    Work,
)

__all__ = ("Answer", "Played", "Question", "Said", "in_pieces", "last_exchange", "recorded")

MOST_STEPS = 10_000
BY_THE_RULES = "a failure in band, Failed(error); or a BackendError that is raised"


@attrs.frozen
class Said:
    """What a server says to one request; ``pieces`` are the reads of its body."""

    head: Head
    pieces: Sequence[bytes]

    @property
    def reply(self) -> HttpReply:
        """The whole of it."""
        return HttpReply(self.head.status, self.head.headers, b"".join(self.pieces))

    @classmethod
    def of(cls, status: int, body: bytes = b"") -> Said:
        """One piece, without headers."""
        return cls(Head(status, {}), [body])


Answer = Callable[[HttpCall], Said]


@attrs.define
class Played:
    """What came of a work.

    Attributes:
        outputs: Its results; a failure is the last one.
        calls: The requests that it made.
        streamed: Those of them whose answer a decoder reads as its bytes come.
    """

    outputs: list[Any] = attrs.field(factory=list)
    calls: list[HttpCall] = attrs.field(factory=list)
    streamed: list[HttpCall] = attrs.field(factory=list)

    def emit(self, items: Sequence[Any]) -> bool:
        """Take results of local work."""
        self.outputs += items
        return True

    @property
    def failure(self) -> BackendError | None:
        """How it failed; ``None``: it did not."""
        last = self.outputs[-1] if self.outputs else None
        return last.error if isinstance(last, Failed) else None


def in_pieces(pieces: Sequence[bytes]) -> Callable[[Recording], Said]:
    """For ``recorded``: the recorded head, and this body."""
    return lambda recording: Said(recording.head, pieces)


def recorded(vector: Vector, own: Callable[[Recording], Said] | None = None) -> Answer:
    """Answers with what was recorded.

    Args:
        vector: Whose exchanges these are.
        own: What is said in place of the vector's own answer; those beside it stay.
    """
    replies = Replies([vector])

    def answer(call: HttpCall) -> Said:
        found = replies.to(call.method, call.path)
        if found is None:
            status, reason = replies.refusal(call.method, call.path)
            return Said.of(status, b'{"error": {"message": "%b"}}' % reason.encode())
        if own is not None and found is vector.recording:
            return own(found)
        return Said(found.head, [found.body])

    return answer


@attrs.frozen(slots=False)
class Question:
    """A question to a plugin, which can be asked as often as is wanted."""

    subject: Subject
    ask: Ask

    @cached_property
    def call(self) -> Call[Any] | BackendError:
        """The call; or how the plugin refuses it at once."""
        try:
            return call_of(self.subject, self.ask)
        except BackendError as error:
            return error
        except PluginError as error:
            raise Finding(error.message, expected=BY_THE_RULES) from error

    def play(self, answer: Answer) -> Played:
        """Do the work; what it raises beside backend errors is a ``Finding``."""
        if isinstance(self.call, BackendError):
            return Played([Failed(self.call)])
        played = Played()
        try:
            _do(self.call.work, answer, played)
        except BackendError as error:
            played.outputs.append(Failed(error))
        except Finding:
            raise
        except Exception as error:
            raised = f"{type(error).__name__}: {error}"
            raise Finding(raised, expected=BY_THE_RULES) from error
        for stage in self.call.filters():
            played.outputs = [*stage.feed(played.outputs), *stage.finish()]
        return played


def last_exchange(question: Question, vector: Vector, work: Operation[Any]) -> Exchange[Any]:
    """The last request of an operation as an exchange of its own; those before it are as recorded.

    What its decoder reads is what the server says last.
    """
    method, path = asked_by(vector.recording)
    return Exchange(
        call=HttpCall(method=method, path=path),
        decoder=lambda head: _Last(question, vector, head),
        explain=work.explain,
    )


class _Last:
    """Collects an answer, and does the whole work with it at its end."""

    def __init__(self, question: Question, vector: Vector, head: Head) -> None:
        self._question, self._vector, self._head = question, vector, head
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> Sequence[Any]:
        """Nothing is said yet."""
        self._pieces.append(data)
        return ()

    def finish(self) -> Sequence[Any]:
        """All that the work gives."""
        said = Said(self._head, self._pieces)
        return self._question.play(recorded(self._vector, lambda _: said)).outputs


def _do(work: Work[Any], answer: Answer, played: Played) -> None:
    if isinstance(work, Operation):
        _operation(work, answer, played)
    elif isinstance(work, LocalExchange):
        work.run(played.emit)
    else:
        played.outputs += _exchange(work, answer, played)


def _said(call: HttpCall, answer: Answer, explain: Explain, played: Played) -> Said:
    played.calls.append(call)
    said = answer(call)
    if said.head.status >= 400:
        raise explain(said.reply)
    return said


def _exchange(work: Exchange[Any], answer: Answer, played: Played) -> list[Any]:
    said = _said(work.call, answer, work.explain, played)
    played.streamed.append(work.call)
    return outputs_of(work.decoder(said.head), [piece for piece in said.pieces if piece])


def _operation(work: Operation[Any], answer: Answer, played: Played) -> None:
    steps, outcome = work.steps(), None
    for _ in range(MOST_STEPS):
        try:
            resume: Any = steps.throw if isinstance(outcome, BackendError) else steps.send
            step = resume(outcome)
        except StopIteration:
            return
        try:
            outcome = _step(step, work.explain, answer, played)
        except BackendError as error:
            outcome = error
    raise Finding(f"no end after {MOST_STEPS} steps", expected="an operation that ends")


def _step(step: Any, explain: Explain, answer: Answer, played: Played) -> Any:
    if isinstance(step, HttpCall):
        return _said(step, answer, explain, played).reply
    if isinstance(step, Digest):
        return hashlib.sha256(Path(step.path).read_bytes()).hexdigest()
    if isinstance(step, (Out, Exchange)):
        items = step.items if isinstance(step, Out) else _exchange(step, answer, played)
        for item in _until_failed(items):
            played.outputs.append(item)
    return None


def _until_failed(items: Sequence[Any]) -> Iterator[Any]:
    for item in items:
        if isinstance(item, Failed):
            raise item.error
        yield item
