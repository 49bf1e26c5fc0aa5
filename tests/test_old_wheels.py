"""A wheel that was built for ``api = 1`` runs on the core of today."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from new_machine import kept_environment

from multitap.testing import Server
from multitap.testing.kit import load_vectors
from multitap.testing.kit.replay import replay

WHEELS = Path(__file__).parent / "wheels"
(WHEEL,) = WHEELS.glob("*.whl")
VECTORS = {vector.name: vector for vector in load_vectors(WHEELS / "lark")}
COMMAND = "import sys; from multitap.cli import main; sys.exit(main())"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that pip puts it into, alone: nothing is built, and nothing comes with it."""
    target = tmp_path_factory.mktemp("installed")
    words = ["install", "-q", "--no-deps", "--no-index", "--no-compile", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", *words, str(WHEEL)], check=True, timeout=120)
    return target


@pytest.fixture
def multitap(installed, tmp_path):
    """Runs one command of today's core, with the plugin, where its server says what it said."""

    def run(vector, *words):
        with Server(replay([VECTORS[vector]])) as server:
            variables = {"MULTITAP_PLUGINS": "multitap-lark", "MULTITAP_LARK__ENDPOINT": server.url}
            done = subprocess.run(
                [sys.executable, "-W", "error", "-c", COMMAND, *words],
                cwd=tmp_path,
                env={**kept_environment(), **variables, **paths(installed, tmp_path)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=120,
            )
            return done, server.requests

    return run


def paths(installed, home):
    return {"PYTHONPATH": os.fspath(installed), "HOME": os.fspath(home), "PYTHONUTF8": "1"}


def printed(done):
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_the_wheel_is_of_the_api_that_it_is_kept_for():
    with ZipFile(WHEEL) as files:
        assert re.search(r"(?m)^api = 1$", files.read("multitap_lark/provider.toml").decode())
        assert "multitap_lark/py.typed" in files.namelist()


def test_it_is_listed(multitap):
    rows = printed(multitap("song", "capabilities", "--json")[0])
    own = [(row["capability"], row["state"]) for row in rows if row["provider"] == "lark"]
    assert own == [("chat", "declared"), ("catalog", "declared")]


def test_it_is_loaded_and_nothing_is_wrong_with_it(multitap):
    (row,) = printed(multitap("song", "plugins", "lark", "--load", "--json")[0])
    assert (row["name"], row["state"], row["troubles"]) == ("multitap-lark", "loaded", [])


def test_it_chats(multitap):
    done, requests = multitap("song", "chat", "-m", "lark:dawn", "--json", "good morning")
    answer, expected = printed(done), VECTORS["song"].expect
    assert (answer["text"], answer["stop_reason"]) == (expected["text"], expected["stop_reason"])
    assert answer["usage"]["output_tokens"] == expected["usage"]["output_tokens"]
    turns = [{"who": "you", "said": "good morning"}]
    assert [each.json() for each in requests] == [{"voice": "dawn", "turns": turns}]


def test_it_streams_and_hears_an_option(multitap):
    words = ("chat", "-m", "lark:dawn", "--events", "--max-tokens", "1", "good morning")
    done, requests = multitap("cut", *words)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["type"] for event in events] == ["text", "usage", "stop"]
    assert events[-1]["stop_reason"] == VECTORS["cut"].expect["stop_reason"]
    assert [each.json()["limit"] for each in requests] == [1]


def test_its_models_are_listed(multitap):
    rows = printed(multitap("voices", "models", "lark", "--json")[0])
    names = VECTORS["voices"].expect["ids"]
    assert [row["ref"] for row in rows] == [f"lark:{name}" for name in names]


def test_its_errors_are_typed(multitap):
    done, _ = multitap("no_voice", "chat", "-m", "lark:noon", "--json", "good morning")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["class"]) == (1, VECTORS["no_voice"].expect["error"])
    assert "noon does not sing here" in done.stderr
