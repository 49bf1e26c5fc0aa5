"""The rules of moderation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs

from multitap.capabilities.moderation import Judgement, ModerationRequest
from multitap.errors import BackendError, ProtocolError
from multitap.testing.finding import Finding
from multitap.testing.kit.facts import assert_says
from multitap.testing.kit.rule import rule
from multitap.testing.kit.sent import assert_sends
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.vector import Ask, Vector
from multitap.testing.kit.wire import Kind, answer_rules, answered, replayed, shown
from multitap.testing.worlds import Blocking

__all__ = ("ModerationSuite",)

TEXTS = ("  Grüezi — 東京\n", 'SAY "hi"\tto C:\\temp')


def facts_of_judgements(items: Sequence[Any]) -> Mapping[str, Any]:
    """How many there are, which are flagged, and all that they are flagged for, sorted."""
    reasons = [sorted(n for n, bad in item.categories.items() if bad) for item in items]
    return {
        "count": len(items),
        "flagged": [item.flagged for item in items],
        "categories": sorted(reasons),
    }


KIND = Kind(
    capability="moderation",
    results=(Judgement,),
    facts=facts_of_judgements,
    own=frozenset({"flagged"}),
)


@answer_rules(KIND)
class ModerationSuite(Suite):
    """What a plugin that judges texts promises.

    Attributes:
        moderation_questions: What one that works in this process is asked.
    """

    capability: ClassVar[str] = "moderation"
    moderation_questions: ClassVar[Sequence[Ask]] = (
        Ask(verb="moderate", args=("a friendly text",)),
        Ask(verb="moderate", args=(["a friendly text", "I will kill you", "rain"],)),
    )

    def describe_moderation(self, model: Any) -> Any:
        """The work of a plain question."""
        return model.moderate(ModerationRequest(model="model", texts=("hi",)))

    @rule(
        "moderation/order",
        "There is one judgement for each text, in their order.",
        mend="Sort them by the index that the server gives them, where it gives one.",
        vectors="answers",
    )
    def test_moderation_order(self, vector: Vector) -> None:
        items = answered(self, vector)
        asked = vector.ask.args[0]
        wanted = 1 if isinstance(asked, str) else len(asked)
        if len(items) != wanted:
            raise Finding(len(items), expected=f"{wanted} judgements", smallest=vector)
        if "flagged" in vector.expect:
            expected = {"flagged": vector.expect["flagged"]}
            assert_says(facts_of_judgements(items), expected, vector)
        if self.subject().in_process and wanted > 1:
            ask = attrs.evolve(vector.ask, args=(asked[::-1],))
            again = answered(self, attrs.evolve(vector, ask=ask))
            if again[::-1] != items:
                raise Finding(again[::-1], expected=items, smallest=f"{vector}, backwards")

    @rule(
        "moderation/count",
        "Another number of judgements than of texts is a ProtocolError.",
        mend="Compare their number with that of request.texts; never fill up nor cut.",
        vectors="answers",
        wire=True,
    )
    def test_moderation_count(self, vector: Vector) -> None:
        asked = vector.ask.args[0]
        texts = [*([asked] if isinstance(asked, str) else asked), "one more"]
        smallest = f"{vector}, asked about {len(texts)} texts"
        with self.answering(Blocking, vector) as (here, _):
            try:
                found = here.call("moderate", texts)
            except ProtocolError:
                return
            except BackendError as error:
                raise Finding(shown(error), expected="ProtocolError", smallest=smallest) from error
        raise Finding(found, expected="ProtocolError", smallest=smallest)

    @rule(
        "moderation/scores",
        "Scores are from 0 to 1.",
        mend="Divide what is a percentage; leave out what is no probability.",
        vectors="answers",
    )
    def test_moderation_scores(self, vector: Vector) -> None:
        for item in answered(self, vector):
            for name, score in item.scores.items():
                if not 0 <= score <= 1:
                    came = f"{name}: {score}"
                    raise Finding(came, expected="from 0 to 1", smallest=vector)

    @rule(
        "moderation/texts",
        "The texts are sent as they are.",
        mend="Put request.texts into the body as it is: no strip, no lower, no cut.",
        vectors="answers",
        wire=True,
    )
    def test_moderation_texts(self, vector: Vector) -> None:
        ask = attrs.evolve(vector.ask, args=(list(TEXTS),))
        played = replayed(self, attrs.evolve(vector, ask=ask))
        assert_sends(self, played, TEXTS, f"moderate({list(TEXTS)!r})")
