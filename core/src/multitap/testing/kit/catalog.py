"""The rules of a catalog."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from multitap.capabilities.catalog import Model
from multitap.errors import ModelNotFound
from multitap.testing.finding import Finding
from multitap.testing.kit.facts import assert_says
from multitap.testing.kit.playing import Question, in_pieces, recorded
from multitap.testing.kit.rule import rule
from multitap.testing.kit.spoilt import changed, places_of, value_at
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.unknown import UNKNOWN, unknown
from multitap.testing.kit.vector import Ask, Vector
from multitap.testing.kit.wire import Kind, answer_rules, answered, question_of, shown

__all__ = ("CatalogSuite",)

COUNTS = ("context_length", "max_output_tokens", "size")


def facts_of_models(items: Sequence[Any]) -> Mapping[str, Any]:
    """Their ids in order, and the JSON form of each by its id."""
    models = {model.id: _facts(model) for model in items}
    return {"ids": [model.id for model in items], "models": models}


def _facts(model: Model) -> dict[str, Any]:
    facts = model.to_dict()
    return {name: facts[name] for name in facts if name not in ("ref", "backend")}


KIND = Kind(
    capability="catalog",
    results=(Model,),
    facts=facts_of_models,
    own=frozenset({"models"}),
)


@answer_rules(KIND)
class CatalogSuite(Suite):
    """What a plugin that lists models promises.

    Attributes:
        catalog_questions: What one that works in this process is asked.
    """

    capability: ClassVar[str] = "catalog"
    catalog_questions: ClassVar[Sequence[Ask]] = (Ask(verb="models", args=()),)

    def describe_catalog(self, catalog: Any) -> Any:
        """The work of a plain question."""
        return catalog.models()

    @rule(
        "catalog/ids",
        "Every model has an id, and no two have the same.",
        mend="Leave out a row without a name; of rows of one name give one.",
        vectors="answers",
    )
    def test_catalog_ids(self, vector: Vector) -> None:
        assert_named(answered(self, vector), vector)
        body = vector.recording.body
        for place in places_of(body) if body else ():
            if isinstance(value_at(body, place), str):
                said = changed(body, place, "")
                played = question_of(self, vector).play(recorded(vector, in_pieces([said])))
                if played.failure is None:
                    assert_named(played.outputs, f"{vector}, answered with {said[:300]!r}")

    @rule(
        "catalog/json",
        "A model is the same again when it is read from its JSON form.",
        mend="Let `meta` be texts by name, and `modified_at` have its time zone.",
        vectors="answers",
    )
    def test_catalog_json(self, vector: Vector) -> None:
        for model in answered(self, vector):
            again = Model.from_dict(json.loads(json.dumps(model.to_dict())))
            if again != model:
                raise Finding(again, expected=model, smallest=vector)

    @rule(
        "catalog/unknown",
        "A model is what the server says of it, and what is not known is None.",
        mend="Pass on None where the server says nothing, and where it says 0 or an empty text.",
        vectors="answers",
    )
    def test_catalog_unknown(self, vector: Vector) -> None:
        models = answered(self, vector)
        said = vector.expect.get("models", {})
        assert_says({model.id: _facts(model) for model in models}, said, vector)
        for model in models:
            facts = {name: getattr(model, name) for name in COUNTS}
            texts = {"digest": model.digest, "problem": model.problem, **model.meta}
            wrong = [name for name, count in facts.items() if count is not None and count <= 0]
            wrong += [name for name, text in texts.items() if text == ""]
            if wrong:
                came = f"{wrong[0]} is {({**facts, **texts})[wrong[0]]!r}"
                raise Finding(came, expected="None", smallest=f"{vector}, model {model.id}")

    @rule(
        "catalog/describe",
        "A model described alone is as the list says.",
        mend="Make both of one function; what only one of the two knows may be None in the other.",
        vectors="answers",
    )
    def test_catalog_describe(self, vector: Vector) -> None:
        for listed in answered(self, vector)[:3] if vector.ask.verb == "models" else ():
            question = Question(self.subject(), Ask(verb="describe", args=(listed.id,)))
            played = question.play(recorded(vector))
            smallest = f"describe({listed.id!r}) after {vector}"
            if played.failure or len(played.outputs) != 1:
                came = shown(played.failure) if played.failure else played.outputs
                raise Finding(came, expected="one model", smallest=smallest)
            assert_agrees(_facts(played.outputs[0]), _facts(listed), smallest)

    @rule(
        "catalog/missing",
        "A model that is not there is ModelNotFound.",
        mend="Raise ModelNotFound in `describe`, also where a server has another status for it.",
        vectors="answers",
    )
    def test_catalog_missing(self, vector: Vector) -> None:
        question = Question(self.subject(), Ask(verb="describe", args=(UNKNOWN,)))
        played = question.play(unknown(recorded(vector)))
        listed = not hasattr(self.subject().built("catalog"), "describe")
        if isinstance(played.failure, ModelNotFound) or (listed and not played.outputs):
            return
        came = shown(played.failure) if played.failure else played.outputs
        smallest = f"describe({UNKNOWN!r}), beside {vector}"
        raise Finding(came, expected="ModelNotFound", smallest=smallest)

    @rule(
        "catalog/empty",
        "A server without models has an empty list, which is no error.",
        mend="Give no result and end well.",
        vectors="answers",
        wire=True,
    )
    def test_catalog_empty(self, vector: Vector) -> None:
        body = vector.recording.body
        rows = [place for place in places_of(body) if _is_rows(value_at(body, place))]
        if vector.ask.verb != "models" or not rows:
            return
        said = body
        for place in reversed(rows):  # a server may list the same in the words of two dialects
            said = changed(said, place, [])
        played = question_of(self, vector).play(recorded(vector, in_pieces([said])))
        if played.outputs:
            came = shown(played.failure) if played.failure else played.outputs
            smallest = f"{vector}, answered with {said[:300]!r}"
            raise Finding(came, expected="no models, and no error", smallest=smallest)

    @rule(
        "catalog/backend",
        "The plugin leaves `backend` empty: the runtime fills it in.",
        mend="Do not set it; one plugin serves several backends.",
        vectors="answers",
    )
    def test_catalog_backend(self, vector: Vector) -> None:
        for model in answered(self, vector):
            if model.backend:
                raise Finding(model.backend, expected="''", smallest=f"{vector}, {model.id}")


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def assert_named(models: Sequence[Model], smallest: object) -> None:
    """A ``Finding`` where an id is empty, or comes twice."""
    ids = [model.id for model in models]
    if not all(ids) or len(set(ids)) != len(ids):
        raise Finding(ids, expected="ids, each once", smallest=smallest)


def assert_agrees(one: Mapping[str, Any], listed: Mapping[str, Any], smallest: object) -> None:
    """A ``Finding`` names the fact about which both know something, and not the same."""
    for name in one.keys() & listed.keys() - {"meta", "problem"}:
        if one[name] != listed[name]:
            came, expected = f"{name} is {one[name]!r}", f"{listed[name]!r}, as in the list"
            raise Finding(came, expected=expected, smallest=smallest)
