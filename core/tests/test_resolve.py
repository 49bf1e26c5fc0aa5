import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.config import backends, load_config
from multitap.errors import ConfigError
from multitap.resolve import ResolvedModel, default_backend, resolve

TABLE = {
    "defaults": {"provider": "ollama", "model": "llama3.2:3b"},
    "aliases": {"fast": "vllm:phi3:8b", "quick": "fast", "plain": "qwen3:4b", "a": "b", "b": "a"},
    "ollama": {},
    "vllm": {"model": "phi3:8b"},
    "gpu-box": {"provider": "vllm"},
}


def meant(reference, table=TABLE, installed=(), overrides=(), **known):
    config = load_config(table, overrides=overrides, environ={})
    return resolve(reference, config, backends(config, installed), **known)


def refused(reference, table=TABLE, installed=(), **known):
    with pytest.raises(ConfigError) as caught:
        meant(reference, table, installed, **known)
    return str(caught.value)


@pytest.mark.parametrize(
    ("reference", "ref"),
    [
        ("fast", "vllm:phi3:8b"),
        ("quick", "vllm:phi3:8b"),
        ("plain", "ollama:qwen3:4b"),
        ("ollama:llama3.2:3b", "ollama:llama3.2:3b"),
        (" OLLAMA : tiny ", "ollama:tiny"),
        ("gpu-box:org/name", "gpu-box:org/name"),
        ("vllm:", "vllm:phi3:8b"),
        ("llama3.2:3b", "ollama:llama3.2:3b"),
        ("org/name", "ollama:org/name"),
        ("fast:latest", "ollama:fast:latest"),
        (None, "ollama:llama3.2:3b"),
    ],
)
def test_what_a_reference_means(reference, ref):
    found = meant(reference)
    assert (ref, reference) == (found.ref, found.reference)


def test_how_it_was_found_is_told():
    assert meant("quick").how == "'quick' is an alias; 'fast' is an alias; 'vllm' is a backend"
    assert meant("tiny").how == "'ollama' is the default backend"


def test_an_alias_goes_before_a_backend_and_a_backend_before_a_scheme():
    table = {"aliases": {"vllm:x": "ollama:y"}, "vllm": {}, "ollama": {}, "hf": {}}
    assert meant("vllm:x", table).ref == "ollama:y"
    assert meant("hf:org/name", table).ref == "hf:org/name"


def test_a_circle_of_aliases_is_shown():
    assert "a -> b -> a" in refused("a")


def test_the_command_line_changes_what_is_meant():
    assert meant(None, overrides=["provider=vllm", "model=phi3:8b"]).ref == "vllm:phi3:8b"


@pytest.mark.parametrize("reference", ["", "  ", "hf:", "path:", "path://"])
def test_an_empty_reference_is_refused(reference):
    assert "Write" in refused(reference, installed=["llamacpp"], schemes={"hf": "vllm"})


# ---- no backend named ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "installed", "backend"),
    [
        ({}, [], None),
        ({}, ["echo"], "echo"),
        ({}, ["echo", "ollama"], "ollama"),
        ({}, ["echo", "vllm"], None),
        ({"vllm": {}}, ["echo", "ollama"], "vllm"),
        ({"vllm": {}, "gpu": {}}, ["ollama"], "ollama"),
        ({"defaults": {"provider": " Echo "}}, ["echo", "ollama"], "echo"),
    ],
)
def test_the_default_backend(table, installed, backend):
    config = load_config(table, environ={})
    assert backend == default_backend(config, backends(config, installed))


def test_nothing_configured_and_one_plugin_is_enough():
    assert meant("tiny", {}, ["ollama"]).ref == "ollama:tiny"
    assert meant(None, {"defaults": {"model": "tiny"}}, ["ollama", "echo"]).ref == "ollama:tiny"
    assert meant(None, {"ollama": {"model": "tiny"}}, ["echo"]).ref == "ollama:tiny"


def test_the_one_backend_that_has_the_model_is_found():
    catalogs = {"vllm": ["phi3"], "ollama": ["qwen"], "gone": ["phi3"]}
    assert meant("phi3", {}, ["ollama", "vllm"], catalogs=catalogs).ref == "vllm:phi3"
    assert meant("phi3", TABLE, catalogs=catalogs).ref == "ollama:phi3"


def test_several_backends_with_the_model_are_all_named():
    catalogs = {"vllm": ["phi3"], "ollama": ["phi3"]}
    text = refused("phi3", {}, ["ollama", "vllm"], catalogs=catalogs)
    assert "Write ollama:phi3 or vllm:phi3." in text


def test_nobody_with_the_model_says_what_to_do():
    text = refused("phi33", {}, ["echo", "vllm"], catalogs={"vllm": ["phi3"]})
    assert "did you mean 'phi3'" in text
    assert "Write backend:phi33" in text
    assert "pip install multitap-ollama" in refused("phi3", {})


def test_no_model_and_no_backend_say_what_to_set():
    assert "set model in [defaults]" in refused(None, {}, ["ollama"])
    assert "Set provider in [defaults]" in refused(None, {}, ["echo", "vllm"])


def test_a_provider_that_is_not_installed_names_its_package():
    expected = "provider 'lmstudio' is not installed. Run `pip install multitap-lmstudio`."
    assert expected == refused("lmstudio:tiny")
    assert "pip install multitap-vllm" in refused("x", {"defaults": {"provider": "vllm"}})
    assert "did you mean 'ollama'" in refused("x", {"defaults": {"provider": "olama"}}, ["ollama"])


def test_demo_is_the_model_that_llamacpp_carries():
    both = ["llamacpp", "ollama"]
    assert meant("demo", installed=both).ref == "llamacpp:demo"
    assert meant("ollama:demo", installed=both).ref == "ollama:demo"
    assert meant("demo").ref == "ollama:demo"
    assert meant("demo", {"aliases": {"demo": "ollama:x"}}, both).ref == "ollama:x"
    assert (
        meant(
            "demo", {"llamacpp": {"provider": "vllm"}, "gpu": {}, "defaults": {"provider": "gpu"}}
        ).ref
        == "gpu:demo"
    )
    assert "pip install multitap-llamacpp" in refused("demo", {}, ["tgi", "vllm"])


# ---- schemes -------------------------------------------------------------------------------------


def test_a_path_is_for_llamacpp(tmp_path, monkeypatch):
    (tmp_path / "tiny.gguf").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = f"llamacpp:{tmp_path / 'tiny.gguf'}"
    spellings = [
        "path:tiny.gguf",
        "path:~/tiny.gguf",
        f"path://{tmp_path}/tiny.gguf",
        "PATH:./tiny.gguf",
    ]
    assert {expected} == {meant(text, installed=["llamacpp"]).ref for text in spellings}


def test_a_path_that_leads_nowhere_is_refused(tmp_path):
    assert f"{tmp_path}/none.gguf" in refused(f"path:{tmp_path}/none.gguf", installed=["llamacpp"])
    assert "there is nothing" in refused("path:" + "x" * 5000, installed=["llamacpp"])
    assert "there is nothing" in refused("path:a\0b", installed=["llamacpp"])


def test_a_path_without_llamacpp_names_the_package():
    assert "pip install multitap-llamacpp" in refused("path:tiny.gguf")


@pytest.mark.parametrize("reference", ["hf:org/name", "https://host/tiny.gguf"])
def test_a_scheme_that_nobody_takes_says_who_could(reference):
    assert "multitap-llamacpp" in refused(reference, installed=["llamacpp"])


def test_a_provider_may_take_a_scheme():
    schemes = {"hf": "vllm", "https": "vllm", "gguf": "ollama"}
    assert meant("hf://org/name", schemes=schemes).ref == "vllm:org/name"
    assert meant("https://h/x", schemes=schemes).ref == "vllm:https://h/x"
    assert meant("gguf:x", schemes=schemes).ref == "ollama:gguf:x"


def test_of_several_takers_the_default_or_the_namesake_is_taken():
    two = {"one": {"provider": "vllm"}, "two": {"provider": "vllm"}}
    schemes = {"hf": "vllm"}
    assert "several backends take hf: references: one, two" in refused("hf:x", two, schemes=schemes)
    chosen = {**two, "defaults": {"provider": "two"}}
    assert meant("hf:x", chosen, ["vllm"], schemes=schemes).ref == "two:x"
    assert meant("hf:x", two, ["vllm"], schemes=schemes).ref == "vllm:x"


REFERENCES = st.text() | st.builds(
    "{}:{}".format, st.sampled_from(["ollama", "hf", "path", "https", "lmstudio", "a"]), st.text()
)


@given(REFERENCES, st.sets(st.sampled_from(["ollama", "vllm", "llamacpp", "echo"])))
def test_any_text_is_resolved_or_a_config_error(reference, installed):
    for table in (TABLE, {}):
        with contextlib.suppress(ConfigError):
            found = meant(reference, table, installed)
            assert isinstance(found, ResolvedModel)
            assert found.backend in {*table, *installed}
            assert found.model


@pytest.mark.parametrize(
    ("reference", "table", "ref"),
    [
        ("LOCAL:tiny", {}, "llama:tiny"),
        (" local : tiny", {}, "llama:tiny"),
        ("LLaMa:tiny", {}, "llama:tiny"),
        ("tiny", {"defaults": {"provider": " LOCAL "}}, "llama:tiny"),
        ("local:tiny", {"local": {"provider": "vLLM"}}, "local:tiny"),
        ("tiny", {"defaults": {"provider": "local"}, "local": {"provider": "x"}}, "local:tiny"),
    ],
)
def test_the_historical_word_means_llama_unless_a_section_has_that_name(reference, table, ref):
    assert meant(reference, table, installed=["llama", "vllm"]).ref == ref


def test_words_of_the_command_line_mean_the_same():
    overrides = ["provider=LOCAL", "model=tiny"]
    assert meant(None, {}, installed=["llama"], overrides=overrides).ref == "llama:tiny"
