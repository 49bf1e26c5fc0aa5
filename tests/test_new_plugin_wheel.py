"""A new plugin, all the way: made, built, installed beside Multitap alone, asked, and checked."""

from __future__ import annotations

import json
import subprocess
import venv
from pathlib import Path

import pytest
from new_machine import kept_environment

from multitap.testing import Server
from multitap.testing.kit import load_vectors
from multitap.testing.kit.replay import replay

HERE = Path(__file__).parent.parent
CEILING = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty environment, and the plugin's folder in it."""
    home = tmp_path_factory.mktemp("machine")
    venv.create(home / ".venv", with_pip=True)
    # with an editable core, pip has nothing to copy; it is the same code
    run(home, "pip", "install", "-q", "-e", f"{HERE / 'core'}[cli,testing]")
    run(home, "multitap", "new-plugin", "acme-cloud", "--endpoint", "http://127.0.0.1:9")
    project = home / "multitap-acme-cloud"
    run(home, "pip", "wheel", "-q", "--no-deps", "-w", "dist", str(project))
    (wheel,) = (home / "dist").glob("*.whl")
    run(home, "pip", "install", "-q", "--no-index", str(wheel))
    return project


def run(folder, *words):
    """What a program of the environment prints."""
    home = next(each for each in (folder, folder.parent) if (each / ".venv").is_dir())
    programs = home / ".venv/bin"
    done = subprocess.run(
        [str(programs / words[0]), *words[1:]],
        cwd=folder,
        env={
            **kept_environment(),
            "PATH": f"{programs}:/usr/bin:/bin",
            "HOME": str(home),
            "PYTHONUTF8": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_COMPILE": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=CEILING,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_the_only_plugin_that_is_listed(folder):
    (row,) = json.loads(run(folder, "multitap", "capabilities", "--json"))
    assert row == {
        "capability": "chat",
        "provider": "acme-cloud",
        "distribution": "multitap-acme-cloud",
        "version": "0.1.0",
        "state": "declared",
    }


def test_it_is_chatted_with(folder):
    """The server says what the template's vector recorded."""
    vectors = {vector.name: vector for vector in load_vectors(folder / "tests/vectors")}
    hello = vectors["hello"]
    with Server(replay([hello])) as server:
        words = ["--llm", f"acme-cloud.endpoint={server.url}", "-m", "acme-cloud:model"]
        printed = run(folder, "multitap", "chat", *words, *hello.ask.args)
    assert printed == hello.expect["text"] + "\n"


def test_it_is_green(folder):
    """As the author runs it, and with the wheel's own code in the place of the folder's."""
    for options in ((), ("-o", "pythonpath=")):
        printed = run(folder, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *options)
        assert "acme-cloud: multitap-acme-cloud 0.1.0" in printed
        assert " passed" in printed
