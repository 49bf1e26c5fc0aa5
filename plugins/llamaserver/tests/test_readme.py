"""The README's examples, on a scripted llama-server: they run, and print what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from llamaserver_here import llamaserver_registry
from readme_examples import blocks, quiet_home, run_python
from scripted_llamaserver import ScriptedLlamaServer

import multitap
from multitap.config import load_config
from multitap.errors import ConfigError

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def server():
    with ScriptedLlamaServer() as found:
        yield found


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    quiet_home(tmp_path, monkeypatch, "LLAMA_API_KEY")


def test_python_examples_run_and_print_what_is_shown(server, monkeypatch, capsys):
    monkeypatch.setenv("MULTITAP_LLAMASERVER__ENDPOINT", server.url)
    monkeypatch.setattr("multitap_llamaserver.lifecycle.POLL", 0)
    runtime = multitap.Runtime
    monkeypatch.setattr(multitap, "Runtime", lambda: runtime(registry=llamaserver_registry()))
    assert run_python(README, capsys) == 6


def test_the_llm_toml_is_one(server, tmp_path):
    (text,) = [text for language, text in blocks(README) if language == "toml"]
    file = tmp_path / "llm.toml"
    file.write_text(text.replace("http://127.0.0.1:8080", f"{server.url}/v1"), "utf-8")
    with multitap.Runtime(load_config(file), registry=llamaserver_registry()) as rt:
        assert rt.chat("What is 2 plus 2?").text == "Four."


def test_an_option_that_is_not_declared_is_refused(server):
    config = {"defaults": {"model": "llamaserver:tiny"}, "llamaserver": {"endpoint": server.url}}
    runtime = multitap.Runtime(config, registry=llamaserver_registry())
    with runtime as rt, pytest.raises(ConfigError, match="top_q"):
        rt.chat("hi", extra={"top_q": 1})
