"""The README's examples, on a scripted TGI and TEI: they run, and print what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from readme_examples import blocks, quiet_home, run_python
from scripted_tei import ScriptedTei
from scripted_tgi import ScriptedTgi
from tgi_here import tgi_registry

import multitap
from multitap.config import load_config

README = Path(__file__).parents[1] / "README.md"
OPTION = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


@pytest.fixture
def server():
    with ScriptedTgi() as found:
        yield found


@pytest.fixture
def embedder(monkeypatch):
    with ScriptedTei() as found:
        monkeypatch.setenv("MULTITAP_TEI__PROVIDER", "tgi")
        monkeypatch.setenv("MULTITAP_TEI__ENDPOINT", found.url)
        yield found


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    quiet_home(tmp_path, monkeypatch, "TGI_API_KEY")


def test_python_examples_run_and_print_what_is_shown(server, embedder, monkeypatch, capsys):
    monkeypatch.setenv("MULTITAP_TGI__ENDPOINT", server.url)
    runtime = multitap.Runtime
    monkeypatch.setattr(multitap, "Runtime", lambda: runtime(registry=tgi_registry()))
    assert run_python(README, capsys) == 5


def test_the_llm_toml_is_one(server, embedder, tmp_path, monkeypatch):
    monkeypatch.setenv("TGI_API_KEY", "hush-canary-sesame")
    (text,) = [text for language, text in blocks(README) if language == "toml"]
    file = tmp_path / "llm.toml"
    text = text.replace("http://127.0.0.1:8080", f"{server.url}/v1")
    file.write_text(text.replace("http://127.0.0.1:8081", embedder.url), "utf-8")
    with multitap.Runtime(load_config(file), registry=tgi_registry()) as rt:
        assert len(rt.embed("hi", model="tei:any").vectors) == 1
        assert rt.chat("What is 2 plus 2?").text == "Four."
    assert server.requests[0].headers["authorization"] == "Bearer hush-canary-sesame"


def test_every_option_has_its_row():
    section = README.read_text("utf-8").split("`extra=` has")[1].split("```")[0]
    (provider,) = tgi_registry().providers()
    assert OPTION.findall(section) == list(provider.parameters)
