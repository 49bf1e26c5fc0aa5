"""The two commands of the README run as they are written."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path

from new_machine import copy_checkout, kept_environment

HERE = Path(__file__).parent.parent
VENV = "python3 -m venv .venv && . .venv/bin/activate"
CHAT = 'pip install "./core[cli]" ./plugins/llamacpp && multitap chat "How do I add Ollama?"'
TESTS = "pip install nox && nox -s tests"


def test_both_commands_stand_on_one_line_below_the_environment() -> None:
    (block,) = re.findall(
        r"^```sh\n(python3 .*?)^```$", read("README.md"), re.DOTALL | re.MULTILINE
    )
    assert block.splitlines() == [VENV, CHAT, TESTS]


def test_the_ci_script_calls_the_readmes_line() -> None:
    assert f"({TESTS})" in read(".ci/run")
    assert os.access(HERE / ".ci/run", os.X_OK)


def test_the_session_exists() -> None:
    functions = ast.walk(ast.parse(read("noxfile.py")))
    (tests,) = [f for f in functions if isinstance(f, ast.FunctionDef) and f.name == "tests"]
    assert [ast.unparse(decorator) for decorator in tests.decorator_list] == ["nox.session"]


def test_the_first_command_answers_on_a_new_machine(tmp_path: Path) -> None:
    """A copy of the checkout, a fresh environment, an empty home; pip may use its configuration."""
    copy, home = tmp_path / "checkout", tmp_path / "home"
    home.mkdir()
    copy_checkout(copy)
    done = subprocess.run(
        ["bash", "-c", f"{VENV}\n{CHAT}"],
        cwd=copy,
        env={**kept_environment(), "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert "multitap-ollama" in done.stdout.splitlines()[-1]
    assert "demo model" in done.stderr


def read(name: str) -> str:
    return (HERE / name).read_text("utf-8")
