"""Settings of a provider: their rules, table by table; secrets; what depends on what."""

from __future__ import annotations

import json
import sys

import attrs
import letters
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.config import Secret, Section, build_backend, check_required, files, load_config
from multitap.config.sections import SECTION_KEYS
from multitap.errors import AuthenticationError, BackendError, ConfigError, PluginError
from multitap.manifest import RESERVED, Setting, provider_from_table
from multitap.registry import Registry
from multitap.runtime import Runtime
from multitap.testing import Server, request, send
from multitap.work import Backend, HttpCall

CALL = HttpCall(method="POST", path="/chat")
TOKEN = "hush-canary-token-0123456789"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na."


def provider(endpoint="http://127.0.0.1:8080", **settings):
    return provider_from_table("acme", {"endpoint": endpoint, "settings": settings})


def built(table, environ=None, **settings):
    config = load_config({"acme": table}, environ=environ or {})
    return build_backend(config.sections["acme"], provider(**settings))


def refused(table, **settings):
    with pytest.raises(ConfigError) as caught:
        built(table, **settings)
    return str(caught.value)


# ---- one table for each type ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "good", "wrong", "words"),
    [
        ({"type": "text"}, ["", "a"], [1, True, ["a"]], "a text"),
        ({"type": "text", "max_length": 2}, ["", "ab"], ["abc"], "at most 2 characters"),
        ({"type": "text", "choices": ["eu", "us"]}, ["eu"], ["moon", ""], "one of 'eu', 'us'"),
        ({"type": "integer"}, [0, -5], ["0", 1.0, True], "a whole number"),
        ({"type": "integer", "minimum": 1}, [1], [0], "at least 1"),
        ({"type": "integer", "maximum": 9}, [9, -1], [10], "at most 9"),
        ({"type": "integer", "choices": [1, 2]}, [2], [3], "one of 1, 2"),
        ({"type": "number"}, [0, 0.5], ["x", True, float("nan"), float("inf")], "a number"),
        ({"type": "number", "minimum": 0, "maximum": 1}, [0, 1, 0.5], [1.01], "at most 1"),
        ({"type": "number", "precision": 2}, [0.25, 1, 0.1], [0.125], "2 digits after the point"),
        ({"type": "number", "precision": 0}, [2.0], [2.5], "0 digits"),
        ({"type": "boolean"}, [True, False], ["true", 1, 0], "true or false"),
        ({"type": "list"}, [[], ["a", 1]], ["a", {}], "a list"),
        ({"type": "table"}, [{}, {"a": 1}], ["a", []], "a table"),
    ],
)
def test_a_value_keeps_the_rule_of_its_setting(rule, good, wrong, words):
    for value in good:
        assert built({"it": value}, it=rule).settings["it"] == value
    for value in wrong:
        assert words in refused({"it": value}, it={**rule, "help": "See the manual."})


def test_a_path_is_absolute_also_where_it_is_the_default(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = built({}, place={"type": "path", "default": "~/here"}).settings
    assert settings["place"] == str(tmp_path / "here")


def test_a_wrong_value_is_told_with_its_key_and_the_help():
    with pytest.raises(ConfigError, match="See the manual") as caught:
        built({"it": 11}, it={"type": "integer", "maximum": 10, "help": "See the manual."})
    assert caught.value.key == "acme.it"


def test_an_unknown_setting_is_an_error_that_offers_the_nearest():
    assert "did you mean 'region'" in refused({"regoin": "eu"}, region={})


def test_texts_of_the_environment_keep_the_rules_too(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "SYSTEM_FILE", tmp_path / "none")
    monkeypatch.setattr(files, "_user_file", lambda: tmp_path / "none")
    config = load_config(environ={"MULTITAP_ACME__IT": "11"}, directory=tmp_path)
    rule = {"type": "integer", "maximum": 10}
    with pytest.raises(
        ConfigError, match=r"MULTITAP_ACME__IT: it in \[acme\] has to be at most 10"
    ):
        build_backend(config.sections["acme"], provider(it=rule))


# ---- required ------------------------------------------------------------------------------------


def test_a_required_setting_is_missed_by_who_needs_it_alone():
    rule = {"required": True, "help": "Where the answers are made."}
    described = provider(region=rule)
    backend = built({}, region=rule)
    with pytest.raises(ConfigError, match=r"\[acme\] needs region.*Where the answers") as caught:
        check_required(backend, described)
    assert caught.value.key == "acme.region"
    check_required(built({"region": "eu"}, region=rule), described)
    filled = {**rule, "default": "eu"}
    check_required(built({}, region=filled), provider(region=filled))


def test_a_call_without_a_required_setting_is_refused_and_the_rest_works():
    registry = Registry(environ={"MULTITAP_PLUGINS": "none"})
    described = provider(region={"required": True})
    registry.add(letters.OverHttp(), "acme", ["chat", "catalog"], info=described)
    with Runtime({"defaults": {"model": "acme:tiny"}}, registry=registry) as rt:
        assert [backend.id for backend in rt.backends()] == ["acme"]
        assert [notice.code for notice in rt.models().warnings] == ["backend_down"]
        assert "needs region" in str(rt.probe()[0].error)
        with pytest.raises(ConfigError, match="needs region"):
            rt.chat("hi")


# ---- what depends on another setting -------------------------------------------------------------

MODES = {
    "mode": {"choices": ["open", "token", "pair"], "default": "open"},
    "user": {"required": True, "show_on": {"mode": "pair"}},
    "realm": {"default": "main", "show_on": {"mode": ["token", "pair"]}},
    "token": {
        "type": "secret",
        "header": "X-Token",
        "required": True,
        "show_on": {"mode": "token"},
    },
}


def test_what_depends_on_another_setting_is_there_only_with_it():
    assert dict(built({}, **MODES).settings) == {"mode": "open"}
    assert built({}, **MODES).auth is None
    check_required(built({}, **MODES), provider(**MODES))
    assert dict(built({"mode": "pair"}, **MODES).settings) == {"mode": "pair", "realm": "main"}
    with pytest.raises(ConfigError, match="needs user"):
        check_required(built({"mode": "pair"}, **MODES), provider(**MODES))


@pytest.mark.parametrize("name", ["user", "realm", "token"])
def test_what_is_given_where_it_does_not_apply_is_not_dropped_silently(name):
    message = refused({"mode": "open", name: TOKEN}, **MODES)
    assert f"{name} in [acme] is only for where mode is" in message
    assert TOKEN not in message


def test_what_depends_on_what_does_not_apply_does_not_apply():
    chain = {
        "a": {"type": "boolean", "default": False},
        "b": {"default": "x", "show_on": {"a": True}},
        "c": {"default": "y", "show_on": {"b": "x"}},
    }
    assert dict(built({}, **chain).settings) == {"a": False}
    assert dict(built({"a": True}, **chain).settings) == {"a": True, "b": "x", "c": "y"}


# ---- secrets -------------------------------------------------------------------------------------

SECRET = {"token": {"type": "secret", "header": "X-Acme-Token", "max_length": 40}}


def sent(section, **settings):
    auth = build_backend(section, provider(**(settings or SECRET))).auth
    return {} if auth is None else dict(auth(CALL, b""))


def test_a_secret_goes_into_its_header_and_never_into_the_settings(tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    environ = {"THE_TOKEN": TOKEN}
    for value in (TOKEN, "env:THE_TOKEN", f"file:{tmp_path / 'token'}", Secret(TOKEN)):
        backend = built({"token": value}, environ, **SECRET)
        assert dict(backend.settings) == {}
        assert dict(backend.auth(CALL, b"")) == {"X-Acme-Token": TOKEN}


def test_a_secret_and_the_key_are_both_sent_and_both_redacted():
    scheme = {"token": {**SECRET["token"], "scheme": "Token"}}
    auth = built({"api_key": "hush-canary-1234567", "token": TOKEN}, **scheme).auth
    headers = {"Authorization": "Bearer hush-canary-1234567", "X-Acme-Token": f"Token {TOKEN}"}
    assert headers == dict(auth(CALL, b""))
    assert auth.redact(f"{TOKEN} and hush-canary-1234567") == "*** and ***"


def test_two_secrets_for_one_header_are_refused():
    same = {"token": {"type": "secret", "header": "authorization"}}
    assert "api_key and token" in refused({"api_key": "k", "token": "t"}, **same)


def test_a_secret_is_checked_and_not_shown():
    for wrong in (TOKEN * 9, [TOKEN], f"{TOKEN}\nHost: evil", f"env:{TOKEN}", f"{TOKEN} é"):
        message = refused({"token": wrong}, **SECRET)
        assert "token" in message
        assert "tok-very" not in message
    with pytest.raises(ConfigError, match="token: env:UNSET is not set"):
        built({"token": "env:UNSET"}, **SECRET).auth(CALL, b"")


def test_a_secret_that_is_missing_is_told_at_the_first_call():
    needed = {"token": {**SECRET["token"], "required": True}}
    backend = built({}, **needed)
    check_required(backend, provider(**needed))
    with pytest.raises(AuthenticationError, match=r"needs token.*Set token in \[acme\]"):
        backend.auth(CALL, b"")


def test_a_secret_is_in_no_repr_and_in_no_listing():
    config = load_config({"acme": {"token": TOKEN}}, environ={})
    backend = build_backend(config.sections["acme"], provider(**SECRET))
    shown = [repr(config), repr(config.sections), repr(config.sections["acme"].entries)]
    shown += [repr(backend), repr(backend.auth), str(backend.auth)]
    assert [text for text in shown if TOKEN in text] == []


def test_a_secret_that_the_server_sends_back_is_not_shown():
    echoed = f"bad token {TOKEN}".encode()
    refusal = send(b"HTTP/1.1 400 No\r\ncontent-length: %d\r\n\r\n" % len(echoed) + echoed)
    registry = Registry(environ={"MULTITAP_PLUGINS": "none"})
    with Server([request, refusal] * 3) as server:
        registry.add(letters.OverHttp(), "acme", ["chat"], info=provider(server.url, **SECRET))
        config = {"defaults": {"model": "acme:tiny"}, "acme": {"token": TOKEN}}
        with Runtime(config, registry=registry) as rt, pytest.raises(BackendError) as caught:
            rt.chat("hi")
    assert f"X-Acme-Token: {TOKEN}".encode() in server.requests[0].raw
    assert "bad token ***" in str(caught.value)
    assert TOKEN not in repr(caught.value.to_dict())


KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=30)


def shown_of(key, token):
    config = load_config({"acme": {"api_key": key, "token": token}}, environ={})
    backend = build_backend(config.sections["acme"], provider(**SECRET))
    return repr(backend) + str(backend) + repr(backend.auth) + repr(config)


@given(KEYS, KEYS)
def test_a_backend_is_shown_alike_whatever_its_keys_are(key, token):
    assert shown_of(f"x{key}", f"x{token}") == shown_of("one", "another")


def said_of(password):
    endpoint = f"http://user:{password}@host:1"
    section = Section(name="acme", provider="acme", endpoint=endpoint, environ={})
    with pytest.raises(ConfigError) as configured:
        build_backend(section, provider())
    with pytest.raises(ConfigError) as declared:
        build_backend(Section(name="acme", provider="acme", environ={}), provider(endpoint))
    backend = Backend(id="a", provider="a", endpoint=endpoint)
    return repr(backend), str(configured.value), str(declared.value)


@given(
    st.text(
        st.characters(min_codepoint=48, max_codepoint=122, exclude_characters="[]?/\\"), min_size=1
    )
)
def test_the_same_is_said_of_an_endpoint_whatever_its_password_is(password):
    assert said_of(password) == said_of("one")


# ---- whose secret goes where ---------------------------------------------------------------------


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The user's file and the project's, and what they load as."""
    user, project = tmp_path / "user.toml", tmp_path / "project" / "llm.toml"
    project.parent.mkdir()
    monkeypatch.setattr(files, "SYSTEM_FILE", tmp_path / "none")
    monkeypatch.setattr(files, "_user_file", lambda: user)

    def load(mine, theirs, environ=None):
        user.write_text(mine)
        project.write_text(theirs)
        return load_config(environ=environ or {}, directory=project.parent).sections["acme"]

    return load


EVIL = "[acme]\nendpoint = 'https://elsewhere.example'\n"


def test_a_users_secret_never_goes_to_a_projects_endpoint(places):
    assert sent(places(f"[acme]\ntoken = '{TOKEN}'", EVIL)) == {}
    assert sent(places("", EVIL, {"MULTITAP_ACME__TOKEN": TOKEN})) == {}
    with pytest.raises(AuthenticationError, match="yours is not sent there"):
        sent(places("", EVIL), token={**SECRET["token"], "required": True})


def test_a_project_cannot_name_the_users_secret_for_its_endpoint(places):
    section = places("", f"{EVIL}token = 'env:MINE'", {"MINE": TOKEN})
    with pytest.raises(AuthenticationError, match="MULTITAP_ACME__ENDPOINT"):
        sent(section)


def test_a_projects_endpoint_gets_the_secret_of_that_file(places):
    section = places(f"[acme]\ntoken = '{TOKEN}'", f"{EVIL}token = 'theirs'")
    assert sent(section) == {"X-Acme-Token": "theirs"}
    environ = {"MULTITAP_ACME__TOKEN": TOKEN}
    assert sent(places("", f"{EVIL}token = 'theirs'", environ)) == {"X-Acme-Token": "theirs"}


def test_a_users_secret_goes_to_the_users_endpoint_and_to_this_machine(places):
    mine = f"[acme]\nendpoint = 'https://mine.example'\ntoken = '{TOKEN}'"
    assert sent(places(mine, "[acme]\nmodel = 'x'")) == {"X-Acme-Token": TOKEN}
    near = "[acme]\nendpoint = 'http://127.0.0.1:1'\ntoken = 'env:MINE'"
    assert sent(places("", near, {"MINE": TOKEN})) == {"X-Acme-Token": TOKEN}


def test_a_section_made_in_code_may_have_a_secret():
    section = Section(name="acme", provider="acme", settings={"token": TOKEN}, environ={})
    assert sent(section) == {"X-Acme-Token": TOKEN}


# ---- rules that are themselves wrong -------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"a": {"type": "integer", "minimum": 3, "maximum": 1}}, "minimum is 3, .* maximum 1"),
        ({"a": {"type": "integer", "minimum": "3"}}, "minimum has to be a number"),
        ({"a": {"type": "number", "maximum": float("nan")}}, "maximum has to be a number"),
        ({"a": {"minimum": 3}}, "minimum is for integer and number, not for text"),
        ({"a": {"type": "integer", "precision": 2}}, "precision is for number"),
        ({"a": {"type": "number", "precision": -1}}, "'precision' must be >= 0"),
        ({"a": {"type": "list", "max_length": 3}}, "max_length is for text and secret"),
        ({"a": {"max_length": 0}}, "'max_length' must be > 0"),
        ({"a": {"type": "table", "choices": [1]}}, "choices is for"),
        ({"a": {"type": "integer", "choices": [1, "2"]}}, "choices: '2' has to be a whole number"),
        ({"a": {"type": "integer", "default": "1"}}, "default: '1' has to be a whole number"),
        ({"a": {"choices": ["x"], "default": "y"}}, "default: 'y' has to be one of 'x'"),
        ({"a": {"type": "integer", "maximum": 5, "default": 6}}, "default: 6 has to be at most 5"),
        ({"a": {"required": 1}}, "'required' must be <class 'bool'>"),
        ({"a": {"label": 1}}, "'label' must be <class 'str'>"),
        ({"a": {"show_on": {"b": 1}}}, "show_on names 'b'"),
        ({"a": {"show_on": {"a": "x"}}}, "show_on leads back"),
        ({"a": {"show_on": {"b": "x"}}, "b": {"show_on": {"a": "x"}}}, "show_on leads back"),
        ({"a": {"show_on": "b"}}, "show_on has to be a table"),
        ({"a": {"show_on": {"b": "z"}}, "b": {"choices": ["x"]}}, "show_on: b has to be one of"),
        ({"a": {"show_on": {"b": "x"}}, "b": {"type": "secret", "header": "X-B"}}, "names 'b'"),
        ({"a": {"type": "secret"}}, "needs header"),
        ({"a": {"type": "secret", "header": "X A"}}, "needs header"),
        ({"a": {"type": "secret", "header": "X-A", "default": "s"}}, "a secret has no default"),
        ({"a": {"type": "secret", "header": "X-A", "choices": ["s"]}}, "choices is for"),
        ({"a": {"header": "X-A"}}, "header and scheme are for a secret"),
    ],
)
def test_a_wrong_rule_is_named(rows, words):
    with pytest.raises(ValueError, match=rf"acme\.settings\.[ab]: .*{words}"):
        provider_from_table("acme", {"settings": rows})


def test_a_setting_cannot_take_the_name_of_a_key_that_every_section_has():
    assert set(SECTION_KEYS) == RESERVED
    with pytest.raises(ValueError, match=r"acme\.settings\.model has a name"):
        provider_from_table("acme", {"settings": {"model": {}}})


def test_a_provider_with_a_wrong_rule_is_quarantined_with_the_reason(tmp_path, monkeypatch):
    package = tmp_path / "multitap_ruly"
    package.mkdir()
    (package / "__init__.py").write_text("")
    rule = "[ruly.settings.a]\ntype = 'integer'\nminimum = 3\nmaximum = 1\n"
    (package / "provider.toml").write_text(rule)
    about = tmp_path / "multitap_ruly-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: multitap-ruly\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[multitap.chat]\nruly = multitap_ruly\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    registry = Registry(allow=["multitap-ruly"], environ={})
    rows = [row for row in registry.capabilities() if row.provider == "ruly"]
    assert [row.state for row in rows] == ["quarantined"]
    assert "minimum is 3, which is above" in registry.failures["chat", "ruly"].reason
    with pytest.raises(PluginError, match="minimum is 3"):
        registry.build("chat", Backend(id="ruly", provider="ruly"))


# ---- how they are listed -------------------------------------------------------------------------


def test_a_setting_has_a_json_form():
    rows = provider(**MODES).settings
    facts = json.loads(json.dumps([attrs.asdict(setting) for setting in rows.values()]))
    assert facts[1]["show_on"] == {"mode": ["pair"]}
    assert facts[3]["header"] == "X-Token"
    assert rows["user"] == Setting(name="user", required=True, show_on={"mode": ["pair"]})
