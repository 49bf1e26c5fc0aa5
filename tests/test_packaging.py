"""Every distribution is whole: its files, its metadata, its entry points."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from multitap.config.values import parse_toml
from multitap.hookspecs import API, CAPABILITIES
from multitap.manifest import provider_from_table

HERE = Path(__file__).parent.parent
PLUGINS = sorted(path.parent for path in HERE.glob("plugins/*/pyproject.toml"))
ALL = [HERE / "core", *PLUGINS]


def project(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = parse_toml((folder / "pyproject.toml").read_text("utf-8"))["project"]
    return found


def package(folder: Path) -> Path:
    name = project(folder)["name"].replace("-", "_")
    return folder / "src" / name


def requirements(folder: Path) -> list[str]:
    """The names of the distributions that one needs."""
    facts = project(folder)
    extras = [line for lines in facts.get("optional-dependencies", {}).values() for line in lines]
    lines = [*facts.get("dependencies", []), *extras]
    return [re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in lines]


def test_there_are_plugins() -> None:
    assert "echo" in [folder.name for folder in PLUGINS]


@pytest.mark.parametrize("folder", ALL, ids=lambda folder: folder.name)
def test_a_distribution_has_its_files(folder: Path) -> None:
    assert (folder / "LICENSE").read_bytes() == (HERE / "LICENSE").read_bytes()
    assert (folder / "README.md").read_text("utf-8").startswith(f"# {project(folder)['name']}\n")
    assert (package(folder) / "py.typed").is_file()
    assert [path.name for path in folder.glob("src/*")] == [package(folder).name]


@pytest.mark.parametrize("folder", ALL, ids=lambda folder: folder.name)
def test_a_changelog_begins_with_the_version(folder: Path) -> None:
    text = (folder / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## (\S+)", text, re.MULTILINE)[0] == project(folder)["version"]


@pytest.mark.parametrize("folder", ALL, ids=lambda folder: folder.name)
def test_the_metadata_is_said(folder: Path) -> None:
    facts = project(folder)
    assert facts["license"] == "Apache-2.0"
    assert facts["license-files"] == ["LICENSE"]
    assert facts["readme"] == "README.md"
    assert facts["requires-python"] == ">=3.10"
    assert re.fullmatch(r"\d+\.\d+\.\d+", facts["version"])
    assert facts["description"].endswith(".")
    assert "Typing :: Typed" in facts["classifiers"]


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_a_plugin_is_named_and_needs_the_core_alone(folder: Path) -> None:
    assert project(folder)["name"] == f"multitap-{folder.name}"
    ours = [name for name in requirements(folder) if name.startswith("multitap")]
    assert ours == ["multitap"]


def test_the_core_needs_no_plugin() -> None:
    assert [name for name in requirements(HERE / "core") if name.startswith("multitap")] == []


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_entry_points_name_hooks_and_existing_modules(folder: Path) -> None:
    groups = project(folder)["entry-points"]
    assert set(groups) <= {f"multitap.{name}" for name in CAPABILITIES}
    for group, entries in groups.items():
        hook = f"def {group.replace('.', '_')}("
        for module in entries.values():
            path = folder / "src" / Path(*module.split(".")).with_suffix(".py")
            assert hook in path.read_text("utf-8")


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_a_manifest_describes_the_providers_of_the_entry_points(folder: Path) -> None:
    tables = parse_toml((package(folder) / "provider.toml").read_text("utf-8"))
    groups = project(folder)["entry-points"]
    assert set(tables) == {name for entries in groups.values() for name in entries}
    assert {provider_from_table(name, table).api for name, table in tables.items()} == {API}


def test_the_command_leads_to_a_function() -> None:
    from multitap.cli import main

    assert project(HERE / "core")["scripts"] == {"multitap": "multitap.cli:main"}
    assert callable(main)


def test_the_installed_core_is_the_checkout() -> None:
    """Else all these tests would look at another one."""
    spec = importlib.util.find_spec("multitap")
    assert spec is not None
    assert sys.version_info >= (3, 10)
    assert spec.origin == str(HERE / "core/src/multitap/__init__.py")
