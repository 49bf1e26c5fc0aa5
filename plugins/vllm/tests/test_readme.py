"""The README's examples, on a scripted vLLM: they run, and print what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from readme_examples import blocks, quiet_home, run_python
from scripted_vllm import ScriptedVllm
from vllm_here import vllm_registry

import multitap
from multitap.config import load_config

README = Path(__file__).parents[1] / "README.md"
SETTING = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


@pytest.fixture
def server():
    with ScriptedVllm() as found:
        yield found


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    quiet_home(tmp_path, monkeypatch, "VLLM_API_KEY")


def test_python_examples_run_and_print_what_is_shown(server, monkeypatch, capsys):
    monkeypatch.setenv("MULTITAP_VLLM__ENDPOINT", server.url)
    runtime = multitap.Runtime
    monkeypatch.setattr(multitap, "Runtime", lambda: runtime(registry=vllm_registry()))
    assert run_python(README, capsys) == 8


def test_the_llm_toml_is_one(server, tmp_path):
    (text,) = [text for language, text in blocks(README) if language == "toml"]
    file = tmp_path / "llm.toml"
    file.write_text(text.replace("http://127.0.0.1:8000", f"{server.url}/v1"), "utf-8")
    rt = multitap.Runtime(load_config(file), registry=vllm_registry())
    with rt, rt.stream("What is 2 plus 2?") as events:
        list(events)
    assert events.answer.text == "Four."
    sent = server.requests[0].json()
    assert sent["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


def test_every_setting_has_its_row():
    section = README.read_text("utf-8").split("\n## Settings\n")[1].split("\n## ")[0]
    (provider,) = vllm_registry().providers()
    assert SETTING.findall(section) == list(provider.settings)
