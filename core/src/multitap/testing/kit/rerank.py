"""The rules of rerank."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import attrs

from multitap.capabilities.rerank import Ranking, RerankRequest
from multitap.errors import BackendError, ProtocolError
from multitap.testing.finding import Finding
from multitap.testing.kit.facts import assert_says, facts_of_usage
from multitap.testing.kit.playing import in_pieces, recorded
from multitap.testing.kit.rule import rule
from multitap.testing.kit.sent import assert_sends
from multitap.testing.kit.spoilt import changed, places_of, value_at
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.vector import Ask, Vector
from multitap.testing.kit.wire import Kind, answer_rules, answered, question_of, replayed, shown
from multitap.testing.worlds import Blocking

__all__ = ("RerankSuite",)

QUERY = 'Wo liegt "Zürich"?'
DOCUMENTS = ("  東京 — in Japan\n", "Zürich\tLIMMAT", "C:\\temp")


def facts_of_ranking(items: Sequence[Any]) -> Mapping[str, Any]:
    """Which documents, their scores by document, usage and model."""
    found: Ranking = items[-1]
    return {
        "documents": sorted(ranked.index for ranked in found.results),
        "scores": [[r.index, r.score] for r in sorted(found.results, key=lambda r: r.index)],
        "usage": facts_of_usage(found.usage),
        "model": found.model,
    }


KIND = Kind(
    capability="rerank",
    results=(Ranking,),
    facts=facts_of_ranking,
    own=frozenset({"scores"}),
)


@answer_rules(KIND)
class RerankSuite(Suite):
    """What a plugin that ranks promises.

    Attributes:
        rerank_questions: What one that works in this process is asked.
    """

    capability: ClassVar[str] = "rerank"
    rerank_questions: ClassVar[Sequence[Ask]] = (
        Ask(verb="rerank", args=("a red fox", ["nothing", "the red fox", "a fox"])),
    )

    def describe_rerank(self, model: Any) -> Any:
        """The work of a plain question."""
        return model.rerank(RerankRequest(model="model", query="hi", documents=("hello",)))

    @rule(
        "rerank/indices",
        "Every document comes once, and none that was not sent.",
        mend="Raise a ProtocolError for an index out of range, and for one that comes twice.",
        vectors="answers",
    )
    def test_rerank_indices(self, vector: Vector) -> None:
        query, documents = vector.ask.args
        assert_ranks(answered(self, vector)[-1], len(documents), vector)
        for body in _with_an_index_twice(vector.recording.body):
            played = question_of(self, vector).play(recorded(vector, in_pieces([body])))
            if played.failure is None:
                smallest = f"{vector}, answered with {body[:300]!r}"
                assert_ranks(played.outputs[-1], len(documents), smallest)
        if vector.recording.body and len(documents) > 1:
            ask = attrs.evolve(vector.ask, args=(query, list(documents[:-1])))
            _is_refused(self, attrs.evolve(vector, ask=ask))

    @rule(
        "rerank/scores",
        "Scores are the server's: finite numbers, of which more is better.",
        mend="Give the score as it came; turn round what is a distance; refuse what is no number.",
        vectors="answers",
    )
    def test_rerank_scores(self, vector: Vector) -> None:
        items = answered(self, vector)
        assert_numbers(items[-1], vector)
        if "scores" in vector.expect:
            expected = {"scores": vector.expect["scores"]}
            assert_says(facts_of_ranking(items), expected, vector)
        for place in places_of(vector.recording.body):
            if isinstance(value_at(vector.recording.body, place), float):
                body = _infinite(vector.recording.body, place)
                smallest = f"{vector}, answered with {body[:300]!r}"
                self._is_finite(vector, body, smallest)

    @rule(
        "rerank/top_n",
        "The best come first, and of them as many as were asked for.",
        mend="Leave sorting and cutting to the runtime, or cut only what is sorted.",
        vectors="answers",
    )
    def test_rerank_top_n(self, vector: Vector) -> None:
        with self.answering(Blocking, vector) as (here, _):
            whole = here.call("rerank", *vector.ask.args, **vector.ask.options).results
            best = here.call("rerank", *vector.ask.args, **{**vector.ask.options, "top_n": 1})
        scores = [ranked.score for ranked in whole]
        if scores != sorted(scores, reverse=True):
            raise Finding(scores, expected="the highest first", smallest=vector)
        if best.results != whole[:1]:
            smallest = f"{vector}, top_n=1"
            raise Finding(best.results, expected=whole[:1], smallest=smallest)

    @rule(
        "rerank/threshold",
        "With a threshold, just the documents of this score and better are left.",
        mend="Leave it to the runtime: give all scores.",
        vectors="answers",
    )
    def test_rerank_threshold(self, vector: Vector) -> None:
        with self.answering(Blocking, vector) as (here, _):
            whole = here.call("rerank", *vector.ask.args, **vector.ask.options).results
            least = whole[len(whole) // 2].score if whole else 0.0
            options = {**vector.ask.options, "threshold": least}
            came = here.call("rerank", *vector.ask.args, **options).results
        expected = tuple(ranked for ranked in whole if ranked.score >= least)
        if came != expected:
            raise Finding(came, expected=expected, smallest=f"{vector}, threshold={least}")

    @rule(
        "rerank/texts",
        "Query and documents are sent as they are.",
        mend="Put them into the body as they are: no strip, no lower, no cut.",
        vectors="answers",
        wire=True,
    )
    def test_rerank_texts(self, vector: Vector) -> None:
        ask = attrs.evolve(vector.ask, args=(QUERY, list(DOCUMENTS)))
        played = replayed(self, attrs.evolve(vector, ask=ask))
        assert_sends(self, played, (QUERY, *DOCUMENTS), f"rerank({QUERY!r}, {list(DOCUMENTS)!r})")

    def _is_finite(self, vector: Vector, body: bytes, smallest: str) -> None:
        with self.answering(Blocking, vector.answered_with(body)) as (here, _):
            try:
                found = here.call("rerank", *vector.ask.args, **vector.ask.options)
            except ProtocolError:
                return
            except BackendError as error:
                raise Finding(shown(error), expected="ProtocolError", smallest=smallest) from error
        assert_numbers(found, smallest)


def _is_refused(suite: Suite, vector: Vector) -> None:
    smallest = f"{vector}, asked about {len(vector.ask.args[1])} documents"
    with suite.answering(Blocking, vector) as (here, _):
        try:
            found = here.call("rerank", *vector.ask.args, **vector.ask.options)
        except ProtocolError:
            return
        except BackendError as error:
            raise Finding(shown(error), expected="ProtocolError", smallest=smallest) from error
    raise Finding(found.results, expected="ProtocolError", smallest=smallest)


def assert_ranks(found: Ranking, documents: int, smallest: object) -> None:
    """A ``Finding`` where an index comes twice, or is that of no document."""
    places = [ranked.index for ranked in found.results]
    if len(set(places)) != len(places) or not set(places) <= set(range(documents)):
        expected = f"indices from 0 to {documents - 1}, each once"
        raise Finding(places, expected=expected, smallest=smallest)


def assert_numbers(found: Ranking, smallest: object) -> None:
    """A ``Finding`` names the score that is no finite number."""
    for ranked in found.results:
        score: object = ranked.score
        if not isinstance(score, (int, float)) or not math.isfinite(score):
            raise Finding(score, expected="a finite number", smallest=smallest)


def _with_an_index_twice(body: bytes) -> Iterator[bytes]:
    """The answer with the index of its first row in the second as well."""
    if not body:
        return
    for place in places_of(body):
        rows = value_at(body, place)
        if isinstance(rows, list) and len(rows) > 1 and all(isinstance(r, dict) for r in rows):
            for name, value in rows[0].items():
                if type(value) is int and {r.get(name) for r in rows} == set(range(len(rows))):
                    yield changed(body, place, [rows[0], {**rows[1], name: value}, *rows[2:]])


def _infinite(body: bytes, place: Any) -> bytes:
    marked = changed(body, place, "\x00infinite")
    return marked.replace(json.dumps("\x00infinite").encode(), b"1e999")
