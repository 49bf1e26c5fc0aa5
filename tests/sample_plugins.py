"""The plugins of tests/samples made known to Multitap without pip, here or in another process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from multitap.config.values import parse_toml

HERE = Path(__file__).parent
CORE = HERE.parent / "core/src"
SAMPLES = sorted(path.parent.name for path in HERE.glob("samples/*/pyproject.toml"))
CEILING = 60


def project(name: str) -> dict[str, Any]:
    """``[project]`` of a sample."""
    text = (HERE / "samples" / name / "pyproject.toml").read_text("utf-8")
    found: dict[str, Any] = parse_toml(text)["project"]
    return found


def package(name: str) -> Path:
    """The sample's one package."""
    (found,) = (HERE / "samples" / name / "src").iterdir()
    return found


def install(name: str, site: Path) -> None:
    """Do what pip would do: copy the package, and write its metadata."""
    shutil.copytree(package(name), site / package(name).name, dirs_exist_ok=True)
    facts = project(name)
    write_metadata(site, facts["name"], facts["version"], facts["entry-points"])


def write_metadata(site: Path, name: str, version: str, groups: dict[str, dict[str, str]]) -> None:
    """A ``.dist-info`` with the entry points."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (folder / "METADATA").write_text(head, "utf-8")
    lines = [
        line
        for group, entries in groups.items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))
    ]
    (folder / "entry_points.txt").write_text("\n".join(lines), "utf-8")


def run(
    site: Path, *words: str, core: Path = CORE, **variables: str
) -> subprocess.CompletedProcess[str]:
    """A Python in which the samples of ``site`` are installed, and no configuration is there."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MULTITAP_", "XDG_"))}
    own = {"HOME": str(site), "PYTHONPATH": os.pathsep.join((str(core), str(site)))}
    return subprocess.run(
        [sys.executable, *words],
        cwd=site,
        env={**kept, **own, "PYTHONUTF8": "1", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=CEILING,
    )
