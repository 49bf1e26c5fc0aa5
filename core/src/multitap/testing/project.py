"""A plugin's project folder: what its ``pyproject.toml`` declares, installed or not."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from multitap.config.values import parse_toml
from multitap.manifest import ProviderInfo, provider_from_table
from multitap.registry import Registry

__all__ = ("project_of", "registry_of")

GROUPS = "multitap."


def project_of(path: Path, provider: str) -> Path | None:
    """The nearest folder above a file whose ``pyproject.toml`` declares this provider."""
    for folder in path.resolve().parents:
        file = folder / "pyproject.toml"
        if file.is_file() and any(name == provider for _, name, _ in _entry_points(_read(file))):
            return folder
    return None


def registry_of(folder: Path) -> Registry:
    """A registry of what a project declares, alone; its modules have to be importable."""
    registry = Registry(environ={"MULTITAP_PLUGINS": "none"})
    project = _read(folder / "pyproject.toml")
    for capability, provider, module in _entry_points(project):
        registry.add(
            import_module(module),
            provider,
            [capability],
            distribution=project["project"]["name"],
            version=project["project"].get("version", ""),
            info=_info(folder, module, provider),
        )
    return registry


def _read(path: Path) -> dict[str, Any]:
    return parse_toml(path.read_text("utf-8"))


def _entry_points(project: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Capability, provider and module of each."""
    groups = project.get("project", {}).get("entry-points", {})
    for group, entries in groups.items():
        if group.startswith(GROUPS):
            for provider, module in entries.items():
                yield group.removeprefix(GROUPS), provider, module


def _info(folder: Path, module: str, provider: str) -> ProviderInfo | None:
    """What ``provider.toml`` says, which lies beside the package's ``__init__.py``."""
    package = module.partition(".")[0]
    for place in (folder / "src" / package, folder / package):
        if (place / "provider.toml").is_file():
            table = _read(place / "provider.toml").get(provider)
            return None if table is None else provider_from_table(provider, table)
    return None
