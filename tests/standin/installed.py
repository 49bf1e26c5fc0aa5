"""The stand-in, or another project, made known to Multitap without pip."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from multitap.registry import Registry
from multitap.testing import project

HOME = Path(__file__).parent
CORE = HOME.parents[1] / "core" / "src"


def standin_registry() -> Registry:
    """A registry of the stand-in alone."""
    return project.registry_of(HOME)


def write_metadata(folder: Path, home: Path = HOME) -> None:
    """Write what pip would have written: a ``.dist-info`` with the entry points."""
    project.write_metadata(home, folder)


def search_path(folder: Path) -> str:
    """``PYTHONPATH`` of a process in which the stand-in is installed."""
    return os.pathsep.join(map(str, (folder, HOME / "src", CORE)))


def quiet_environment(folder: Path, home: Path) -> Mapping[str, str]:
    """The environment of such a process: no variable of Multitap's, and a home of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MULTITAP_", "XDG_"))}
    own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
    return {**kept, **own, "PYTHONPATH": search_path(folder), "PYTHONUTF8": "1"}
