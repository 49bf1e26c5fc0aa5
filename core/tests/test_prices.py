"""Prices: exact decimals, unknown is unknown, and what an answer says of its cost and time."""

from __future__ import annotations

import decimal
import json
from decimal import Decimal

import jsonschema
import letters
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.capabilities.catalog import Model
from multitap.cli.schema import read_schema
from multitap.config import load_config
from multitap.errors import ConfigError
from multitap.events import Stop, Text, UsageReport
from multitap.hookspecs import hookimpl
from multitap.prices import Price, Pricing
from multitap.testing import WORLDS
from multitap.usage import Usage
from multitap.work import LocalExchange

CHEAP = Pricing(input="0.15", output="0.60")


def test_a_price_is_exact():
    price = CHEAP.price(Usage.reported(1234, 567))
    assert price.input_price == Decimal("0.0001851")
    assert price.output_price == Decimal("0.0003402")
    assert price.total == Decimal("0.0005253")
    assert (price.input_tokens, price.output_tokens, price.currency) == (1234, 567, "USD")
    assert (price.input_unit_price, price.unit) == (Decimal("0.15"), 1_000_000)


@pytest.mark.parametrize(
    ("tokens", "rounded"), [(1, "0.0000002"), (3, "0.0000005"), (7, "0.0000011"), (0, "0.0000000")]
)
def test_parts_are_rounded_half_up_to_seven_places(tokens, rounded):
    price = Pricing(input="0.15").price(Usage.reported(tokens, 0))
    assert price.input_price == Decimal(rounded)
    assert price.to_dict()["input_price"] == rounded


@given(
    st.integers(0, 10**12), st.decimals(0, 1000, places=6), st.sampled_from([1, 1000, 1_000_000])
)
def test_no_float_and_no_context_of_the_application_touches_a_price(tokens, unit_price, unit):
    pricing = Pricing(input=unit_price, unit=unit)
    exact = Decimal(tokens) * unit_price / unit
    with decimal.localcontext(decimal.Context(prec=3, rounding=decimal.ROUND_DOWN)):
        price = pricing.price(Usage.reported(tokens, None)).input_price
        assert type(price) is Decimal
    assert abs(price - exact) <= Decimal("0.00000005")


def test_cached_tokens_have_a_price_of_their_own():
    usage = Usage.reported(1_000_000, 0, cached_tokens=400_000)
    assert Pricing(input=10, output=0).price(usage).input_price == 10
    assert Pricing(input=10, output=0, cached_input=1).price(usage).input_price == Decimal("6.4")
    unknown = Usage.reported(1_000_000, 0)
    assert Pricing(input=10, output=0, cached_input=1).price(unknown).input_price == 10


def test_what_is_unknown_is_none_and_not_zero():
    assert CHEAP.price(Usage()) is None
    half = CHEAP.price(Usage.reported(10, None))
    assert (half.input_price, half.output_price, half.total) == (Decimal("0.0000015"), None, None)
    assert Pricing(input="1").price(Usage.reported(1, 1)).total is None


@pytest.mark.parametrize("wrong", [0.15, True, "cheap", "NaN", "-1", "inf", [1]])
def test_a_price_is_no_float_and_no_nonsense(wrong):
    with pytest.raises(ValueError, match="price"):
        Pricing(input=wrong)


@pytest.mark.parametrize(("unit", "tokens"), [("1M", 1_000_000), ("1k", 1000), ("1", 1), (50, 50)])
def test_units(unit, tokens):
    assert Pricing(input=1, unit=unit).unit == tokens
    for wrong in ("2M", 0, -1, 1.5, True, ""):
        with pytest.raises(ValueError, match="unit"):
            Pricing(input=1, unit=wrong)


def test_prices_add_if_their_currency_is_one():
    usage = Usage.reported(1_000_000, 1_000_000)
    one, two = CHEAP.price(usage), Pricing(input="0.15", output="1", unit="1M").price(usage)
    both = one + two
    assert (both.total, both.input_tokens) == (Decimal("1.9"), 2_000_000)
    assert (both.input_unit_price, both.output_unit_price) == (Decimal("0.15"), None)
    assert sum([one, two]) == both
    assert (one + CHEAP.price(Usage.reported(5, None))).output_price is None
    with pytest.raises(ValueError, match="USD and EUR"):
        one + Pricing(input=1, output=1, currency="eur").price(usage)
    with pytest.raises(TypeError):
        one + 1


def test_usages_add_and_what_one_does_not_know_is_unknown():
    one = Usage.reported(1, 2, cached_tokens=1)
    both = one + Usage.reported(10, 20)
    assert both == Usage(11, 22, 33, source="reported")
    assert sum([one, one]) == Usage(2, 4, 6, 2, source="reported")
    assert one + Usage() == Usage()
    assert (one + Usage(1, 1, source="estimated")).source == "estimated"
    with pytest.raises(TypeError):
        one + 1


def test_pricing_survives_the_json_form_of_its_model():
    model = Model(id="tiny", pricing=Pricing(input="0.10", cached_input="0.01", currency="EUR"))
    data = json.loads(json.dumps(model.to_dict()))
    assert data["pricing"] == {
        "input": "0.10",
        "cached_input": "0.01",
        "unit": 1_000_000,
        "currency": "EUR",
    }
    assert Model.from_dict(data) == model
    jsonschema.validate([{**data, "backend": "a"}], read_schema("models"))


# ---- llm.toml ------------------------------------------------------------------------------------


def test_a_section_has_prices_by_model(tmp_path):
    path = tmp_path / "llm.toml"
    path.write_text(
        '[gpu.prices]\n"phi3:8b" = {input = "0.15", output = "0.60", unit = "1M"}\n'
        'other = {output = 2, unit = "1K", currency = "EUR"}\n'
    )
    prices = load_config(path).sections["gpu"].prices
    assert prices["phi3:8b"] == CHEAP
    assert prices["other"] == Pricing(output=2, unit=1000, currency="EUR")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("{input = 0.15}", "of 'm': a price is written as a text"),
        ("{inputs = '1'}", "have no 'inputs', but input, output"),
        ("{unit = '1M'}", "neither input nor output"),
        ("{input = '1', unit = '1T'}", "no unit"),
        ("3", "have to be a table"),
    ],
)
def test_wrong_prices_are_refused_with_their_line(tmp_path, table, words):
    path = tmp_path / "llm.toml"
    path.write_text(f"[gpu]\nprices = {{m = {table}}}")
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(path)
    assert caught.value.line == 2


# ---- answers -------------------------------------------------------------------------------------


class Priced:
    """Two models, one of them with prices, which spend 1000 tokens each way."""

    @hookimpl
    def multitap_chat(self, backend):
        return self

    @hookimpl
    def multitap_catalog(self, backend):
        return self

    def chat(self, request):
        usage = UsageReport(Usage.reported(1000, 1000))
        return LocalExchange(lambda emit: emit([Text("Hi"), usage, Stop("complete")]))

    def models(self):
        found = [Model(id="tiny", pricing=CHEAP), Model(id="free")]
        return LocalExchange(lambda emit: emit(found))


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    prices = {"own": {"input": "1", "output": "1", "unit": "1K", "currency": "EUR"}}
    config = {"defaults": {"provider": "acme"}, "acme": {"prices": prices}}
    one = request.param(config, letters.registry(acme=Priced()))
    yield one
    one.close()


def test_an_answer_says_what_it_cost(world):
    assert world.call("chat", "hi", model="acme:tiny").price is None
    world.call("models")
    price = world.call("chat", "hi", model="acme:tiny").price
    assert isinstance(price, Price)
    assert (price.total, price.currency) == (Decimal("0.00075"), "USD")
    own = world.call("chat", "hi", model="acme:own").price
    assert (own.total, own.currency) == (Decimal(2), "EUR")
    assert world.call("chat", "hi", model="acme:free").price is None


def test_an_answer_says_how_long_it_took(world):
    half_way = []

    def look(seen, stream):
        half_way.append((stream.answer.latency, stream.answer.time_to_first_token))
        return True

    _, stream = world.stream("hi", model="acme:tiny", after=look)
    answer = stream.answer
    assert half_way[0][0] is None
    assert half_way[0][1] == answer.time_to_first_token
    assert 0 < answer.time_to_first_token <= answer.latency
    assert answer.time_to_generate == answer.latency - answer.time_to_first_token
    whole = world.call("chat", "hi", model="acme:tiny")
    assert 0 < whole.time_to_first_token <= whole.latency
    data = json.loads(json.dumps(world.call("chat", "hi", model="acme:own").to_dict()))
    jsonschema.validate(data, read_schema("chat"))
    assert (data["price"]["total"], data["price"]["input_tokens"]) == ("2.0000000", 1000)
    assert data["latency"] > 0


def test_a_stream_that_is_left_has_taken_its_time(world):
    _, stream = world.stream("hi", model="acme:tiny", after=lambda seen, stream: False)
    assert stream.answer.stop_reason == "cancelled"
    assert stream.answer.latency > 0


def test_metadata_is_texts(world):
    answer = world.call("chat", "hi", model="acme:tiny")
    assert {type(value) for value in answer.metadata.values()} == {str}
    facts = {name: answer.metadata[name] for name in ("backend", "provider", "model", "attempts")}
    assert facts == {"backend": "acme", "provider": "acme", "model": "tiny", "attempts": "1"}
    assert float(answer.metadata["latency"]) == pytest.approx(answer.latency, abs=1e-6)
    assert "request_id" not in answer.metadata
