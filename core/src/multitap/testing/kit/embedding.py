"""The rules of embedding."""

from __future__ import annotations

import base64
import math
import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import attrs

from multitap.capabilities.embedding import EmbeddingRequest, Embeddings
from multitap.errors import BackendError, ProtocolError
from multitap.testing.finding import Finding
from multitap.testing.kit.facts import assert_says, facts_of_usage
from multitap.testing.kit.playing import in_pieces, recorded
from multitap.testing.kit.rule import rule
from multitap.testing.kit.sent import assert_option_is_heard, assert_sends
from multitap.testing.kit.spoilt import changed, places_of, value_at
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.vector import Ask, Vector
from multitap.testing.kit.wire import Kind, answer_rules, answered, question_of, replayed, shown
from multitap.testing.worlds import Blocking

__all__ = ("EmbeddingSuite",)

TEXTS = ("Zürich — 東京", 'say "hi"\n\tto C:\\temp', "third")


def facts_of_embeddings(items: Sequence[Any]) -> Mapping[str, Any]:
    """How many vectors, how wide, their numbers as float32, usage and model."""
    found: Embeddings = items[-1]
    return {
        "count": len(found.vectors),
        "width": found.vectors.width,
        "vectors": [list(row) for row in found.vectors],
        "usage": facts_of_usage(found.usage),
        "model": found.model,
    }


KIND = Kind(
    capability="embedding",
    results=(Embeddings,),
    facts=facts_of_embeddings,
    own=frozenset({"vectors"}),
)


@answer_rules(KIND)
class EmbeddingSuite(Suite):
    """What a plugin that embeds promises.

    Attributes:
        embedding_questions: What one that works in this process is asked.
    """

    capability: ClassVar[str] = "embedding"
    embedding_questions: ClassVar[Sequence[Ask]] = (
        Ask(verb="embed", args=("one text",)),
        Ask(verb="embed", args=(["a black cat", "the dog barks", "rain"],)),
    )

    def describe_embedding(self, model: Any) -> Any:
        """The work of a plain question."""
        return model.embed(EmbeddingRequest(model="model", texts=("hi",)))

    @rule(
        "embedding/order",
        "Vectors are those of the server, in the order of the texts.",
        mend="Sort the rows by the index that the server gives them, where it gives one.",
        vectors="answers",
    )
    def test_embedding_order(self, vector: Vector) -> None:
        rows = [list(row) for row in answered(self, vector)[-1].vectors]
        if "vectors" in vector.expect:
            expected = [list(array("f", row)) for row in vector.expect["vectors"]]
            assert_says({"vectors": rows}, {"vectors": expected}, vector)
        if self.subject().in_process and isinstance(vector.ask.args[0], list):
            ask = attrs.evolve(vector.ask, args=(vector.ask.args[0][::-1],))
            again = answered(self, attrs.evolve(vector, ask=ask))[-1].vectors
            places = [_nearest(row, list(again)[::-1]) for row in rows]
            if places != list(range(len(rows))):
                smallest = f"{vector}, and the texts backwards"
                raise Finding(places, expected="the same vectors, backwards", smallest=smallest)

    @rule(
        "embedding/finite",
        "Every number is a finite float32, or the answer is refused.",
        mend="Make them with Vectors.from_rows, or call checked() of what you make otherwise.",
        vectors="answers",
    )
    def test_embedding_finite(self, vector: Vector) -> None:
        assert_finite(answered(self, vector), vector)
        for body in _with_infinity(vector.recording.body):
            played = question_of(self, vector).play(recorded(vector, in_pieces([body])))
            if played.failure is None:
                assert_finite(played.outputs, f"{vector}, answered with {body[:200]!r}")

    @rule(
        "embedding/count",
        "Another number of vectors than of texts is a ProtocolError.",
        mend="Compare the number of rows with that of request.texts; never fill up nor cut.",
        vectors="answers",
        wire=True,
    )
    def test_embedding_count(self, vector: Vector) -> None:
        texts = _texts(vector)
        with self.answering(Blocking, vector) as (here, _):
            for wrong in ([*texts, "one more"], texts[:-1]):
                smallest = f"{vector}, asked about {len(wrong)} texts"
                try:
                    found = here.call("embed", wrong, **vector.ask.options) if wrong else None
                except ProtocolError:
                    continue
                except BackendError as error:
                    raise Finding(
                        shown(error), expected="ProtocolError", smallest=smallest
                    ) from error
                if found is not None and len(found.attempts) < 2:  # nothing was asked again
                    raise Finding(repr(found), expected="ProtocolError", smallest=smallest)

    @rule(
        "embedding/texts",
        "The texts are sent as they are, one alone as well.",
        mend="Put request.texts into the body as it is: no strip, no lower, no cut.",
        vectors="answers",
        wire=True,
    )
    def test_embedding_texts(self, vector: Vector) -> None:
        for texts in (TEXTS, TEXTS[:1], _texts(vector)):
            ask = attrs.evolve(vector.ask, args=(list(texts),))
            played = replayed(self, attrs.evolve(vector, ask=ask))
            assert_sends(self, played, texts, f"embed({list(texts)!r})")

    @rule(
        "embedding/options",
        "dimensions and input_type are sent, refused, or warned of.",
        mend="Send it, raise NotSupported, or let `options` name what you send: the rest is told.",
        vectors="answers",
        wire=True,
    )
    def test_embedding_options(self, vector: Vector) -> None:
        assert_option_is_heard(self, vector, "dimensions", 7)
        assert_option_is_heard(self, vector, "input_type", "query")


def assert_finite(items: Sequence[Any], smallest: object) -> None:
    """A ``Finding`` names the first number that is none."""
    for row, numbers in enumerate(items[-1].vectors):
        wrong = [number for number in numbers if not math.isfinite(number)]
        if wrong:
            raise Finding(f"{wrong[0]} in vector {row}", expected="finite", smallest=smallest)


def _nearest(row: Sequence[float], rows: Sequence[Sequence[float]]) -> int:
    """Which row it is; engines differ in the last digits from batch to batch."""
    distances = [math.dist(row, other) for other in rows]
    return distances.index(min(distances))


def _texts(vector: Vector) -> list[str]:
    asked = vector.ask.args[0]
    return [asked] if isinstance(asked, str) else list(asked)


def _with_infinity(body: bytes) -> Iterator[bytes]:
    """The answer with numbers in it that are none: too large ones, or NaN in base64."""
    for place in places_of(body):
        value = value_at(body, place)
        if isinstance(value, list) and value and all(isinstance(n, float) for n in value):
            yield changed(body, place, [1e39, *value[1:]])
        elif isinstance(value, str) and (spoilt := _base64_with_nan(value)):
            yield changed(body, place, spoilt)


def _base64_with_nan(value: str) -> str:
    try:
        data = base64.b64decode(value, validate=True)
    except ValueError:
        return ""
    if len(data) < 8 or len(data) % 4:
        return ""
    return base64.b64encode(struct.pack("<f", math.nan) + data[4:]).decode("ascii")
