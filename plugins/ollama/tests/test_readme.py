"""The README's examples, on a scripted Ollama: they run, and print what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ollama_here import ollama_registry
from readme_examples import blocks, quiet_home, run_python
from scripted_ollama import ScriptedOllama

import multitap
from multitap.config import load_config

README = Path(__file__).parents[1] / "README.md"
SETTING = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


@pytest.fixture
def server():
    with ScriptedOllama() as found:
        yield found


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    quiet_home(tmp_path, monkeypatch, "OLLAMA_API_KEY")


def test_python_examples_run_and_print_what_is_shown(server, monkeypatch, capsys):
    monkeypatch.setenv("MULTITAP_OLLAMA__ENDPOINT", server.url)
    runtime = multitap.Runtime
    monkeypatch.setattr(multitap, "Runtime", lambda: runtime(registry=ollama_registry()))
    assert run_python(README, capsys) == 5


def test_the_llm_toml_is_one(server, tmp_path):
    (text,) = [text for language, text in blocks(README) if language == "toml"]
    file = tmp_path / "llm.toml"
    file.write_text(text.replace("http://127.0.0.1:11434", f"{server.url}/api"), "utf-8")
    with multitap.Runtime(load_config(file), registry=ollama_registry()) as rt:
        assert rt.chat("What is 2 plus 2?").text == "Four."
    sent = server.requests[0].json()
    assert (sent["options"], sent["keep_alive"], sent["shift"]) == ({"num_ctx": 8192}, "30m", False)


def test_every_setting_has_its_row():
    section = README.read_text("utf-8").split("\n## Settings\n")[1].split("\n## ")[0]
    (provider,) = ollama_registry().providers()
    assert SETTING.findall(section) == list(provider.settings)
