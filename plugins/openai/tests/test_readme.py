"""The README's examples, on a scripted server: they run, and print what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from openai_here import openai_registry
from readme_examples import blocks, quiet_home, run_python
from scripted_openai import ScriptedOpenAI

import multitap
from multitap.config import load_config

README = Path(__file__).parents[1] / "README.md"
SETTING = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


@pytest.fixture
def server():
    with ScriptedOpenAI() as found:
        yield found


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    quiet_home(tmp_path, monkeypatch, "OPENAI_API_KEY")


def test_python_examples_run_and_print_what_is_shown(server, monkeypatch, capsys):
    monkeypatch.setenv("MULTITAP_OPENAI__ENDPOINT", server.url)
    monkeypatch.setenv("MULTITAP_OPENAI__SERVER", "openai")
    runtime = multitap.Runtime
    monkeypatch.setattr(multitap, "Runtime", lambda: runtime(registry=openai_registry()))
    assert run_python(README, capsys) == 5


def test_the_llm_toml_is_one(server, tmp_path, monkeypatch):
    monkeypatch.setenv("ROUTER_API_KEY", "sesame")
    (text,) = [text for language, text in blocks(README) if language == "toml"]
    file = tmp_path / "llm.toml"
    file.write_text(text.replace("https://router.example/api", server.url), "utf-8")
    with multitap.Runtime(load_config(file), registry=openai_registry()) as rt:
        assert rt.chat("What is 2 plus 2?", model="router:tiny").text == "Four."
    sent = server.requests[0]
    assert (sent.path, sent.headers["authorization"]) == ("/v1/chat/completions", "Bearer sesame")


def test_every_setting_has_its_row():
    section = README.read_text("utf-8").split("\n## Settings\n")[1].split("\n## ")[0]
    (provider,) = openai_registry().providers()
    assert SETTING.findall(section) == list(provider.settings)
