"""Options of a provider: ``extra`` against the rules of ``provider.toml``, before a call."""

from __future__ import annotations

import letters
import pytest

from multitap.errors import ConfigError
from multitap.events import Stop
from multitap.hookspecs import hookimpl
from multitap.manifest import Parameter, provider_from_table
from multitap.parameters import check_parameters
from multitap.plan import chat_request
from multitap.registry import Registry
from multitap.rules import TEMPLATES
from multitap.testing import WORLDS
from multitap.work import LocalExchange


def provider(**parameters):
    return provider_from_table("acme", {"parameters": parameters})


def checked(rules, extra=None, **options):
    asked = chat_request("tiny", "hi", extra=extra, **options)
    return check_parameters(asked, provider(**rules)).extra


def refused(rules, extra=None, **options):
    with pytest.raises(ConfigError) as caught:
        checked(rules, extra, **options)
    return str(caught.value)


RULES = {
    "top_k": {"use": "top_k"},
    "mirostat": {"type": "integer", "choices": [0, 1, 2], "help": "0 turns it off."},
    "ratio": {"type": "number", "minimum": 0, "maximum": 1, "precision": 2},
    "grammar": {"type": "text", "max_length": 9},
    "raw": {"type": "boolean"},
    "bias": {"type": "table"},
    "samplers": {"type": "list"},
}


def test_without_rules_anything_goes():
    assert checked({}, {"whatever": object}) == {"whatever": object}


def test_what_keeps_the_rules_is_sent_as_it_is():
    extra = {"top_k": 40, "mirostat": 2, "ratio": 0.25, "grammar": "root", "raw": False}
    extra |= {"bias": {"1": -1}, "samplers": ["a"]}
    assert checked(RULES, extra) == extra
    assert checked(RULES) == {}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"topk": 5}, ["'topk'", "did you mean 'top_k'?", "bias, grammar, mirostat, ratio"]),
        ({"temperature": 0.5}, ["'temperature'", "Pass temperature= itself"]),
        ({"top_k": 0}, ["'top_k' of acme has to be at least 1"]),
        ({"top_k": 101}, ["at most 100"]),
        ({"top_k": 4.0}, ["a whole number, not a number"]),
        ({"mirostat": 3}, ["one of 0, 1, 2", "0 turns it off."]),
        ({"ratio": 0.125}, ["2 digits"]),
        ({"ratio": float("nan")}, ["a number"]),
        ({"grammar": "root ::= x"}, ["at most 9 characters"]),
        ({"raw": 1}, ["true or false, not a whole number"]),
        ({"bias": []}, ["a table, not a list"]),
        ({"samplers": "a"}, ["a list"]),
        ({"top_k": None}, ["a whole number"]),
    ],
)
def test_what_does_not_is_named_with_its_rule(extra, words):
    message = refused(RULES, extra)
    assert [word for word in words if word not in message] == []


def test_a_rule_named_like_an_argument_holds_for_the_argument_too():
    rules = {"temperature": {"use": "temperature"}, "max_tokens": {"use": "max_tokens"}}
    assert checked(rules, temperature=1, max_tokens=2048) == {}
    assert "'temperature' of acme has to be at most 1" in refused(rules, temperature=1.5)
    assert "at most 2048" in refused(rules, max_tokens=4096)
    assert "at most 1" in refused(rules, {"temperature": 1.5})


def test_a_default_is_sent_only_of_what_is_required():
    rules = {"mode": {"default": "fast"}, "depth": {"type": "integer", "required": True}}
    assert "acme needs the option 'depth'" in refused(rules)
    assert checked(rules, {"depth": 2}) == {"depth": 2}
    filled = {**rules, "depth": {**rules["depth"], "default": 3}}
    assert checked(filled) == {"depth": 3}
    assert checked({"seed": {"type": "integer", "required": True}}, seed=0) == {}


def test_templates_have_the_documented_numbers():
    facts = {name: (t.get("minimum"), t.get("maximum")) for name, t in TEMPLATES.items()}
    assert facts["temperature"] == (0, 1)
    assert facts["top_k"] == (1, 100)
    assert facts["max_tokens"] == (1, 2048)
    assert TEMPLATES["max_tokens"]["default"] == 64
    assert {"top_p", "presence_penalty", "frequency_penalty"} <= set(TEMPLATES)
    assert {"response_format", "json_schema"} <= set(TEMPLATES)
    for name in TEMPLATES:
        assert provider(it={"use": name}).parameters["it"].name == "it"


def test_a_plugins_own_numbers_go_over_the_template():
    rule = provider(k={"use": "top_k", "maximum": 40, "default": 20}).parameters["k"]
    assert rule == Parameter(name="k", type="integer", minimum=1, maximum=40, default=20)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"use": "topk"}, "use is 'topk', which is none of temperature"),
        ({"type": "secret"}, "a parameter is no secret"),
        ({"type": "path"}, "a parameter is no path"),
        ({"show_on": {}}, "unknown keys: show_on"),
        ({"use": "top_k", "maximum": 0}, "minimum is 1, .* maximum 0"),
        ("integer", "must be a table"),
    ],
)
def test_a_wrong_rule_is_named(row, words):
    with pytest.raises(ValueError, match=rf"acme\.parameters\.a.*{words}"):
        provider(a=row)


class Sender(letters.OverHttp):
    @hookimpl
    def multitap_chat(self, backend):
        return self

    def chat(self, asked):
        self.asked = asked
        return LocalExchange(lambda emit: emit([Stop("complete")]))


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    registry, plugin = Registry(environ={"MULTITAP_PLUGINS": "none"}), Sender()
    registry.add(plugin, "acme", ["chat"], info=provider(**RULES))
    one = request.param({"defaults": {"model": "acme:tiny"}}, registry)
    one.plugin = plugin
    yield one
    one.close()


def test_a_call_with_a_wrong_option_asks_nobody(world):
    with pytest.raises(ConfigError, match="did you mean 'top_k'"):
        world.call("chat", "hi", extra={"topk": 5})
    with pytest.raises(ConfigError, match="at most 100"):
        world.stream("hi", extra={"top_k": 500})
    assert not hasattr(world.plugin, "asked")
    world.call("chat", "hi", extra={"top_k": 5})
    assert world.plugin.asked.extra == {"top_k": 5}


# ---- arguments of every chat ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": True}, "temperature is True"),
        ({"top_p": 1.01}, "top_p is 1.01"),
        ({"top_p": float("nan")}, "top_p is nan"),
        ({"max_tokens": 1.5}, "max_tokens is 1.5"),
        ({"seed": "7"}, "seed is '7'"),
        ({"n": 0}, "n is 0"),
        ({"n": 1.5}, "n is 1.5"),
        ({"truncate": "yes"}, "truncate is 'yes'"),
        ({"shift": 1}, "shift is 1"),
        ({"stop": [1]}, "stop has 1"),
        ({"stop": ""}, "stop has ''"),
        ({"extra": ["top_k"]}, "extra is \\['top_k'\\]"),
        ({"response_format": "json"}, "response_format is 'json'"),
        ({"tools": ["weather"]}, "'weather' is no tool"),
        ({"system": 3}, "system is 3"),
        ({"logprobs": "all"}, "logprobs is 'all'"),
    ],
)
def test_a_wrong_argument_is_named(options, words):
    with pytest.raises(ConfigError, match=words):
        chat_request("tiny", "hi", **options)


def test_an_argument_that_is_none_is_not_asked_for():
    names = ("temperature", "top_p", "max_tokens", "seed", "n", "truncate", "shift", "stop")
    request = chat_request("tiny", "hi", **dict.fromkeys(names), extra=None, tools=None)
    assert list(request.asked()) == []


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "5", True])
def test_a_timeout_is_seconds(timeout):
    from multitap.runtime import Runtime

    with Runtime({"defaults": {"model": "echo:echo"}}) as rt, pytest.raises(ConfigError):
        rt.chat("hi", timeout=timeout)
