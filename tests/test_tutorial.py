"""The tutorial is true: its files are written, built, installed and run as the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from new_machine import kept_environment

HERE = Path(__file__).parent.parent
PAGE = (HERE / "docs/tutorial-plugin.md").read_text("utf-8")
PART = re.compile(
    r"^(?:`(?P<name>[\w./-]+)`(?P<more>, at its end)?:\n\n)?"
    r"```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
PARTS = tuple(PART.finditer(PAGE))
FILES = {part["name"]: part["text"] for part in PARTS if part["name"]}
SERVER = "python3 lark.py 8737\n"
LONGEST_PLUGIN = 60
MEANT_TO_FAIL = ("multitap chat", "sed ")
PROGRESS = r"(?:^[.s]+(?:F| +\[ *\d+%\])\n)+"
VARYING = rf"in [\d.]+s\b|[\d,]+ ns|\d+ (?:passed|skipped)|{PROGRESS}"
CEILING = 300


def test_the_plugin_is_short() -> None:
    code = "".join(text for name, text in FILES.items() if re.fullmatch(r"src/.*\.py", name))
    lines = [line.strip() for line in code.splitlines()]
    assert 0 < len([line for line in lines if line and not line.startswith("#")]) <= LONGEST_PLUGIN


def test_the_page_can_be_followed_to_its_end(tmp_path: Path) -> None:
    """From an empty folder beside a checkout: each file, each command, each line that is shown."""
    (tmp_path / "multitap").mkdir()
    (tmp_path / "multitap/core").symlink_to(HERE / "core")
    folder = tmp_path / "lark"
    folder.mkdir()
    with serving(folder) as environment:
        follow(folder, environment)


def follow(folder: Path, environment: dict[str, str]) -> None:
    printed: str | None = None
    for part in PARTS:
        if part["name"]:
            file = folder / part["name"]
            write(file, (file.read_text("utf-8") if part["more"] else "") + part["text"])
        elif part["language"] == "sh" and part["text"] != SERVER:
            printed = run(part["text"], folder, environment)
            folder = folder.joinpath(*re.findall(r"^cd (.+)$", part["text"], re.MULTILINE))
        elif part["language"] == "text":
            assert steady(printed) == steady(part["text"])


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def run(commands: str, folder: Path, environment: dict[str, str]) -> str:
    """What the commands print, errors included."""
    done = subprocess.run(
        ["bash", "-c", commands],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=CEILING,
    )
    assert commands.startswith(MEANT_TO_FAIL) or done.returncode == 0, done.stdout
    return done.stdout


def steady(printed: str | None) -> str | None:
    """Without how long it takes, and how many rules the kit has."""
    return printed and re.sub(VARYING, "…", printed, flags=re.MULTILINE)


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, str]]:
    """The page's server on a free port, and an environment that knows where it is."""
    write(folder / "lark.py", FILES["lark.py"])
    words = [sys.executable, "lark.py", "0"]
    kinds = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(words, cwd=folder, **kinds) as server:
        try:
            yield environment_of(folder, endpoint=server.stdout.readline().strip())
        finally:
            server.terminate()


def environment_of(folder: Path, endpoint: str) -> dict[str, str]:
    """A new machine's, with the folder's own environment on the path once it is there."""
    bins = [folder / ".venv/bin", Path(sys.executable).parent]
    home = folder.parent / "home"
    home.mkdir()
    return {
        **kept_environment(),
        "PATH": os.pathsep.join([*map(str, bins), os.environ["PATH"]]),
        "HOME": str(home),
        "COLUMNS": "80",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_COMPILE": "1",
        "MULTITAP_LARK__ENDPOINT": endpoint,
    }
