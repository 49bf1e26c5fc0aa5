"""Servers that this repository invented, and the plugins that were written for them from the docs.

Each folder of ``invented`` is a project of its own, as its author would publish it. Among its tests
is its server, ``tests/<name>_server.py``, which prints where it listens and then serves.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import multitap
from multitap.registry import Registry
from multitap.testing.project import registry_of

FOLDERS = sorted(found.parent for found in Path(__file__).parent.glob("invented/*/pyproject.toml"))

each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def run(*words: str | Path) -> "subprocess.Popen[str]":
    """A Python of this environment that leaves nothing in the folder that it works in."""
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([sys.executable, *words], env=environ, text=True, **out)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Where the project's server listens, while it does."""
    (script,) = folder.glob("tests/*_server.py")
    with run(script) as server:
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def test_there_are_some() -> None:
    assert FOLDERS


@each
def test_the_tests_of_an_invented_plugin_are_green(folder: Path) -> None:
    with run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder, folder) as tests:
        said = tests.communicate(timeout=300)[0]
    assert tests.returncode == 0, said
    assert re.search(r"^\d+ passed", said, re.MULTILINE), said


@each
def test_an_invented_server_is_chatted_with(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder / "src")
    registry = registry_of(folder)
    (provider,) = {row.provider for row in registry.capabilities() if row.state != "denied"}
    with served(folder) as endpoint:
        answer = ask(provider, endpoint, registry)
    assert answer.text
    assert answer.stop_reason == "complete"


def ask(provider: str, endpoint: str, registry: Registry) -> multitap.Answer:
    with multitap.Runtime({provider: {"endpoint": endpoint}}, registry=registry) as rt:
        model = rt.models(provider)[0].ref
        return rt.chat("Is anybody there?", model=model, timeout=30)
