"""The README's examples, on a scripted LM Studio: they run, and print what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lmstudio_here import lmstudio_registry
from scripted_lmstudio import ScriptedLmStudio

import multitap
from multitap.config import load_config
from multitap.errors import ConfigError

README = Path(__file__).parents[1] / "README.md"
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks():
    return [(m["language"], m["text"]) for m in FENCE.finditer(README.read_text("utf-8"))]


@pytest.fixture
def server():
    with ScriptedLmStudio() as found:
        yield found


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    for variable in ("MULTITAP_CONFIG", "MULTITAP_PLUGINS", "LM_API_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def test_python_examples_run_and_print_what_is_shown(server, monkeypatch, capsys):
    monkeypatch.setenv("MULTITAP_LMSTUDIO__ENDPOINT", server.url)
    monkeypatch.setattr("multitap_lmstudio.lifecycle.POLL", 0)
    runtime = multitap.Runtime
    monkeypatch.setattr(multitap, "Runtime", lambda: runtime(registry=lmstudio_registry()))
    names, shown = {}, 0
    for number, (language, text) in enumerate(blocks()):
        if language == "python":
            exec(compile(text, str(README), "exec"), names)
            expected, printed = blocks()[number + 1], capsys.readouterr().out
            assert ("text", printed) == expected
            shown += 1
    assert shown == 2


def test_the_llm_toml_is_one(server, tmp_path):
    (text,) = [text for language, text in blocks() if language == "toml"]
    file = tmp_path / "llm.toml"
    file.write_text(text.replace("http://127.0.0.1:1234", f"{server.url}/v1"), "utf-8")
    with multitap.Runtime(load_config(file), registry=lmstudio_registry()) as rt:
        assert rt.chat("What is 2 plus 2?").text == "Four."


def test_an_option_that_is_not_declared_is_refused(server):
    config = {"defaults": {"model": "lmstudio:tiny"}, "lmstudio": {"endpoint": server.url}}
    runtime = multitap.Runtime(config, registry=lmstudio_registry())
    with runtime as rt, pytest.raises(ConfigError, match="top_q"):
        rt.chat("hi", extra={"top_q": 1})


def test_every_setting_has_its_row():
    section = README.read_text("utf-8").split("\n## Settings\n")[1].split("\n## ")[0]
    (provider,) = lmstudio_registry().providers()
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert rows == list(provider.settings)
