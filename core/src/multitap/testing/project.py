"""A plugin's project folder: what its ``pyproject.toml`` declares, installed or not."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from multitap.config.values import parse_toml
from multitap.manifest import ProviderInfo, provider_from_table
from multitap.registry import Registry

__all__ = ("add_project", "project_of", "providers_above", "registry_of", "write_metadata")

GROUPS = "multitap."


def project_of(path: Path, provider: str) -> Path | None:
    """The nearest folder above a file whose ``pyproject.toml`` declares this provider."""
    return next((folder for folder, names in _projects(path) if provider in names), None)


def providers_above(path: Path) -> list[str]:
    """The providers that the nearest project above a file declares; none: it is in no project."""
    return next((sorted(names) for _, names in _projects(path) if names), [])


def registry_of(folder: Path) -> Registry:
    """A registry of what a project declares, alone; its modules have to be importable."""
    return add_project(Registry(environ={"MULTITAP_PLUGINS": "none"}), folder)


def add_project(registry: Registry, folder: Path) -> Registry:
    """The registry, with what a project declares."""
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


def write_metadata(folder: Path, into: Path) -> Path:
    """Write what pip would write of a project, so that it is listed like an installed one.

    Returns:
        The distribution's ``.dist-info`` folder.
    """
    project = _read(folder / "pyproject.toml")
    name, version = project["project"]["name"], project["project"].get("version", "0")
    metadata = into / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (metadata / "METADATA").write_text(text, "utf-8")
    groups: dict[str, str] = {}
    for capability, provider, module in _entry_points(project):
        group = groups.setdefault(capability, f"[{GROUPS}{capability}]\n")
        groups[capability] = f"{group}{provider} = {module}\n"
    (metadata / "entry_points.txt").write_text("\n".join(groups.values()), "utf-8")
    return metadata


def _projects(path: Path) -> Iterator[tuple[Path, set[str]]]:
    """The folders above a file that have a ``pyproject.toml``, and the providers of each."""
    for folder in path.resolve().parents:
        file = folder / "pyproject.toml"
        if file.is_file():
            yield folder, {provider for _, provider, _ in _entry_points(_read(file))}


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
