"""``multitap config show`` and ``explain``."""

import pytest
from command_line import registry, run_here, run_in, valid
from hypothesis import given
from hypothesis import strategies as st

from multitap.cli.masks import masked
from multitap.cli.toml import toml_key, toml_value
from multitap.config import Secret, backends, build_backend, load_config
from multitap.config.values import parse_toml
from multitap.manifest import KeyInfo, ProviderInfo, Setting
from multitap.registry import Registry

KEY = "hush-canary-0123456789"
ACME = ProviderInfo(
    name="acme",
    title="Acme",
    distribution="multitap-acme",
    version="1",
    endpoint="http://127.0.0.1:8080",
    key=KeyInfo(variable="ACME_API_KEY"),
    settings={
        "region": Setting(name="region", default="eu"),
        "tags": Setting(name="tags", type="list"),
        "token": Setting(name="token", type="secret", header="X-Token"),
    },
)
FILE = f"""\
[defaults]
provider = "box"
model = "small"

[aliases]
fast = "box:tiny"
"llama3.2" = "acme:llama"

[box]
provider = "acme"
endpoint = "https://box.example/v1"
api_key = "{KEY}"
timeout_ms = 80000
tags = ["a \\"b\\"", "\\u0007"]
token = "env:BOX_TOKEN"
prices = {{tiny = {{input = "0.15", unit = "1M"}}}}
think_tags = {{tiny = ["<a>", "</a>"], "q:1" = {{opened = true}}, b = false, "*" = true}}
tools = {{tiny = "text", b = {{place = "system"}}, "*" = "native"}}

[other]
provider = "tgi"
since = 2026-01-02
proxy = "http://me:{KEY}@proxy:3128"
headers = {{"X-Secret" = "{KEY}", Accept = "*/*"}}
"""


def plugins():
    found = Registry(environ={"MULTITAP_PLUGINS": "none"})
    where = {"distribution": "multitap-acme", "version": "1", "info": ACME}
    found.add(registry(), "acme", ["chat"], **where)
    return found


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A user's file and a project's, in the project's folder."""
    project = tmp_path / "project"
    user = tmp_path / "config" / "multitap" / "llm.toml"
    for folder in (project, user.parent):
        folder.mkdir(parents=True)
    monkeypatch.chdir(project)
    monkeypatch.setattr("multitap.config.files.SYSTEM_FILE", tmp_path / "etc.toml")
    monkeypatch.setattr("multitap.config.files._user_file", lambda: user)
    return {"user": user, "project": project / "llm.toml", "system": tmp_path / "etc.toml"}


def config(*words, **environ):
    ran = run_in(environ, "config", *words, plugins=plugins())
    assert (ran.code, ran.err) == (0, "")
    return ran.out


def shown(*words, **environ):
    """The values of ``config show`` by their keys."""
    found = valid("config-show", config("show", "--json", *words, **environ))["values"]
    return {value["key"]: value for value in found}


def explained(subject, *words, **environ):
    return valid("config-explain", config("explain", subject, "--json", *words, **environ))


# ---- show ----------------------------------------------------------------------------------------


def test_each_value_is_shown_with_its_source(places):
    places["user"].write_text(FILE)
    found = shown("--llm", "box.model=big", MULTITAP_BOX__REGION="us")
    sources = {key: (v["source"]["kind"], v["source"]["line"]) for key, v in found.items()}
    assert sources["defaults.provider"] == ("user", 2)
    assert sources['aliases."llama3.2"'] == ("user", 7)
    assert sources["box.model"] == ("command line", None)
    assert sources["box.region"] == ("environment", None)
    assert sources["acme.region"] == sources["acme.endpoint"] == ("default", None)
    assert found["box.region"]["source"]["variable"] == "MULTITAP_BOX__REGION"
    assert found["acme.timeout_ms"]["value"] == 600_000
    assert found["other.since"]["value"] == "2026-01-02"


def test_the_text_is_an_llm_toml_with_the_same_meaning(places, tmp_path):
    places["user"].write_text(FILE)
    environ = {"ACME_API_KEY": KEY, "BOX_TOKEN": "t"}
    text = config("show", **environ)
    (tmp_path / "again.toml").write_text(text)
    one, two = load_config(environ=environ), load_config(tmp_path / "again.toml", environ=environ)
    assert (two.defaults.provider, two.defaults.model) == ("box", "small")
    assert two.aliases == one.aliases
    for name, section in backends(one, ["acme"]).items():
        again = two.sections[name]
        assert (again.provider, again.model) == (section.provider, section.model)
        assert again.prices == section.prices
        assert (again.think_tags, again.tools) == (section.think_tags, section.tools)
        if section.provider == "acme":
            before, after = build_backend(section, ACME), build_backend(again, ACME)
            assert (before.endpoint, before.settings) == (after.endpoint, after.settings)
    assert two.sections["box"].api_key == Secret("***")
    assert two.sections["acme"].api_key == Secret("env:ACME_API_KEY")
    assert parse_toml(text)["box"]["token"] == "env:BOX_TOKEN"


def test_no_secret_is_shown(places):
    places["user"].write_text(FILE)
    environ = {"MULTITAP_ACME__API_KEY": KEY, "MULTITAP_ACME__TOKEN": KEY}
    found = shown(**environ)
    hidden = {key for key, value in found.items() if value["masked"]}
    assert hidden == {"box.api_key", "acme.api_key", "acme.token", "other.proxy", "other.headers"}
    assert found["other.headers"]["value"] == {"X-Secret": "***", "Accept": "*/*"}
    assert found["other.proxy"]["value"] == "http://***@proxy:3128"
    for words in (("show",), *(("explain", name) for name in ("box", "acme", "other", "fast"))):
        assert KEY not in config(*words, **environ)
        assert KEY not in config(*words, "--json", **environ)


def test_what_is_withheld_is_no_part_of_it_and_that_is_said(places):
    places["user"].write_text(f"[acme]\napi_key = '{KEY}'")
    places["project"].write_text("[acme]\nendpoint = 'https://evil.example'")
    assert "acme.api_key" not in shown(ACME_API_KEY=KEY)
    remark = f"[acme]  # the api_key of {places['user']}, line 2 is withheld"
    assert remark in config("show").splitlines()


def test_a_wrong_file_is_an_error_with_its_line(places):
    places["user"].write_text("[acme]\nreg = 1")
    ran = run_in({}, "config", "show", "--json", plugins=plugins())
    error = valid("error", ran.out)["error"]
    assert (ran.code, error["line"], error["key"]) == (2, 2, "acme.reg")


# ---- explain -------------------------------------------------------------------------------------


def test_a_key_has_a_word_from_each_layer(places):
    for kind, port in (("system", 1), ("user", 2), ("project", 3)):
        places[kind].write_text(f"[acme]\nendpoint = 'http://h:{port}'")
    words = ("--llm", "acme.endpoint=http://h:5", "acme.endpoint=http://h:6")
    found = explained("acme.endpoint", *words, MULTITAP_ACME__ENDPOINT="http://h:4")
    (key,) = found["keys"]
    assert [(layer["value"], layer["state"]) for layer in key["layers"]] == [
        ("http://h:6", "wins"),
        ("http://h:5", "overridden"),
        ("http://h:4", "overridden"),
        ("http://h:3", "overridden"),
        ("http://h:2", "overridden"),
        ("http://h:1", "overridden"),
    ]
    assert key["layers"][-1]["reason"] == "--llm is stronger"
    assert [(f["kind"], f["read"]) for f in found["files"]] == [
        ("system", True),
        ("user", True),
        ("project", True),
    ]
    text = config("explain", "acme.endpoint")
    assert f'wins       "http://h:3" # {places["project"]}, line 2: the strongest' in text


def test_a_key_that_nothing_sets_is_at_its_default_or_not_set(places):
    (layer,) = explained("acme.region")["keys"][0]["layers"]
    assert (layer["value"], layer["source"]["kind"], layer["state"]) == ("eu", "default", "wins")
    assert explained("acme.tags")["keys"] == [{"key": "acme.tags", "layers": []}]
    assert config("explain", "acme.tags") == "acme.tags is not set\n"


def test_a_key_that_is_withheld_says_why(places):
    places["user"].write_text(f"[acme]\napi_key = '{KEY}'")
    places["project"].write_text("[acme]\nendpoint = 'https://evil.example'")
    (key,) = explained("acme.api_key", MULTITAP_ACME__API_KEY=KEY)["keys"]
    assert [(layer["value"], layer["state"]) for layer in key["layers"]] == [
        ("***", "withheld"),
        ("***", "withheld"),
    ]
    assert "a project's file names the endpoint" in key["layers"][0]["reason"]


def test_a_section_alone_means_all_of_its_keys(places):
    places["user"].write_text(FILE)
    keys = [key["key"] for key in explained("aliases")["keys"]]
    assert keys == ["aliases.fast", 'aliases."llama3.2"']
    assert "box.tags" in [key["key"] for key in explained("BOX")["keys"]]


def test_a_model_reference_is_followed_to_its_end(places):
    places["user"].write_text(FILE)
    model = explained("fast")["model"]
    source = model.pop("endpoint_source")
    assert model == {
        "reference": "fast",
        "ref": "box:tiny",
        "backend": "box",
        "model": "tiny",
        "how": "'fast' is an alias; 'box' is a backend",
        "provider": "acme",
        "distribution": "multitap-acme 1",
        "endpoint": "https://box.example",
        "carrier": "direct",
        "proxy": None,
        "proxy_source": None,
        "key": f"written in {places['user']}, line 12",
    }
    assert (source["kind"], source["line"]) == ("user", 11)


def test_the_way_to_a_model_is_shown_without_the_proxys_password(places):
    environ = {"MULTITAP_BOX__PROXY": f"http://me:{KEY}@proxy:3128"}
    places["user"].write_text(FILE)
    model = explained("fast", **environ)["model"]
    assert (model["carrier"], model["proxy"]) == ("direct", "http://***@proxy:3128")
    assert model["proxy_source"] == "MULTITAP_BOX__PROXY"
    text = config("explain", "fast", **environ)
    proxy = "http://***@proxy:3128 # MULTITAP_BOX__PROXY"
    assert f"carrier   direct\nproxy     {proxy}\n" in text
    assert KEY not in text
    assert explained("acme:x", ACME_API_KEY=KEY)["model"]["key"].startswith("env:ACME_API_KEY,")


def test_a_model_within_this_process_has_no_carrier():
    ran = run_here("config", "explain", "stage:one", "--json")
    model = valid("config-explain", ran.out)["model"]
    assert (model["endpoint"], model["carrier"], model["key"]) == ("", None, "none")
    text = run_here("config", "explain", "stage:one").out
    assert "carrier   none: it runs in this process" in text


def test_with_neither_key_nor_model_it_tells_the_files_and_the_default(places):
    places["user"].write_text(FILE)
    lines = config("explain").splitlines()
    found = {line.split()[0]: line.split()[2:] for line in lines[1:3]}
    assert found == {"system": ["is", "not", "there"], "user": ["read"]}
    assert "model     box:small" in lines


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("explain", "acme.regoin"), "did you mean 'region'?"),
        (("explain", "tgi:x"), "pip install multitap-tgi"),
        (("explain", "defaults.colour"), "The keys are: model, provider."),
        (("explain", "plugins.denny"), "did you mean 'deny'?"),
        (("shwo",), "multitap config --help"),
        (("show", "--config", "nowhere.toml"), "cannot be read"),
    ],
)
def test_bad_input_is_one_line_with_a_next_step(words, told):
    ran = run_here("config", *words, plugins=plugins())
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert told in ran.err


def test_config_alone_is_its_help():
    ran = run_here("config")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == run_here("config", "--help").out
    assert "explain  Explain a key" in ran.out


# ---- values as TOML ------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
VALUES = st.recursive(
    st.one_of(
        TEXTS,
        st.integers(-(2**63), 2**63 - 1),
        st.booleans(),
        st.floats(allow_nan=False),
        st.dates(),
        st.times(),
    ),
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(TEXTS, VALUES)
def test_what_is_written_as_toml_is_read_back(name, value):
    assert parse_toml(f"{toml_key(name)} = {toml_value(value)}") == {name: value}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_tokens", 8, 8),
        ("access_token", "abc", "***"),
        ("secret", {"a": ["b", 1]}, {"a": ["***", 1]}),
        ("url", "https://h/a@b", "https://h/a@b"),
        ("urls", ["http://a:b@h/"], ["http://***@h/"]),
        ("key", Secret("env:NAME"), "env:NAME"),
    ],
)
def test_masks(name, value, expected):
    assert masked(name, value) == expected
