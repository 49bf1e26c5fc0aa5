"""The stand-in, or another folder of a project, made known to Multitap without pip."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from multitap.manifest import provider_from_table
from multitap.registry import Registry

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HOME = Path(__file__).parent
CORE = HOME.parents[1] / "core" / "src"


def _read(home: Path, *path: str) -> Any:
    return tomllib.loads(home.joinpath(*path).read_text("utf-8"))


def _entry_points(home: Path) -> Iterator[tuple[str, str, str]]:
    """Group, provider and module of each."""
    for group, entries in _read(home, "pyproject.toml")["project"]["entry-points"].items():
        for provider, module in entries.items():
            yield group, provider, module


def standin_registry() -> Registry:
    """A registry of the stand-in alone."""
    return registry_of(HOME)


def registry_of(home: Path) -> Registry:
    """A registry of what a project's folder declares, alone, whether it is installed or not."""
    return add_project(Registry(environ={"MULTITAP_PLUGINS": "none"}), home)


def add_project(registry: Registry, home: Path) -> Registry:
    """The registry, with what a project's folder declares."""
    name = _read(home, "pyproject.toml")["project"]["name"]
    manifest = _read(home, "src", name.replace("-", "_"), "provider.toml")
    for group, provider, module in _entry_points(home):
        registry.add(
            import_module(module),
            provider,
            [group.removeprefix("multitap.")],
            distribution=name,
            info=provider_from_table(provider, manifest[provider]),
        )
    return registry


def write_metadata(folder: Path, home: Path = HOME) -> None:
    """Write what pip would have written: a ``.dist-info`` with the entry points."""
    project = _read(home, "pyproject.toml")["project"]
    name, version = project["name"], project["version"]
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (metadata / "METADATA").write_text(text, "utf-8")
    groups: dict[str, str] = {}
    for group, provider, module in _entry_points(home):
        groups.setdefault(group, f"[{group}]\n")
        groups[group] += f"{provider} = {module}\n"
    (metadata / "entry_points.txt").write_text("\n".join(groups.values()), "utf-8")


def search_path(folder: Path) -> str:
    """``PYTHONPATH`` of a process in which the stand-in is installed."""
    return os.pathsep.join(map(str, (folder, HOME / "src", CORE)))


def quiet_environment(folder: Path, home: Path) -> Mapping[str, str]:
    """The environment of such a process: no variable of Multitap's, and a home of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MULTITAP_", "XDG_"))}
    own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
    return {**kept, **own, "PYTHONPATH": search_path(folder), "PYTHONUTF8": "1"}
