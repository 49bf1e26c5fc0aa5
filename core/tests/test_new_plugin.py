"""``multitap new-plugin``: what it writes, and that it passes the kit as it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Terminal

from multitap.cli import main
from multitap.config.values import parse_toml
from multitap.manifest import provider_from_table
from multitap.testing import CEILING

LONGEST_MODULE = 60
FILES = [
    ".github/workflows/tests.yml",
    ".gitignore",
    "README.md",
    "pyproject.toml",
    "src/multitap_{}/__init__.py",
    "src/multitap_{}/chat.py",
    "src/multitap_{}/provider.toml",
    "src/multitap_{}/py.typed",
    "tests/test_{}.py",
    "tests/vectors/hello.json",
    "tests/vectors/unknown_model.json",
]


@pytest.fixture(autouse=True)
def an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))


def written(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize(("name", "module"), [("acme", "acme"), ("big-lark", "big_lark")])
def test_it_writes_a_project_of_its_name(name, module, capsys):
    assert main(["new-plugin", name]) == 0
    folder = Path(f"multitap-{name}")
    wanted = sorted(path.format(module) for path in FILES)
    assert written(folder) == wanted
    printed = capsys.readouterr()
    assert sorted(printed.out.split()) == [f"{folder}/{path}" for path in wanted]
    assert f"cd {folder}" in printed.err
    project = parse_toml((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == f"multitap-{name}"
    assert project["entry-points"] == {"multitap.chat": {name: f"multitap_{module}.chat"}}


def test_nothing_of_the_template_is_left(tmp_path):
    words = ["new-plugin", "lark", "--title", "Morning Lark", "--endpoint", "https://lark.test"]
    assert main(words) == 0
    folder = tmp_path / "multitap-lark"
    texts = [folder.joinpath(path).read_text() for path in written(folder)]
    left = [text for text in texts if "acme" in text.lower().replace("https://acme.example", "")]
    assert left == []
    table = parse_toml((folder / "src/multitap_lark/provider.toml").read_text())["lark"]
    info = provider_from_table("lark", table)
    assert (info.title, info.endpoint) == ("Morning Lark", "https://lark.test")


def test_its_module_is_short():
    main(["new-plugin", "acme"])
    module = Path("multitap-acme/src/multitap_acme/chat.py").read_text()
    assert len(module.splitlines()) <= LONGEST_MODULE


@pytest.mark.parametrize("name", ["Acme", "1up", "a_b", "-a", "a--b", "../evil", ""])
def test_a_name_that_no_provider_can_have_is_refused(name, tmp_path, capsys):
    assert main(["new-plugin", "--", name]) == 2
    assert "such as acme-cloud" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--endpoint", "acme.example", "http"),
        ("--title", 'The "Acme"', "without quotation marks"),
        ("--title", " ", "cannot be a title"),
    ],
)
def test_what_cannot_stand_in_its_files_is_refused(option, value, said, tmp_path, capsys):
    assert main(["new-plugin", "acme", option, value]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_distributions_name_means_the_provider(tmp_path):
    assert main(["new-plugin", "multitap-acme"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["multitap-acme"]


def test_what_is_there_stays(tmp_path, capsys):
    (tmp_path / "multitap-acme").mkdir()
    (tmp_path / "multitap-acme/mine.txt").write_text("mine")
    assert main(["new-plugin", "acme"]) == 2
    assert "--folder" in capsys.readouterr().err
    assert written(tmp_path) == ["multitap-acme/mine.txt"]


def test_a_folder_may_be_named(tmp_path):
    assert main(["new-plugin", "acme", "--folder", "here/there"]) == 0
    assert (tmp_path / "here/there/pyproject.toml").is_file()


def test_at_a_terminal_it_asks_for_what_no_option_says(tmp_path):
    with Terminal(tmp_path, "new-plugin", "acme") as terminal:
        terminal.expect("Title [Acme]: ")
        terminal.type("Big Acme\n")
        terminal.expect("Endpoint [http://127.0.0.1:8000]: ")
        terminal.type("\n")
        assert terminal.end() == 0
    text = (tmp_path / "multitap-acme/src/multitap_acme/provider.toml").read_text()
    assert 'title = "Big Acme"' in text


@pytest.mark.parametrize("closes", [False, True], ids=["the server stays", "the server closes"])
def test_it_passes_the_kit_where_it_stands(closes):
    """Not installed: the kit finds the project that the test is of."""
    main(["new-plugin", "big-lark"])
    for vector in Path("multitap-big-lark/tests/vectors").iterdir() if closes else ():
        close(vector)
    words = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"]
    done = subprocess.run(
        words, cwd="multitap-big-lark", capture_output=True, text=True, timeout=30 * CEILING
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_every_declared_capability_has_its_suite" in done.stdout
    assert "test_listing_imports_none_of_its_modules" in done.stdout
    left_out = re.findall(r"^SKIPPED .*: (.*)$", done.stdout, re.MULTILINE)
    assert [reason for reason in left_out if "vector" not in reason] == []


def close(vector):
    """Let the recorded server close the connection, as one of HTTP/1.0 does."""
    kept = json.loads(vector.read_text("utf-8"))
    head, *_ = kept["response"]["reads"]
    head["text"] = head["text"].replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1)
    kept["response"]["ended"] = "server closed the connection"
    vector.write_text(json.dumps(kept), "utf-8")
