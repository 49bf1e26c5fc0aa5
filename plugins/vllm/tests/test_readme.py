"""The README's examples, on a scripted vLLM: they run, and print what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scripted_vllm import ScriptedVllm
from vllm_here import vllm_registry

import multitap
from multitap.config import load_config

README = Path(__file__).parents[1] / "README.md"
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
SETTING = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


def blocks():
    return [(m["language"], m["text"]) for m in FENCE.finditer(README.read_text("utf-8"))]


@pytest.fixture
def server():
    with ScriptedVllm() as found:
        yield found


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    for variable in ("MULTITAP_CONFIG", "MULTITAP_PLUGINS", "VLLM_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def test_python_examples_run_and_print_what_is_shown(server, monkeypatch, capsys):
    monkeypatch.setenv("MULTITAP_VLLM__ENDPOINT", server.url)
    runtime = multitap.Runtime
    monkeypatch.setattr(multitap, "Runtime", lambda: runtime(registry=vllm_registry()))
    names, shown = {}, 0
    for number, (language, text) in enumerate(blocks()):
        if language == "python":
            exec(compile(text, str(README), "exec"), names)
            expected, printed = blocks()[number + 1], capsys.readouterr().out
            assert ("text", printed) == expected
            shown += 1
    assert shown == 7


def test_the_llm_toml_is_one(server, tmp_path):
    (text,) = [text for language, text in blocks() if language == "toml"]
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
