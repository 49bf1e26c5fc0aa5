"""A way back to something older: there is none, and who asks for it is told."""

from __future__ import annotations

import pytest
from matrix_lines import has
from matrix_wires import config_of

from multitap.errors import ConfigError

LINE = "retired roll-back path"
RETIRED = {"llm_runtime_mode": "legacy", "runtime": "legacy", "fallback_runtime": True}


@has(LINE)
@pytest.mark.parametrize("key", RETIRED)
def test_a_retired_setting_of_a_backend_is_refused_by_its_name(world, plugin, key):
    here = world(config_of(plugin, **{key: RETIRED[key]}))
    for verb, *said in (("chat", "hi"), ("models", plugin)):
        with pytest.raises(ConfigError, match=rf"unknown key '{key}' in \[{plugin}\]") as caught:
            here.call(verb, *said)
        assert caught.value.key == f"{plugin}.{key}"
        assert f"The keys of {plugin} are: " in caught.value.hint


@has(LINE)
def test_in_a_file_its_place_is_told(world, plugin, tmp_path):
    path = tmp_path / "llm.toml"
    model = config_of(plugin)["defaults"]["model"]
    path.write_text(f'[defaults]\nmodel = "{model}"\n\n[{plugin}]\nllm_runtime_mode = "legacy"\n')
    with pytest.raises(ConfigError, match="llm_runtime_mode") as caught:
        world(path).call("chat", "hi")
    assert f"{path}, line 5" in str(caught.value)


@has(LINE)
def test_in_the_environment_its_variable_is_told(world, plugin, tmp_path, monkeypatch):
    for folder in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(folder, str(tmp_path))
    monkeypatch.delenv("MULTITAP_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MULTITAP_DEFAULTS__MODEL", config_of(plugin)["defaults"]["model"])
    variable = f"MULTITAP_{plugin.upper()}__LLM_RUNTIME_MODE"
    monkeypatch.setenv(variable, "legacy")
    with pytest.raises(ConfigError, match=variable):
        world(None).call("chat", "hi")


@has(LINE)
def test_no_switch_of_all_backends_chooses_another_runtime(world, plugin):
    config = config_of(plugin)
    config["defaults"]["llm_runtime_mode"] = "legacy"
    with pytest.raises(ConfigError, match=r"unknown key 'llm_runtime_mode' in \[defaults\]"):
        world(config)
