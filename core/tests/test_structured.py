"""Structured output: what is declared, and what came."""

import json

import jsonschema
import letters
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.answer import fold
from multitap.errors import NotSupported
from multitap.events import Notice, Stop, Text
from multitap.hookspecs import hookimpl
from multitap.structured import breach
from multitap.testing import WORLDS
from multitap.work import LocalExchange

PLACE = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "size": {"enum": ["small", "large"]},
        "rooms": {"type": "array", "items": {"type": ["integer", "null"]}},
    },
    "required": ["city"],
    "additionalProperties": False,
}
WRONG = {
    "Paris": "it is no JSON",
    "": "it is no JSON",
    '{"city": "Par': "it is no JSON",
    "[" * 100_000: "it is no JSON",
    '{"city": NaN}': "it is no JSON",
    '"Paris"': "$ is no object",
    "{}": "$.city is missing",
    '{"city": 1}': "$.city is no string",
    '{"city": "Paris", "river": "Seine"}': "$.river is not expected",
    '{"city": "Paris", "size": "huge"}': "$.size is none of the values that are allowed",
    '{"city": "Paris", "rooms": [1, 2.5]}': "$.rooms[1] is no integer or null",
    '{"city": "Paris", "rooms": [true]}': "$.rooms[0] is no integer or null",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_breaks_a_schema_is_named(text):
    found = breach(text, PLACE)
    assert (found.code, found.option) == ("schema_not_kept", "response_schema")
    assert found.message == f"The answer does not keep to the schema: {WRONG[text]}."


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        (' {"city": "Paris", "size": "small", "rooms": [1, 2.0, null]}\n', PLACE),
        ("{}", {}),
        ("1", {"type": "number"}),
        ("null", {"enum": [1, None]}),
        ('{"a": {"b": 1}}', {"properties": {"a": True}}),
        ('{"a": 1}', {"additionalProperties": False, "patternProperties": {"a": {}}}),
        ('{"a": 1}', {"anyOf": [{"type": "object"}], "$ref": "#/nowhere"}),
        ("[1]", {"prefixItems": [{"type": "integer"}], "items": False}),
    ],
)
def test_what_keeps_to_it_or_is_not_looked_at_passes(text, schema):
    assert breach(text, schema) is None


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)  # JSON has no others
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=8,
)
KINDS = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])
SCHEMAS = st.recursive(
    st.booleans() | st.fixed_dictionaries({}, optional={"type": KINDS, "const": VALUES}),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": KINDS | st.lists(KINDS, min_size=1, max_size=2, unique=True),
            "properties": st.dictionaries(st.sampled_from("ab"), inner),
            "required": st.lists(st.sampled_from("ab"), unique=True),
            "additionalProperties": inner,
            "items": inner,
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=6,
)


@given(value=VALUES, schema=SCHEMAS.filter(lambda schema: isinstance(schema, dict) and schema))
def test_nothing_that_a_validator_accepts_is_warned_of(value, schema):
    if jsonschema.Draft202012Validator(schema).is_valid(value):
        assert breach(json.dumps(value), schema) is None


# ---- from end to end -----------------------------------------------------------------------------


class Says:
    """Answers with one text, whatever it was asked for."""

    def __init__(self, *texts, stop="complete", options=("response_schema", "n", "max_tokens")):
        self.options = frozenset({*options, "temperature"})
        self.events = [Text(text, choice=n) for n, text in enumerate(texts)]
        self.events += [Stop(stop, n) for n in reversed(range(len(texts)))]

    @hookimpl
    def multitap_chat(self, backend):
        return self

    def chat(self, request):
        return LocalExchange(lambda emit: emit(self.events) and None)


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def of(request):
    opened = []

    def make(plugin):
        config = {"defaults": {"model": "acme:tiny"}}
        opened.append(request.param(config, letters.registry(acme=plugin)))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def codes(answer):
    return [(notice.code, notice.option) for notice in answer.warnings]


BROKEN = ("schema_not_kept", "response_schema")


def test_an_answer_that_breaks_its_schema_has_a_warning_whole_or_streamed(of):
    here = of(Says("Paris"))
    answer = here.call("chat", "hi", response_format=PLACE)
    assert (answer.text, codes(answer)) == ("Paris", [BROKEN])
    events, stream = here.stream("hi", response_format=PLACE)
    assert codes(stream.answer) == [BROKEN]
    assert not any(isinstance(event, Notice) for event in events)


def test_one_that_keeps_to_it_or_was_asked_for_nothing_has_none(of):
    assert codes(of(Says('{"city": "Paris"}')).call("chat", "hi", response_format=PLACE)) == []
    assert codes(of(Says("Paris")).call("chat", "hi")) == []


def test_every_choice_is_looked_at(of):
    here = of(Says('{"city": "Paris"}', "Paris"))
    assert codes(here.call("chat", "hi", response_format=PLACE, n=2)) == [BROKEN]


def test_an_answer_that_was_cut_says_so(of):
    here = of(Says('{"city": "Par', stop="max_tokens"))
    (notice,) = here.call("chat", "hi", response_format=PLACE).warnings
    assert notice.message.startswith("The answer was cut")


def test_a_call_of_a_tool_is_no_broken_schema(of):
    here = of(Says("", stop="tool_use"))
    assert codes(here.call("chat", "hi", response_format=PLACE)) == []


def test_a_backend_that_takes_no_schema_is_told_once_and_before(of):
    here = of(Says("Paris", options=()))
    found = codes(here.call("chat", "hi", response_format=PLACE))
    assert found == [("unsupported_option", "response_schema")]
    with pytest.raises(NotSupported):
        here.call("chat", "hi", response_format=PLACE, strict=True)


def test_an_answer_that_goes_on_is_not_judged_yet():
    events = [Text('{"city": ')]
    answer = fold(events, backend="a", provider="a", model="m", schema=PLACE)
    assert answer.warnings == ()


# ---- declared, and live --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plugin", "declares", "keeps"),
    [
        (Says('{"ready": true}'), True, True),
        (Says("ready"), True, False),
        (Says('{"ready": "yes"}'), True, False),
        (Says('{"rea', stop="max_tokens"), True, None),
        (Says("ready", options=()), False, None),
    ],
    ids=["kept", "text", "another type", "cut", "not declared"],
)
def test_a_check_holds_what_is_declared_against_what_comes(of, plugin, declares, keeps):
    found = of(plugin).call("check", schema=True)
    assert (found.ok, found.declares_schema, found.keeps_schema) == (True, declares, keeps)


def test_a_check_without_it_asks_for_none(of):
    found = of(Says("ready")).call("check")
    assert (found.ok, found.declares_schema, found.keeps_schema) == (True, None, None)
