import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.dialects.openai.strictness import is_strict
from multitap.dialects.schema import clean_schema
from multitap.errors import NotSupported

A = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
B = {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]}
AB = {"a": {"type": "string"}, "b": {"type": "integer"}}


def cleaned(schema):
    return clean_schema(schema).schema


def either(*parts):
    return {"anyOf": list(parts)}


def of(**properties):
    return {"properties": properties}


@pytest.mark.parametrize("schema", [A, {**A, "additionalProperties": False, "$defs": {"x": A}}])
def test_a_plain_object_is_left_alone(schema):
    found = clean_schema(schema)
    assert (found.schema, found.told) == (schema, ())


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({}, {"type": "object"}),
        ({"type": ["object", "null"]}, {"type": "object"}),
        (of(a={"type": "none"}), {"type": "object", "properties": {"a": {}}}),
        (
            of(a={"type": ["string", "none"]}),
            {"type": "object", "properties": {"a": {"type": ["string"]}}},
        ),
        (
            {
                "properties": {"__proto__": {}, "constructor": {}, "a": {}},
                "required": ["__proto__"],
            },
            {"type": "object", "properties": {"a": {}}, "required": []},
        ),
        ({"allOf": [A, B]}, {"type": "object", "properties": AB, "required": ["a", "b"]}),
        (
            {**A, "allOf": [B]},
            {"type": "object", "properties": AB, "required": ["a", "b"]},
        ),
        (either(A, B), {"type": "object", "properties": AB, "required": []}),
        ({"oneOf": [A, B]}, {"type": "object", "properties": AB, "required": []}),
        (
            {**B, **either(A, {**A, "required": []})},
            {"type": "object", "properties": AB, "required": ["b"]},
        ),
        (either(A, {"type": "null"}), A),
        (either(A, A), A),
        ({"$ref": "#/$defs/A", "$defs": {"A": A}}, {**A, "$defs": {"A": A}}),
    ],
)
def test_the_root_becomes_one_object(schema, wanted):
    assert cleaned(schema) == wanted


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        ({"type": "string"}, {"type": "string"}, {"type": "string"}),
        ({"const": "a"}, {"const": "b", "type": "string"}, {"enum": ["a", "b"]}),
        ({"const": "a"}, {"minLength": 1}, {"anyOf": [{"const": "a"}, {"minLength": 1}]}),
    ],
)
def test_a_property_that_two_alternatives_have(one, other, joined):
    assert cleaned(either(of(x=one), of(x=other)))["properties"] == {"x": joined}


def test_a_property_that_two_parts_have_is_as_in_both():
    found = cleaned({"allOf": [of(x={"minLength": 1}), of(x={"maxLength": 2})]})
    assert found["properties"] == {"x": {"allOf": [{"minLength": 1}, {"maxLength": 2}]}}


def test_definitions_are_gathered_at_the_root():
    parts = [{**of(a={"$ref": "#/$defs/A"}), "$defs": {"A": A}}, {"$defs": {"B": B}}]
    assert cleaned({"anyOf": parts})["$defs"] == {"A": A, "B": B}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (either(A, B), "in common"),
        ({"oneOf": [A, A]}, "in common"),
        (either(A, {"type": "null"}), "no object"),
        (of(a={"type": "none"}), '"none"'),
        (of(prototype={}), "prototype"),
        ({**A, "additionalProperties": False, "allOf": [B]}, "additionalProperties"),
    ],
)
def test_what_is_not_said_any_more_is_told(schema, told):
    (sentence,) = clean_schema(schema).told
    assert told in sentence


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "string"}, "string"),
        ({"allOf": [A, {"type": "string"}]}, "string"),
        (either({"type": "string"}, {"type": "null"}), "none of its alternatives"),
        ({"allOf": [{"minProperties": 1}, {"minProperties": 2}]}, "minProperties"),
        ({"allOf": [{"$defs": {"x": A}}, {"$defs": {"x": B}}]}, "two definitions of x"),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"$ref": "#/$defs/x"}}}, "leads back"),
        ({"$ref": "#/$defs/x"}, "there is no"),
        ({"$ref": "https://a.example/x"}, "elsewhere"),
        ({**either(A, B), **of(c={"$ref": "#/anyOf/0"})}, "#/anyOf/0"),
        ({"allOf": [False]}, "nothing"),
    ],
)
def test_what_cannot_be_said_is_refused(schema, reason):
    with pytest.raises(NotSupported, match=reason):
        clean_schema(schema)


# ---- properties ----------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "__proto__", "constructor"])
LEAVES = st.sampled_from(
    [
        *({}, {"type": "string"}, {"type": "none"}, {"const": 1}, {"const": "x"}),
        *({"type": "integer"}, {"type": ["none", "string"]}, {"enum": ["x", "y"]}),
        {"$ref": "#/$defs/D"},
    ]
)


def objects(parts):
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", ["object", "null"]]),
            "properties": st.dictionaries(NAMES, parts, max_size=3),
            "required": st.lists(NAMES, unique=True, max_size=3),
            "additionalProperties": st.booleans(),
            "anyOf": st.lists(parts, min_size=1, max_size=3),
            "oneOf": st.lists(parts, min_size=1, max_size=3),
            "allOf": st.lists(parts, min_size=1, max_size=2),
        },
    )


SCHEMAS = objects(st.recursive(LEAVES, objects, max_leaves=8))
VALUES = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.sampled_from([1, 2, "x", "y", None, {}]), max_size=3
)


def rooted(schema):
    return {**schema, "$defs": {"D": A}}


@given(SCHEMAS)
def test_a_clean_schema_is_valid_and_cleaning_it_again_changes_nothing(schema):
    try:
        found = clean_schema(rooted(schema))
    except NotSupported:
        return
    jsonschema.Draft202012Validator.check_schema(found.schema)
    assert found.schema["type"] == "object"
    assert not {"anyOf", "oneOf", "allOf", "$ref"} & set(found.schema)
    again = clean_schema(found.schema)
    assert (again.schema, again.told) == (found.schema, ())


@given(SCHEMAS, st.lists(VALUES, min_size=5, max_size=5))
def test_what_a_clean_schema_allows_the_original_allows_or_it_is_told(schema, values):
    try:
        found = clean_schema(rooted(schema))
    except NotSupported:
        return
    if found.told:
        return
    before = jsonschema.Draft202012Validator(rooted(schema))
    after = jsonschema.Draft202012Validator(found.schema)
    for value in values:
        assert before.is_valid(value) or not after.is_valid(value)


# ---- strictness ----------------------------------------------------------------------------------

CLOSED = {**A, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        (A, False),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "properties": {"a": CLOSED}}, True),
        ({**CLOSED, "properties": {"a": A}}, False),
        ({**CLOSED, "properties": {"a": {"type": "array", "items": A}}}, False),
        ({**CLOSED, "properties": {"a": {"anyOf": [CLOSED, {"type": "null"}]}}}, True),
        ({**CLOSED, "properties": {"a": {"not": {}}}}, False),
        ({**CLOSED, "$defs": {"x": A}}, False),
        ({"type": "array", "items": CLOSED}, False),
        ({**CLOSED, "anyOf": [CLOSED]}, False),
    ],
)
def test_what_strict_holds_a_model_to(schema, strict):
    assert is_strict(schema) is strict
