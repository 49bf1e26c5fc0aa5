import contextlib
import os
import subprocess
import sys
import types
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multitap.config import (
    Config,
    Secret,
    Section,
    backends,
    build_backend,
    canonical,
    files,
    layers,
    load_config,
    not_installed,
    read_config,
)
from multitap.config.sections import SECTION_KEYS
from multitap.config.sources import lines_of
from multitap.errors import AuthenticationError, ConfigError
from multitap.manifest import KeyInfo, ProviderInfo, Setting
from multitap.work import HttpCall

SEED = """\
[defaults]
provider = "ollama"
model = "llama3.2:3b"

[ollama]
endpoint = "http://127.0.0.1:11434"
timeout_ms = 80000

[vllm]
endpoint = "http://127.0.0.1:8000"
max_input_tokens = 8192
"""
CALL = HttpCall(method="POST", path="/chat")
KEY = "hush-canary-0123456789"
ACME = ProviderInfo(
    name="acme",
    endpoint="http://127.0.0.1:8080",
    key=KeyInfo(variable="ACME_API_KEY"),
    settings={
        "region": Setting(name="region", default="eu", choices=("eu", "us")),
        "retries": Setting(name="retries", type="integer"),
        "ratio": Setting(name="ratio", type="number"),
        "fast": Setting(name="fast", type="boolean"),
        "models": Setting(name="models", type="path"),
        "stops": Setting(name="stops", type="list"),
        "extra": Setting(name="extra", type="table"),
    },
)
NEEDY = ProviderInfo(name="acme", key=KeyInfo(variable="ACME_API_KEY", required=True))


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The three files' places, and an empty project two folders deep."""
    found = types.SimpleNamespace(
        system=tmp_path / "etc" / "llm.toml",
        user=tmp_path / "user" / "multitap" / "llm.toml",
        project=tmp_path / "project" / "llm.toml",
        directory=tmp_path / "project" / "src" / "deep",
    )
    for folder in (found.system.parent, found.user.parent, found.directory):
        folder.mkdir(parents=True)
    monkeypatch.setattr(files, "SYSTEM_FILE", found.system)
    monkeypatch.setattr(files, "_user_file", lambda: found.user)
    found.load = lambda environ=None, overrides=(): load_config(
        environ=environ or {}, directory=found.directory, overrides=overrides
    )
    return found


def sent(section, provider=ACME):
    """The headers that a call of this section's backend would carry."""
    auth = build_backend(section, provider).auth
    return {} if auth is None else dict(auth(CALL, b""))


def written(tmp_path, text):
    path = tmp_path / "written.toml"
    path.write_text(text, "utf-8")
    return path


def refused(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text))
    return caught.value


# ---- layers --------------------------------------------------------------------------------------


def test_the_file_of_the_documentation_loads(tmp_path):
    config = load_config(written(tmp_path, SEED))
    assert (config.defaults.provider, config.defaults.model) == ("ollama", "llama3.2:3b")
    assert config.sections["ollama"].timeout_ms == 80000
    assert config.sections["vllm"].max_input_tokens == 8192
    assert config.sections["vllm"].endpoint == "http://127.0.0.1:8000"


def test_words_of_the_command_line_act_on_defaults_and_sections(tmp_path):
    words = ["provider=vllm", "model=phi3:8b", "vllm.endpoint=http://gpu:8000"]
    config = load_config(written(tmp_path, SEED), overrides=words)
    assert (config.defaults.provider, config.defaults.model) == ("vllm", "phi3:8b")
    assert config.sections["vllm"].endpoint == "http://gpu:8000"
    assert str(config.sections["vllm"].sources["endpoint"]) == "--llm"


def test_each_layer_lies_upon_the_one_before(places):
    for number, file in enumerate((places.system, places.user, places.project), 1):
        lines = [f"a{n} = {number}" for n in range(number, 6)]
        file.write_text("[x]\n" + "\n".join(lines))
    environ = {"MULTITAP_X__A4": "4", "MULTITAP_X__A5": "4"}
    section = places.load(environ, ["x.a5=5"]).sections["x"]
    assert dict(section.settings) == {"a1": 1, "a2": 2, "a3": 3, "a4": "4", "a5": "5"}
    kinds = [section.sources[f"a{n}"].kind for n in range(1, 6)]
    assert kinds == ["system", "user", "project", "environment", "command line"]


def test_the_nearest_project_file_is_read_alone(places):
    places.project.write_text("[defaults]\nprovider = 'far'\nmodel = 'far'")
    (places.directory / "llm.toml").write_text("[defaults]\nprovider = 'near'")
    assert (places.load().defaults.provider, places.load().defaults.model) == ("near", None)


def test_a_named_file_replaces_all_three(places, tmp_path):
    places.user.write_text("[defaults]\nmodel = 'user'")
    places.project.write_text("[defaults]\nmodel = 'project'")
    other = written(tmp_path, "[defaults]\nprovider = 'other'")
    config = places.load({"MULTITAP_CONFIG": str(other), "MULTITAP_DEFAULTS__PROVIDER": "env"})
    assert (config.defaults.provider, config.defaults.model) == ("env", None)


def test_a_path_and_a_mapping_stand_alone(places, monkeypatch):
    places.user.write_text("[ollama]\nmodel = 'user'")
    environ = {"MULTITAP_OLLAMA__MODEL": "env"}
    monkeypatch.chdir(places.directory)
    assert load_config({}, environ=environ).sections == {}
    assert load_config(places.user, environ=environ).sections["ollama"].model == "user"


def test_an_empty_section_is_a_backend():
    assert load_config({"Echo": {}}).sections["echo"].provider == "echo"


def test_the_users_file_lies_in_the_platforms_own_folder():
    assert files._user_file().parts[-2:] == ("multitap", "llm.toml")


def test_nothing_at_all_is_a_configuration(places):
    assert Config(environ={}) == places.load()


def test_variables_reach_sections_with_hyphens_lists_and_chosen_distributions(places):
    places.project.write_text("[gpu-box]\nprovider = 'vllm'")
    config = places.load(
        {
            "MULTITAP_GPU_BOX__TIMEOUT_MS": "5",
            "MULTITAP_PLUGINS__ALLOW": "one, two",
            "MULTITAP_PLUGINS__CHOOSE__OLLAMA": "acme-ollama",
            "MULTITAP_PLUGINS": "none",
            "MULTITAP_OLLAMA__MODEL": "",
        }
    )
    assert list(config.sections) == ["gpu-box"]
    assert config.sections["gpu-box"].timeout_ms == 5
    assert config.plugins.allow == ("one", "two")
    assert config.plugins.choose == {"ollama": "acme-ollama"}
    assert str(config.plugins.sources["allow"]) == "MULTITAP_PLUGINS__ALLOW"


@pytest.mark.parametrize(
    ("variable", "value", "configured"),
    [
        ("MULTITAP_ACME__MODEL", "m", True),
        ("MULTITAP_ACME", "m", False),
        ("MULTITAP_PLUGINS", "none", False),
        ("MULTITAP_CONFIG", os.devnull, False),
        ("MULTITAP_CONFIG", "not-there.toml", True),
    ],
)
def test_a_variable_configures_something(variable, value, configured, places, monkeypatch):
    monkeypatch.chdir(places.directory)
    for name in [name for name in os.environ if name.startswith("MULTITAP_")]:
        monkeypatch.delenv(name)
    assert not files.is_anything_configured()
    monkeypatch.setenv(variable, value)
    assert files.is_anything_configured() is configured


@pytest.mark.parametrize("layer", ["system", "user", "project"])
def test_a_file_configures_something(layer, places, monkeypatch):
    monkeypatch.chdir(places.directory)
    monkeypatch.delenv("MULTITAP_CONFIG", raising=False)
    getattr(places, layer).write_text("")
    assert files.is_anything_configured()


def test_chosen_distributions_of_two_layers_are_joined(places):
    places.user.write_text("[plugins.choose]\nOllama = 'a'\nvllm = 'b'")
    places.project.write_text("[plugins]\nfilters = ['f']\nchoose = {vllm = 'c'}")
    plugins = places.load().plugins
    assert plugins.choose == {"ollama": "a", "vllm": "c"}
    assert (plugins.filters, plugins.allow) == (("f",), None)


def test_sources_tell_file_and_line(tmp_path):
    path = written(tmp_path, "# first\n[aliases]\nfast = 'x:y'\n" + SEED)
    config = load_config(path)
    assert f"{path}, line 10" == str(config.sections["ollama"].sources["timeout_ms"])
    assert f"{path}, line 3" == str(config.alias_sources["fast"])


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ('a = """\n[x]\nb = 1\n"""\n[x]\nb = 2', ("x", "b"), 6),
        ("a = '''\n[x]\n'''''\n[x]\nb = 2", ("x", "b"), 5),
        ('[ "x" . y ]\n"q.r" . s = 1', ("x", "y", "q.r", "s"), 2),
        ("a = [\n  '[x]', # [x]\n]\n[x] # here", ("x",), 4),
        ("x.y = {b = 1}\r\nx.z = '#'\r\nx.w = 3", ("x", "w"), 3),
        ('a = "\\"[x]"\n\n[[x]]\nb = 1', ("x", "b"), 4),
    ],
)
def test_lines_of_keys_are_found_behind_all_that_looks_like_one(text, path, line):
    assert line == lines_of(text)[path]


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[defaults]\nmodle = 'x'", 2, ["modle", "'model'", "model, provider"]),
        ("[plugins]\ndenny = []", 2, ["denny", "'deny'"]),
        ("[plugins]\nallow = [1]", 2, ["list of texts"]),
        ("[plugins]\nchoose = 'x'", 2, ["choose", "a table"]),
        ("[ollama]\n\ntimeout_ms = -1", 3, ["timeout_ms in [ollama]", "more than 0"]),
        ("[ollama]\ntimeout_ms = true", 2, ["a whole number", "true or false"]),
        ("[ollama]\ntimeout_ms = 1.5", 2, ["a whole number"]),
        ("[ollama]\nmax_input_tokens = '9'", 2, ["a whole number, not a text"]),
        ("[ollama]\nmodel = ' '", 2, ["is empty"]),
        ("[ollama]\napi_key = 5", 2, ["api_key", "a text"]),
        ("[ollama]\napi_key = 'env:'", 2, ["api_key"]),
        ("[ollama]\n[Ollama]", 2, ["[ollama] and [Ollama] are one"]),
        ("provider = 'ollama'", 1, ["in no section", "[defaults]"]),
        ("[[ollama]]\nmodel = 'x'", 1, ["in no section"]),
        ("['a:b']", 1, ["no name for a section"]),
        ("[aliases]\nfast = 1", 2, ["fast in [aliases]", "a text"]),
    ],
)
def test_wrong_input_is_refused_with_its_line(tmp_path, text, line, words):
    error = refused(tmp_path, text)
    assert (str(tmp_path / "written.toml"), line) == (error.file, error.line)
    assert [word for word in words if word not in str(error)] == []


def test_a_syntax_error_has_line_and_column(tmp_path):
    error = refused(tmp_path, "[ollama]\nmodel = = 'x'\n")
    assert (error.line, error.column) == (2, 9)
    assert f"{error.file}, line 2, column 9" in str(error)


def test_a_file_that_ends_too_early_has_its_last_line(tmp_path):
    assert refused(tmp_path, "[ollama]\nmodel = [\n'x'").line == 3


def test_all_problems_are_told_at_once(tmp_path):
    error = refused(tmp_path, "[defaults]\nmodle = 1\n[x]\ntimeout_ms = 0\nendpoint = 'y'")
    assert [f"line {n}" for n in range(1, 7) if f"line {n}" in str(error)] == [
        "line 2",
        "line 4",
        "line 5",
    ]
    assert error.key == "defaults.modle"


@pytest.mark.parametrize(
    "endpoint",
    [
        "localhost:11434",
        "ftp://host",
        "http://",
        "http://host:port",
        "http://[::1",
        "http://host:99999",
        "http://ho st",
        "http://host\\n",
        f"http://user:{KEY}@host",
        f"http://{KEY}@host",
        f"http://host?key={KEY}",
        f"http://host/#{KEY}",
        "http://host?",
    ],
)
def test_an_endpoint_is_a_plain_url(tmp_path, endpoint):
    error = refused(tmp_path, f'[x]\nendpoint = "{endpoint}"')
    assert error.line == 2
    assert KEY not in str(error)


@pytest.mark.parametrize("word", ["modle=x", "ollama", "=x", ".x=1", "a.b.c=1", "a/b.c=1"])
def test_a_wrong_word_after_llm_lists_the_keys(word):
    with pytest.raises(ConfigError, match=r"model, provider|no name") as caught:
        load_config({}, overrides=[word])
    assert "--llm" in str(caught.value)


@pytest.mark.parametrize("variable", ["MULTITAP_A__B__C", "MULTITAP_A__", "MULTITAP_X__TIMEOUT_MS"])
def test_a_wrong_variable_is_named(places, variable):
    with pytest.raises(ConfigError, match=variable):
        places.load({variable: "soon"})


@pytest.mark.parametrize("content", [b"\xff\xfe[x]", b"[" * 5000, b"x = " + b"[" * 100_000])
def test_what_is_no_toml_is_a_config_error(tmp_path, content):
    path = tmp_path / "llm.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"llm\.toml"):
        load_config(path)


@pytest.mark.parametrize("path", ["missing.toml", ".", "nul\0", "~nobody-of-this-name/x"])
def test_a_named_file_that_cannot_be_read_is_a_config_error(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(path)


def test_a_byte_order_mark_is_no_problem(tmp_path):
    path = tmp_path / "llm.toml"
    path.write_bytes(b"\xef\xbb\xbf[ollama]\nmodel = 'x'")
    assert load_config(path).sections["ollama"].model == "x"


PIECES = st.sampled_from(
    [
        *"[]=.{}#-\\'\"\n1",
        "defaults",
        "ollama",
        "api_key",
        "endpoint",
        "timeout_ms",
        "plugins",
        "choose",
        " = ",
        "[x]\n",
        "true",
        "'env:A'",
        '"""',
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(st.binary(), st.lists(PIECES, max_size=30).map(lambda p: "".join(p).encode())))
def test_garbage_raises_nothing_but_config_errors(tmp_path, content):
    path = tmp_path / "llm.toml"
    path.write_bytes(content)
    with contextlib.suppress(ConfigError):
        assert isinstance(load_config(path), Config)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
SECTIONS = st.sampled_from(["defaults", "plugins", "aliases", "x"]) | st.text()
TABLES = st.dictionaries(
    st.sampled_from([*SECTION_KEYS, "allow", "choose"]) | st.text(), VALUES, max_size=3
)


@settings(deadline=None)
@given(st.dictionaries(SECTIONS, TABLES | VALUES, max_size=3))
def test_any_mapping_loads_or_is_a_config_error(mapping):
    with contextlib.suppress(ConfigError):
        load_config(mapping, environ={})


# ---- secrets -------------------------------------------------------------------------------------


def test_a_secret_is_never_shown():
    secret = Secret(KEY)
    config = load_config({"acme": {"api_key": KEY}}, environ={"OTHER": KEY})
    backend = build_backend(config.sections["acme"], ACME)
    shown = [repr(secret), str(secret), f"{secret}", repr(config), repr(config.sections)]
    shown += [repr(backend), repr(backend.auth), str(backend.auth)]
    assert [text for text in shown if KEY in text] == []
    assert repr(Secret("env:ACME")) == "Secret(env:ACME)"


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=9), st.text(), st.text()
)
def test_redact_leaves_nothing_of_the_value(value, before, after):
    secret = Secret("env:A", environ={"A": value})
    assert value not in secret.redact(before + value + after)
    assert value not in repr(secret)


def test_redact_finds_a_percent_encoded_key():
    assert Secret("a+b/c==").redact("?key=a%2Bb%2Fc%3D%3D") == "?key=***"


def test_references_are_followed_at_first_use(tmp_path):
    environ = {}
    (tmp_path / "llm.toml").write_text("[a]\napi_key = 'env:LATER'\n[b]\napi_key = 'file:key.txt'")
    config = load_config(tmp_path / "llm.toml", environ=environ)
    environ["LATER"] = KEY
    (tmp_path / "key.txt").write_text(f"{KEY}\n")
    assert config.sections["a"].api_key.reveal() == KEY
    assert config.sections["b"].api_key.reveal() == KEY


def test_a_keyring_is_asked_if_there_is_one(monkeypatch):
    ring = types.SimpleNamespace(get_password={("multitap", "acme"): KEY}.get)
    monkeypatch.setitem(
        sys.modules,
        "keyring",
        types.SimpleNamespace(get_password=lambda *place: ring.get_password(place)),
    )
    assert Secret("keyring:acme").reveal() == KEY
    with pytest.raises(ConfigError, match="keyring set multitap other"):
        Secret("keyring:other").reveal()


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("env:NOT_SET", "environment variable NOT_SET"),
        ("env:EMPTY", "env:EMPTY is empty"),
        ("env:TWO_LINES", "no key can have"),
        ("file:/nowhere/key", "file:/nowhere/key cannot be read"),
        ("keyring:acme", r"pip install 'multitap\[keyring\]'"),
    ],
)
def test_an_unresolved_reference_is_named_without_its_value(monkeypatch, reference, words):
    monkeypatch.setitem(sys.modules, "keyring", None)
    environ = {"EMPTY": "", "TWO_LINES": f"{KEY}\r\nHost: evil"}
    with pytest.raises(ConfigError, match=words) as caught:
        Secret(reference, environ=environ).reveal()
    assert KEY not in str(caught.value)


def test_a_key_written_behind_env_is_not_repeated():
    with pytest.raises(ConfigError) as caught:
        load_config({"acme": {"api_key": f"env:{KEY}"}})
    assert KEY not in str(caught.value)


def test_wrong_values_beside_a_key_do_not_show_it(tmp_path):
    wrong = [
        f"[a]\napi_key = ['{KEY}']",
        f'[b]\napi_key = "{KEY}\\n"\nendpoint = "{KEY}"\ntimeout_ms = "{KEY}"',
        f"[c]\napi_key = {KEY}",
        f"[defaults]\nmodel = ['{KEY}']",
    ]
    assert [text for text in wrong if KEY in str(refused(tmp_path, text))] == []


# ---- whose key goes where ------------------------------------------------------------------------

EVIL = "[acme]\nendpoint = 'https://elsewhere.example'\n"


def test_a_users_key_goes_to_the_users_endpoint(places):
    places.user.write_text(f"[acme]\nendpoint = 'https://mine.example'\napi_key = '{KEY}'")
    places.project.write_text("[acme]\nmodel = 'x'")
    assert {"Authorization": f"Bearer {KEY}"} == sent(places.load().sections["acme"])


@pytest.mark.parametrize("file", ["project", "near"])
@pytest.mark.parametrize("origin", ["system", "user", "environment", "provider", "command line"])
def test_a_users_key_never_goes_to_a_projects_endpoint(places, file, origin):
    place = places.project if file == "project" else places.directory / "llm.toml"
    place.write_text(EVIL)
    key = f"[acme]\nendpoint = 'https://mine.example'\napi_key = '{KEY}'"
    if origin in ("system", "user"):
        getattr(places, origin).write_text(key)
    names = {"environment": "MULTITAP_ACME__API_KEY", "provider": "ACME_API_KEY"}
    environ = {names[origin]: KEY} if origin in names else {}
    words = [f"acme.api_key={KEY}"] if origin == "command line" else []
    section = places.load(environ, words).sections["acme"]
    assert build_backend(section, ACME).endpoint == "https://elsewhere.example"
    assert section.api_key is None
    assert sent(section) == {}
    assert (origin != "provider") == (section.withheld is not None)
    with pytest.raises(AuthenticationError, match="not sent there"):
        sent(section, NEEDY)


@pytest.mark.parametrize(
    "spelling",
    [
        "[ACME]\nendpoint = '{}'",
        "[\"acme\"]\nendpoint = '{}'",
        "[ ' acme ' ]\n'endpoint' = '{}'",
        "acme.endpoint = '{}'",
        "acme = {{endpoint = '{}'}}",
    ],
)
def test_another_spelling_of_the_endpoint_does_not_get_the_key(places, spelling):
    places.user.write_text(f"[acme]\napi_key = '{KEY}'")
    places.project.write_text(spelling.format("https://elsewhere.example"))
    section = places.load({"ACME_API_KEY": KEY}).sections["acme"]
    assert section.endpoint == "https://elsewhere.example"
    assert sent(section) == {}


def test_a_new_section_of_a_project_does_not_get_the_providers_key(places):
    places.project.write_text(EVIL.replace("[acme]", "[other]\nprovider = 'acme'"))
    assert sent(places.load({"ACME_API_KEY": KEY}).sections["other"]) == {}


def test_a_projects_endpoint_gets_the_key_of_that_file(places):
    places.project.write_text(EVIL + "api_key = 'of-the-project'")
    environ = {"MULTITAP_ACME__API_KEY": KEY, "ACME_API_KEY": KEY}
    section = places.load(environ).sections["acme"]
    assert sent(section) == {"Authorization": "Bearer of-the-project"}
    assert section.withheld is None


@pytest.mark.parametrize("reference", ["env:ACME_API_KEY", " env:OTHER", "file:{}", "keyring:x"])
def test_a_project_cannot_name_the_users_key_for_its_endpoint(places, tmp_path, reference):
    (tmp_path / "key").write_text(KEY)
    reference = reference.format(tmp_path / "key")
    places.project.write_text(f"{EVIL}api_key = '{reference}'")
    section = places.load({"ACME_API_KEY": KEY, "OTHER": KEY}).sections["acme"]
    with pytest.raises(AuthenticationError, match="MULTITAP_ACME__ENDPOINT") as caught:
        sent(section)
    assert "line 3" in str(caught.value)
    assert section.api_key is None


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "[::1]:1"])
def test_a_key_that_a_project_names_may_stay_on_this_machine(places, host):
    places.project.write_text(f"[acme]\nendpoint = 'http://{host}'\napi_key = 'env:ACME_API_KEY'")
    section = places.load({"ACME_API_KEY": KEY}).sections["acme"]
    assert sent(section) == {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize("host", ["127.0.0.1.evil.example", "localhost.example", "0x7f.1"])
def test_what_only_looks_like_this_machine_gets_no_key(places, host):
    places.project.write_text(f"[acme]\nendpoint = 'http://{host}'\napi_key = 'env:ACME_API_KEY'")
    assert places.load({"ACME_API_KEY": KEY}).sections["acme"].api_key is None


@pytest.mark.parametrize("origin", ["environment", "command line"])
def test_the_users_own_word_for_an_endpoint_allows_the_key(places, origin):
    places.user.write_text(f"[acme]\napi_key = '{KEY}'")
    places.project.write_text(EVIL)
    variables = {"MULTITAP_ACME__ENDPOINT": "https://mine.example"}
    environ, words = (
        (variables, []) if origin == "environment" else ({}, ["acme.endpoint=http://a"])
    )
    assert {"Authorization": f"Bearer {KEY}"} == sent(places.load(environ, words).sections["acme"])


def test_a_project_without_an_endpoint_may_refer_to_the_users_key(places):
    places.project.write_text("[acme]\napi_key = 'env:MINE'")
    assert {"Authorization": f"Bearer {KEY}"} == sent(places.load({"MINE": KEY}).sections["acme"])


def test_a_file_that_the_user_names_is_the_users(places):
    places.project.write_text(EVIL)
    environ = {"ACME_API_KEY": KEY, "MULTITAP_CONFIG": str(places.project)}
    assert {"Authorization": f"Bearer {KEY}"} == sent(places.load(environ).sections["acme"])


def test_the_users_own_file_is_no_project(places):
    places.user.write_text(f"{EVIL}api_key = 'env:MINE'")
    config = load_config(environ={"MINE": KEY}, directory=places.user.parent)
    assert {"Authorization": f"Bearer {KEY}"} == sent(config.sections["acme"])


# ---- backends ------------------------------------------------------------------------------------


def built(table, environ=None, provider=ACME):
    config = load_config({"acme": table}, environ=environ or {})
    return build_backend(config.sections["acme"], provider)


@pytest.mark.parametrize(
    ("written_endpoint", "endpoint"),
    [
        ("http://h:1", "http://h:1"),
        ("http://h:1/", "http://h:1"),
        ("http://h:1/v1", "http://h:1"),
        ("http://h:1/v1/", "http://h:1"),
        ("http://h/openai/v1", "http://h/openai"),
        ("http://v1", "http://v1"),
        ("http://h/rev1", "http://h/rev1"),
        ("unix:///run/llm.sock", "unix:///run/llm.sock"),
        ("unix:///run/llm.sock:/", "unix:///run/llm.sock"),
        ("unix:///run/llm.sock:/v1/", "unix:///run/llm.sock"),
        ("unix:///run/llm.sock:/openai/v1", "unix:///run/llm.sock:/openai"),
        ("unix:///run/v1", "unix:///run/v1"),
        (None, "http://127.0.0.1:8080"),
    ],
)
def test_an_endpoint_means_the_same_with_and_without_v1(written_endpoint, endpoint):
    assert endpoint == built({"endpoint": written_endpoint}).endpoint


@pytest.mark.parametrize(
    ("written_endpoint", "endpoint"),
    [
        ("http://h:1/api", "http://h:1"),
        ("http://h:1/api/", "http://h:1"),
        ("http://h:1/v1", "http://h:1"),
        ("http://h/proxy/api", "http://h/proxy"),
        ("http://api", "http://api"),
        ("http://h/myapi", "http://h/myapi"),
    ],
)
def test_a_provider_may_name_other_ends_that_make_no_difference(written_endpoint, endpoint):
    provider = attrs.evolve(ACME, suffixes=["/api"])
    assert endpoint == built({"endpoint": written_endpoint}, provider=provider).endpoint


def test_settings_are_checked_and_defaults_filled_in(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = built({"retries": 3, "models": "~/models", "extra": {"a": 1}}).settings
    expected = {"region": "eu", "retries": 3, "models": str(tmp_path / "models"), "extra": {"a": 1}}
    assert expected == dict(settings)


def test_a_relative_path_starts_at_its_file(tmp_path, monkeypatch):
    written(tmp_path, "[acme]\nmodels = 'here'")
    monkeypatch.chdir(tmp_path)
    config = load_config("written.toml")
    monkeypatch.chdir("/")
    settings = build_backend(config.sections["acme"], ACME).settings
    assert str(tmp_path / "here") == settings["models"]


def test_texts_of_the_command_line_become_what_the_setting_is():
    words = [
        "acme.retries=3",
        "acme.ratio=0.5",
        "acme.fast=on",
        "acme.stops=a,b",
        "acme.extra={x=1}",
    ]
    config = load_config({}, overrides=words, environ={})
    settings = dict(build_backend(config.sections["acme"], ACME).settings)
    del settings["region"]
    expected = {"retries": 3, "ratio": 0.5, "fast": True, "stops": ["a", "b"], "extra": {"x": 1}}
    assert expected == settings


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("regoin = 'eu'", ["unknown key 'regoin' in [acme]", "'region'"]),
        ("endpont = 'http://h'", ["'endpoint'"]),
        ("proxies = 'http://h'", ["unknown key 'proxies'"]),
        ("region = 'moon'", ["has to be one of 'eu', 'us'"]),
        ("retries = 'x'", ["a whole number"]),
        ("ratio = nan", ["a number"]),
        ("fast = 1", ["true or false"]),
        ("stops = 'x'", ["a list"]),
        ("extra = 'x'", ["a table"]),
        ("models = 1", ["the path"]),
    ],
)
def test_a_wrong_setting_is_refused_with_its_line(tmp_path, line, words):
    config = load_config(written(tmp_path, f"[acme]\n{line}"))
    with pytest.raises(ConfigError) as caught:
        build_backend(config.sections["acme"], ACME)
    assert caught.value.line == 2
    assert [word for word in words if word not in str(caught.value)] == []


def test_the_key_goes_into_the_providers_own_header():
    provider = ProviderInfo(name="acme", key=KeyInfo(header="x-api-key", scheme=""))
    assert dict(built({"api_key": KEY}, provider=provider).auth(CALL, b"")) == {"x-api-key": KEY}


def test_the_providers_variable_is_read_where_the_section_has_no_key():
    environ = {"ACME_API_KEY": KEY}
    assert {"Authorization": f"Bearer {KEY}"} == dict(built({}, environ).auth(CALL, b""))
    assert dict(built({"api_key": "own"}, environ).auth(CALL, b"")) == {
        "Authorization": "Bearer own"
    }
    assert built({}, environ).auth.redact(f"echo {KEY}") == "echo ***"
    assert built({}).auth is None


def test_a_missing_key_is_told_at_the_first_call():
    backend = built({}, provider=NEEDY)
    with pytest.raises(AuthenticationError, match="Set ACME_API_KEY, or api_key in \\[acme\\]"):
        backend.auth(CALL, b"")


def test_an_installed_provider_without_a_section_is_a_backend():
    config = load_config({"gpu": {"provider": "vllm"}, "ollama": {"model": "x"}})
    found = backends(config, ["ollama", "vllm"])
    assert sorted(found) == ["gpu", "ollama", "vllm"]
    assert (found["ollama"].model, found["vllm"].provider) == ("x", "vllm")


def test_names_of_providers_are_canonical():
    assert (canonical(" LOCAL "), canonical("vLLM"), canonical("")) == ("llama", "vllm", "")
    assert load_config({"GPU": {"provider": " vLLM "}}).sections["gpu"].provider == "vllm"


def test_a_provider_that_is_not_installed_names_its_package():
    expected = "provider 'ollama' is not installed. Run `pip install multitap-ollama`."
    assert expected == str(not_installed("ollama"))
    assert "did you mean 'ollama'" in str(not_installed("olama"))
    assert "did you mean 'acme'" in str(not_installed("acmee", ["acme"]))


def test_reading_the_configuration_imports_nothing_heavy():
    heavy = (
        "asyncio",
        "cattrs",
        "click",
        "httptools",
        "httpx",
        "importlib_metadata",
        "socket",
        "ssl",
    )
    code = (
        "import sys; from multitap.config import load_config; load_config({'a': {'model': 'x'}});"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    source = str(Path(layers.__file__).parents[2])
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert ran.stdout.strip() == "[]"


def test_a_section_made_in_code_needs_its_names_alone():
    section = Section(name="acme", provider="acme", environ={})
    assert build_backend(section, ACME).endpoint == "http://127.0.0.1:8080"


# ---- for those who look at it --------------------------------------------------------------------


def test_what_lost_to_a_stronger_layer_is_kept(places):
    places.user.write_text("[acme]\nmodel = 'a'")
    places.project.write_text("[acme]\nmodel = 'b'")
    config = places.load({"MULTITAP_ACME__MODEL": "c"}, ["acme.model=d"])
    said = [(e.value, e.source.kind) for e in config.entries if e.path == ("acme", "model")]
    layers = [("a", "user"), ("b", "project"), ("c", "environment"), ("d", "command line")]
    assert said == layers
    assert "'c'" not in repr(config)


def test_what_is_right_can_be_read_beside_what_is_wrong(tmp_path):
    file = written(tmp_path, "[acme]\nmodel = 'a'\ntimeout_ms = 'soon'\n[defaults]\ncolour = 'red'")
    config, problems = read_config(file)
    assert config.sections["acme"].model == "a"
    assert {(p.key, p.line) for p in problems} == {("acme.timeout_ms", 3), ("defaults.colour", 5)}
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert [p.key for p in caught.value.problems] == [p.key for p in problems]


def test_a_single_problem_is_the_error_itself(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, "[defaults]\ncolour = 'red'"))
    assert (caught.value.key, caught.value.problems) == ("defaults.colour", ())


@pytest.mark.parametrize(
    ("proxy", "endpoint", "refused"),
    [
        ("http://p:1", "", True),
        ("http://p:1", "http://h", False),
        ("http://p:1", "unix:///run/llm.sock", True),
        ("system", "unix:///run/llm.sock", False),
        ("none", "", False),
        ("system", "", False),
    ],
)
def test_a_proxy_is_for_backends_that_are_reached(proxy, endpoint, refused):
    section = Section(name="local", provider="local", proxy=proxy, endpoint=endpoint or None)
    provider = ProviderInfo(name="local")
    if not refused:
        assert build_backend(section, provider).endpoint == endpoint
        return
    with pytest.raises(ConfigError, match=r"proxy in \[local\] has no use") as caught:
        build_backend(section, provider)
    assert caught.value.key == "local.proxy"


@pytest.mark.parametrize(
    "endpoint",
    [
        "unix:/run/llm.sock",
        "unix://run/llm.sock",
        "unix:///",
        "unix:///run/llm.sock:v1",
        "unix:///run/llm.sock?v1",
        "unix:///run/llm.sock#v1",
        "unix://me:key@/run/llm.sock",
        "unix:///run/my llm.sock",
    ],
)
def test_what_is_no_unix_socket_is_refused(endpoint):
    with pytest.raises(ConfigError, match=r"endpoint in \[acme\] has to look like unix:///run"):
        load_config({"acme": {"endpoint": endpoint}}, environ={})


def test_a_unix_socket_of_a_projects_file_is_on_this_machine(tmp_path, monkeypatch):
    """A reference beside it is followed, as it is for an endpoint at localhost."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MINE", "sesame")
    monkeypatch.chdir(tmp_path)
    text = "[acme]\nendpoint = 'unix:///run/llm.sock'\napi_key = 'env:MINE'"
    (tmp_path / "llm.toml").write_text(text)
    section = load_config().sections["acme"]
    assert (section.api_key.reveal(), section.withheld) == ("sesame", None)
