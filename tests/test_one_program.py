"""One program, unchanged, on every backend of the repository: ``llm.toml`` alone is different."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from new_machine import kept_environment
from scripted_servers import SERVERS

HERE = Path(__file__).parents[1]
PROGRAM = Path(__file__).with_name("one_program.py")
COMMAND = "import sys; from multitap.cli import main; sys.exit(main())"
MODELS = json.dumps(str(HERE / "plugins/llamacpp/tests/models"))
LOCAL = {
    "echo": "max_input_tokens = 4096",
    "llamacpp": f"models_dir = {MODELS}\ncontext = 512\nthreads = 1",
}
BACKENDS = sorted({*LOCAL, *SERVERS})
MODEL = {
    "echo": "echo",
    "llamacpp": "tiny-llama",
    "ollama": "llama3.2:3b",
    "tgi": "acme/tiny-llama",
}
EMBEDDER = {"echo": "echo", "llamacpp": "tiny-embed", "llamaserver": "bge-small"}
FILE = """\
[defaults]
provider = "{backend}"

[aliases]
embedder = "{backend}:{embedder}"

{section}
"""
SEEN = [
    {"step": "lists", "the default model is listed": True},
    {
        "step": "chats",
        "said something": True,
        "stop_reason": "complete",
        "usage": "reported",
        "adds up": True,
    },
    {
        "step": "streams",
        "several pieces": True,
        "ends with": ["usage", "stop"],
        "as unstreamed": True,
    },
    {
        "step": "uses_a_tool",
        "stop_reason": "tool_use",
        "call": ["get_weather", ["city"]],
        "went on with the result": True,
    },
    {"step": "asks_a_schema", "keys": ["city"]},
    {"step": "embeds", "vectors": 2, "of one size": True},
    {"step": "fails", "too long": "ContextOverflow"},
]
NO_VECTORS = {"step": "embeds", "vectors": "NotSupported"}
SAID = ["The capital of France is Paris.", "It is sunny.", '{"city": "Paris"}']
ECHOED = ["What is the capital of France?", "sunny", '{"city": ""}']


@pytest.fixture(scope="module")
def sections():
    """The section of each backend; those that need a server have a scripted one."""
    with ExitStack() as running:
        urls = {name: running.enter_context(server()).url for name, server in SERVERS.items()}
        more = {**LOCAL, **{name: f'endpoint = "{url}"' for name, url in urls.items()}}
        yield {
            name: f'[{name}]\nmodel = "{MODEL.get(name, "tiny")}"\n{more[name]}\n'
            for name in BACKENDS
        }


def run(folder, *words):
    """What a process prints that runs in this folder, which is its home too."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**kept_environment(), "HOME": str(folder), "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def write(folder, backend, section):
    embedder = EMBEDDER.get(backend, "tiny")
    text = FILE.format(backend=backend, embedder=embedder, section=section)
    (folder / "llm.toml").write_text(text, "utf-8")


def test_no_plugin_is_left_out():
    assert set(BACKENDS) == {path.parent.name for path in HERE.glob("plugins/*/pyproject.toml")}


def test_the_program_names_no_backend():
    source = PROGRAM.read_text("utf-8").casefold()
    assert [name for name in BACKENDS if name in source] == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_program_sees_the_same_on_every_backend(tmp_path, sections, backend):
    write(tmp_path, backend, sections[backend])
    lines = [json.loads(line) for line in run(tmp_path, str(PROGRAM)).splitlines()]
    said = [line.pop("said") for line in lines if "said" in line]
    seen = [NO_VECTORS if line["step"] == "embeds" else line for line in SEEN]
    assert lines == (seen if backend == "tgi" else SEEN)
    if backend != "llamacpp":  # a real model has words of its own
        assert said == (ECHOED if backend == "echo" else SAID)


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_words_of_a_command_line_choose_the_backend(tmp_path, sections, backend):
    write(tmp_path, "vllm", "\n".join(sections.values()))
    words = ("chat", "--json", "--llm", f"provider={backend}", "--", ECHOED[0])
    answer = json.loads(run(tmp_path, "-c", COMMAND, *words))
    said = {"echo": ECHOED[0], "llamacpp": answer["text"]}
    assert (answer["backend"], answer["model"]) == (backend, MODEL.get(backend, "tiny"))
    assert answer["text"] == said.get(backend, SAID[0]) != ""
