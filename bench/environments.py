"""The virtual environment of each peer: ``python -m bench.environments`` makes those that lack.

One for each, so that no peer decides about the versions of another.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / ".environments"
LOOP = "uvloop; sys_platform != 'win32'"

PEERS = {
    "aiohttp": ["aiohttp"],
    "any_llm": ["any-llm-sdk[openai]"],
    "httpx": ["httpx"],
    "langchain_openai": ["langchain-openai"],
    "litellm": ["litellm"],
    "llm": ["llm"],
    "ollama": ["ollama", "numpy"],
    "openai": ["openai", "numpy"],
    "pydantic_ai": ["pydantic-ai-slim[openai]"],
    "raw": ["numpy"],
}
OURS = {
    "core": ["./core[cli]"],
    "llamacpp": ["./core", "./plugins/llamacpp", "gguf", "numpy"],
    "multitap": ["./core", "./plugins/ollama", "./plugins/openai", "numpy"],
    "simdjson": ["./core[simdjson]", "./plugins/ollama"],
}
SHARED = {
    "multitap_llamacpp": "llamacpp",
    "multitap_ollama": "multitap",
    "multitap_ollama_simdjson": "simdjson",
    "xllamacpp": "llamacpp",
}
"""Clients that live in the environment of another."""


def environment_of(client: str) -> str:
    """Where a client is installed; what follows a comma is its loop."""
    name = client.partition(",")[0]
    return SHARED.get(name, name)


def python_of(environment: str) -> Path:
    """Its interpreter."""
    inside = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    return FOLDER / environment / inside


def make(names: Sequence[str]) -> None:
    """Make what lacks; what is ours is installed anew where its files have changed."""
    for name in names:
        wanted = [*(OURS.get(name) or PEERS[name]), LOOP]
        _once(FOLDER / name / "made-of.txt", "\n".join(wanted), partial(_made, name, wanted))
        folders = [word.partition("[")[0] for word in wanted if word.startswith("./")]
        if folders:
            install = partial(_pip, name, "--force-reinstall", "--no-deps", *folders)
            _once(FOLDER / name / "ours.txt", _digest(folders), install)


def _once(note: Path, text: str, do: Callable[[], None]) -> None:
    """Do it, unless the note says that this was done."""
    if not note.exists() or note.read_text("utf-8") != text:
        do()
        note.write_text(text, "utf-8")


def _made(name: str, wanted: Sequence[str]) -> None:
    print(f"making the environment of {name}", file=sys.stderr)
    _run(sys.executable, "-m", "venv", "--clear", FOLDER / name)
    _pip(name, *wanted)


def _digest(folders: Sequence[str]) -> str:
    """Of all that goes into their wheels."""
    found = sha256()
    for folder in (Path(ROOT, name) for name in folders):
        for path in (folder / "pyproject.toml", *sorted(folder.glob("src/**/*"))):
            if path.is_file() and "__pycache__" not in path.parts:
                found.update(path.read_bytes())
    return found.hexdigest()


def _pip(name: str, *words: str) -> None:
    _run(python_of(name), "-m", "pip", "--disable-pip-version-check", "install", "-q", *words)


def _run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, cwd=ROOT)


if __name__ == "__main__":
    make(sys.argv[1:] or [*OURS, *PEERS])
