"""The two commands of the README run as they are written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nox
import pytest

HERE = Path(__file__).parent.parent
VENV = "python3 -m venv .venv && . .venv/bin/activate"
CHAT = 'pip install "./core[cli]" ./plugins/llamacpp && multitap chat "How do I add Ollama?"'
TESTS = "pip install nox && nox -s tests"
PIP = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT", "PIP_FIND_LINKS")
NETWORK = ("SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


def test_both_commands_stand_on_one_line_below_the_environment() -> None:
    (block,) = re.findall(r"^```sh\n(python3 .*?)^```$", read("README.md"), re.DOTALL | re.MULTILINE)
    assert block.splitlines() == [VENV, CHAT, TESTS]


def test_the_ci_script_calls_the_readmes_line() -> None:
    assert f"({TESTS})" in read(".ci/run")
    assert os.access(HERE / ".ci/run", os.X_OK)


def test_the_session_exists() -> None:
    words = [sys.executable, "-m", "nox", "-l", "-f", str(HERE / "noxfile.py")]
    listed = subprocess.run(words, capture_output=True, check=True, text=True, timeout=60).stdout
    assert re.search(r"^\* tests -> ", listed, re.MULTILINE)


def read(name: str) -> str:
    return (HERE / name).read_text("utf-8")
