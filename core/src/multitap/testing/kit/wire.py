"""Rules that are the same of every capability, told apart by what an answer is made of.

``answer_rules`` adds them to a suite, under the capability's own name: ``embedding/cuts``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from multitap.errors import BackendError
from multitap.events import Failed
from multitap.testing.cuts import cuts_of, pieces_of
from multitap.testing.finding import Finding
from multitap.testing.kit.calls import ask_runtime, items_of
from multitap.testing.kit.chat.refusing import BODIES, MEANING
from multitap.testing.kit.facts import assert_says, facts_of_error
from multitap.testing.kit.garbage import garbage_of, survive
from multitap.testing.kit.playing import Answer, Played, Question, Said, in_pieces, recorded
from multitap.testing.kit.replay import asked_by
from multitap.testing.kit.rule import rule
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.vector import Vector

__all__ = ("Kind", "answer_rules", "answered", "question_of", "replayed")

S = TypeVar("S", bound=type[Suite])


@attrs.frozen(kw_only=True)
class Kind:
    """What the answers of a capability are made of.

    Attributes:
        results: The classes of its results.
        facts: What results say, as a vector can expect it.
        own: Facts that have rules of their own.
        framed: The bytes of an answer show where it ends; those of a bare sound do not.
    """

    capability: str
    results: tuple[type, ...]
    facts: Callable[[Sequence[Any]], Mapping[str, Any]]
    own: frozenset[str] = frozenset()
    framed: bool = True


# ---- how a vector is asked -----------------------------------------------------------------------


def question_of(suite: Suite, vector: Vector, **options: Any) -> Question:
    """The vector's question, with these options besides."""
    ask = attrs.evolve(vector.ask, options={**vector.ask.options, **options})
    return Question(suite.subject(), ask)


def replayed(suite: Suite, vector: Vector, **options: Any) -> Played:
    """What comes of the vector's question, with these options besides."""
    return question_of(suite, vector, **options).play(recorded(vector))


def answered(suite: Suite, vector: Vector, **options: Any) -> list[Any]:
    """The results; a failure is a ``Finding``."""
    played = replayed(suite, vector, **options)
    if played.failure is not None:
        raise Finding(shown(played.failure), expected="an answer", smallest=vector)
    return played.outputs


def shown(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}"


# ---- the rules -----------------------------------------------------------------------------------


def _says(suite: Suite, kind: Kind, vector: Vector) -> None:
    expected = {name: fact for name, fact in vector.expect.items() if name not in kind.own}
    assert_says(kind.facts(answered(suite, vector)), expected, vector)


def _cuts(suite: Suite, kind: Kind, vector: Vector) -> None:
    question, body = question_of(suite, vector), vector.recording.body
    played = question.play(recorded(vector))
    whole = _facts(kind, played)
    streamed = asked_by(vector.recording) in {(c.method, c.path) for c in played.streamed}
    for words, pieces in _ways(body) if streamed else ():  # what is fetched comes as a whole
        if (came := _facts(kind, question.play(recorded(vector, in_pieces(pieces))))) != whole:
            raise Finding(came, expected=whole, smallest=f"{vector}, cut {words}")


def _ways(body: bytes) -> Iterator[tuple[str, Sequence[bytes]]]:
    for cuts in cuts_of(len(body)):
        at = cuts[0]
        around = f"{body[max(0, at - 20) : at]!r} and {body[at : at + 20]!r}"
        yield (f"between {around}" if len(cuts) == 1 else f"at {cuts}"), pieces_of(body, cuts)
    yield "byte by byte", pieces_of(body, range(1, len(body)))


def _beginnings(suite: Suite, kind: Kind, vector: Vector) -> None:
    question, body = question_of(suite, vector), vector.recording.body
    whole = _said(kind, question.play(recorded(vector)))
    for at in sorted({0, *(cuts[0] for cuts in cuts_of(len(body)))} if body else ()):
        cut = question.play(recorded(vector, in_pieces([body[:at]])))
        if cut.failure is None and (came := _said(kind, cut)) != whole:
            raise Finding(
                came,
                expected="a failure, or all that the whole says",
                smallest=f"{vector}, its first {at} bytes: …{body[max(0, at - 40) : at]!r}",
            )


def _said(kind: Kind, played: Played) -> dict[str, Any]:
    """What was said; what it took may be told behind the server's sign of the end."""
    facts = _facts(kind, played)
    return {name: fact for name, fact in facts.items() if name != "usage"}


def _garbage(suite: Suite, kind: Kind, vector: Vector) -> None:
    alike = [v for v in suite.known_vectors() if v.ask.verb == vector.ask.verb]
    bodies = [v.recording.body for v in alike if v.kind in _ANSWERS.split()]
    cases = garbage_of(vector.recording.body, bodies[: bodies.index(vector.recording.body)])
    question = question_of(suite, vector)
    survive(lambda: _Replayed(question, vector), cases, lambda outputs: _untyped(kind, outputs))


class _Replayed:
    """A work as a stage: what is fed is its vector's answer."""

    def __init__(self, question: Question, vector: Vector) -> None:
        self._question, self._vector = question, vector
        self._pieces: list[bytes] = []

    def feed(self, data: bytes, /) -> Sequence[Any]:
        """Keep it: an operation wants the whole."""
        self._pieces.append(data)
        return ()

    def finish(self) -> Sequence[Any]:
        """What comes of it."""
        return self._question.play(recorded(self._vector, in_pieces(self._pieces))).outputs


def _untyped(kind: Kind, outputs: Sequence[Any]) -> str:
    """What is wrong with the outputs of garbage; empty: nothing."""
    for place, item in enumerate(outputs):
        failed = isinstance(item, Failed) and place == len(outputs) - 1
        if not isinstance(item, kind.results) and not failed:
            return f"{item!r}, among {len(outputs)} outputs"
    return ""


def _errors(suite: Suite, kind: Kind, vector: Vector) -> None:
    _failed_as_expected(replayed(suite, vector).failure, vector)


def _failed_as_expected(error: BackendError | None, vector: Vector) -> None:
    if error is None:
        raise Finding("an answer", expected=dict(vector.expect), smallest=vector)
    assert_says(facts_of_error(error), vector.expect, vector)


def _refusals(suite: Suite, kind: Kind, vector: Vector) -> None:
    question = question_of(suite, vector)
    for status in (401, 429, 500, 503):
        for words, body in BODIES.items():
            error = question.play(_always(Said.of(status, body))).failure
            names = [cls.__name__ for cls in type(error).__mro__]
            if not set(MEANING[status]) & set(names):
                came = "an answer" if error is None else shown(error)
                smallest = f"{vector}, refused with {status} and {words}: {body[:80]!r}"
                raise Finding(came, expected=" or ".join(MEANING[status]), smallest=smallest)


def _always(said: Said) -> Answer:
    return lambda call: said


def _runtime(suite: Suite, kind: Kind, world: Any, vector: Vector) -> None:
    played = Played() if suite.live else replayed(suite, vector)
    expected: dict[str, Any] = {"failed": played.failure and type(played.failure).__name__}
    came: dict[str, Any] = {"failed": None}
    with suite.answering(world, vector) as (here, _):
        try:
            items = items_of(ask_runtime(here, suite.provider, vector.ask))
        except BackendError as error:
            came["failed"], items = type(error).__name__, ()
    if items and not suite.live and played.failure is None:
        known = kind.facts(played.outputs)
        expected.update({name: known[name] for name in vector.expect or known})
        came.update(kind.facts(items))
    assert_says(came, expected, vector)


def _facts(kind: Kind, played: Played) -> dict[str, Any]:
    error = played.failure
    results = [item for item in played.outputs if not isinstance(item, Failed)]
    facts = dict(kind.facts(results)) if results else {}
    return {**facts, **({} if error is None else {"failed": error.to_dict()})}


# ---- under the capability's name -----------------------------------------------------------------

_ANSWERS = "answers streams"
_RULES: Mapping[str, tuple[Any, str, str, str]] = {
    "answer": (
        _says,
        _ANSWERS,
        "An answer says what the server said.",
        "Read each fact from the field that has it; what the server does not say is None.",
    ),
    "cuts": (
        _cuts,
        "all",
        "However its bytes are cut, it is the same.",
        "Read with a decoder of multitap.framing; a stage of your own keeps what is not whole.",
    ),
    "beginnings": (
        _beginnings,
        _ANSWERS,
        "The beginning of an answer is never taken for a whole.",
        "Fail in finish() where the server's own sign of the end did not come.",
    ),
    "garbage": (
        _garbage,
        _ANSWERS,
        "Nonsense is a typed failure, and nothing is raised.",
        "Let a msgspec.Struct say the types; raise a ProtocolError for what is missing.",
    ),
    "errors": (
        _errors,
        "refusals overflows",
        "What the server said went wrong is the error that was expected.",
        "Tell it in explain by status and text, or in the decoder where the status is 200.",
    ),
    "refusals": (
        _refusals,
        _ANSWERS,
        "A refusal without a word is the error of its status.",
        "Let explain fall back on class_for_status of multitap.dialects.replies.",
    ),
}
_WORLDS = (
    "Runtime and AsyncRuntime give what the plugin gives.",
    "Do nothing in the hook and in its methods but to describe the work: no I/O, no event loop.",
)


def answer_rules(kind: Kind) -> Callable[[S], S]:
    """Add these rules to a suite."""

    def added(suite: S) -> S:
        for name, (check, vectors, says, mend) in _RULES.items():
            if name == "beginnings" and not kind.framed:
                continue
            known = rule(f"{kind.capability}/{name}", says, mend=mend, vectors=vectors, wire=True)
            setattr(suite, f"test_{kind.capability}_{name}", known(_with_a_vector(check, kind)))
        says, mend = _WORLDS
        known = rule(f"{kind.capability}/runtime", says, mend=mend, vectors="all", live=True)
        setattr(suite, f"test_{kind.capability}_runtime", known(_in_both_worlds(kind)))
        return suite

    return added


def _with_a_vector(check: Any, kind: Kind) -> Any:
    def test(self: Suite, vector: Vector) -> None:
        check(self, kind, vector)

    return test


def _in_both_worlds(kind: Kind) -> Any:
    def test(self: Suite, world: Any, vector: Vector) -> None:
        _runtime(self, kind, world, vector)

    return test
