"""The rules of tokenize."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs

from multitap.capabilities.tokenize import TokenizeRequest, Tokens, TokenText
from multitap.errors import NotSupported
from multitap.testing.finding import Finding
from multitap.testing.kit.facts import assert_says
from multitap.testing.kit.playing import Played, in_pieces, recorded
from multitap.testing.kit.rule import rule
from multitap.testing.kit.sent import assert_sends
from multitap.testing.kit.spoilt import changed, places_of, value_at
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.vector import Ask, Vector
from multitap.testing.kit.wire import Kind, answer_rules, answered, question_of, replayed, shown

__all__ = ("TokenizeSuite",)

TEXT = '  Zürich — 東京,\n"say" \t C:\\temp '
IDS = (1, 22, 333)


def facts_of_tokens(items: Sequence[Any]) -> Mapping[str, Any]:
    """The ids of a text, or the text of ids."""
    found: Tokens | TokenText = items[-1]
    return {"text": found.text} if isinstance(found, TokenText) else {"ids": list(found.ids)}


KIND = Kind(
    capability="tokenize",
    results=(Tokens, TokenText),
    facts=facts_of_tokens,
    own=frozenset({"text"}),
)


@answer_rules(KIND)
class TokenizeSuite(Suite):
    """What a plugin that splits texts into tokens promises.

    Attributes:
        tokenize_questions: What one that works in this process is asked.
    """

    capability: ClassVar[str] = "tokenize"
    tokenize_questions: ClassVar[Sequence[Ask]] = (
        Ask(verb="tokenize", args=("Once upon a time",)),
        Ask(verb="tokenize", args=("Zürich, 東京",)),
    )

    def describe_tokenize(self, model: Any) -> Any:
        """The work of a plain question."""
        return model.tokenize(TokenizeRequest(model="model", text="hi"))

    @rule(
        "tokenize/ids",
        "Ids are whole numbers, and nothing else is taken for one.",
        mend="Declare list[int] in the decoder's struct.",
        vectors="answers",
    )
    def test_tokenize_ids(self, vector: Vector) -> None:
        assert_ids(answered(self, vector), vector)
        body = vector.recording.body
        for place in places_of(body) if body else ():
            if type(value_at(body, place)) is int:
                spoilt = changed(body, place, 1.5)
                played = question_of(self, vector).play(recorded(vector, in_pieces([spoilt])))
                if played.failure is None:
                    assert_ids(played.outputs, f"{vector}, answered with {spoilt[:200]!r}")

    @rule(
        "tokenize/pieces",
        "Where the bytes of tokens are given, there are as many, and together they are the text.",
        mend="Leave pieces None where the server gives the spelling of its vocabulary (Ġupon).",
        vectors="answers",
    )
    def test_tokenize_pieces(self, vector: Vector) -> None:
        found = answered(self, vector)[-1]
        if not isinstance(found, Tokens) or found.pieces is None:
            return
        joined, text = b"".join(found.pieces), vector.ask.args[0].encode()
        if len(found.pieces) != len(found.ids):
            expected = f"{len(found.ids)} pieces, one for each id"
            raise Finding(found.pieces, expected=expected, smallest=vector)
        if text not in joined:
            raise Finding(joined, expected=text, smallest=vector)

    @rule(
        "tokenize/back",
        "The ids of a text are its text again.",
        mend="Send the ids as they are, and give the text as it comes back.",
        vectors="answers",
    )
    def test_tokenize_back(self, vector: Vector) -> None:
        found = answered(self, vector)[-1]
        if isinstance(found, TokenText):
            said = vector.expect.get("text", found.text)
            assert_says({"text": found.text}, {"text": said}, vector)
            return
        played = self._joined(vector, list(found.ids))
        if played is None or isinstance(played.failure, NotSupported):
            return
        if played.failure is not None or played.outputs[-1].text != vector.ask.args[0]:
            came = shown(played.failure) if played.failure else repr(played.outputs[-1].text)
            smallest = f"detokenize({list(found.ids)})"
            raise Finding(came, expected=repr(vector.ask.args[0]), smallest=smallest)

    @rule(
        "tokenize/special",
        "special=True makes a difference, in the request or in what is read, or is warned of.",
        mend="Send the server's option for it; where there is none, have `options` without it.",
        wire=True,
    )
    def test_tokenize_special(self) -> None:
        splits = [v for v in self.known_vectors() if v.ask.verb == "tokenize"]
        known = [vector for vector in splits if vector.kind == "answers"]
        if known and not any(self._is_heard(vector) for vector in known):
            raise Finding(
                "requests and results are the same",
                expected="a difference with one of the vectors at least, or a warning",
                smallest=f"{known[0]} with special=True",
            )

    def _is_heard(self, vector: Vector) -> bool:
        """Does it change the request, or what is read? Not every text has such tokens around it."""
        question = question_of(self, vector, special=True)
        if not isinstance(question.call, Exception) and question.call.notices:
            return True
        with_it = replayed(self, vector, special=True)
        without = replayed(self, vector, special=False)
        return (with_it.calls, with_it.outputs) != (without.calls, without.outputs)

    @rule(
        "tokenize/texts",
        "Texts and ids are sent as they are.",
        mend="Put them into the body as they are: no strip, no lower.",
        vectors="answers",
        wire=True,
    )
    def test_tokenize_texts(self, vector: Vector) -> None:
        texts = vector.ask.verb == "tokenize"
        ask = attrs.evolve(vector.ask, args=(TEXT if texts else list(IDS),))
        played = replayed(self, attrs.evolve(vector, ask=ask))
        wanted = (TEXT,) if texts else map(str, IDS)
        assert_sends(self, played, wanted, f"{ask.verb}({ask.args[0]!r})")

    def _joined(self, vector: Vector, ids: list[int]) -> Played | None:
        """What becomes of ids; ``None``: that was not recorded."""
        if self.subject().in_process:
            of = {name: asked for name, asked in vector.ask.options.items() if name == "model"}
            ask = Ask("detokenize", (ids,), of)
            return replayed(self, attrs.evolve(vector, ask=ask))
        for known in self.known_vectors():
            if known.ask.verb == "detokenize" and list(known.ask.args[0]) == ids:
                return replayed(self, known)
        return None


def assert_ids(items: Sequence[Any], smallest: object) -> None:
    """A ``Finding`` names the id that is no whole number."""
    found = items[-1]
    wrong = [i for i in found.ids if type(i) is not int] if isinstance(found, Tokens) else ()
    if wrong:
        raise Finding(wrong[0], expected="whole numbers", smallest=smallest)
