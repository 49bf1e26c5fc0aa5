"""Where the layers of the configuration are, and whether any of them says anything.

It is apart from what reads them, so that a program with no configuration need not import that.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multitap.config.sources import SourceKind

__all__ = ("PREFIX", "SYSTEM_FILE", "config_files", "is_anything_configured", "is_there")

SYSTEM_FILE = Path("/etc/multitap/llm.toml")
PREFIX = "MULTITAP_"
_FILE = "llm.toml"


def config_files(
    environ: Mapping[str, str] | None = None, directory: str | os.PathLike[str] | None = None
) -> Mapping[Path, SourceKind]:
    """The files that are looked for, whether they are there or not, from weak to strong."""
    environ = os.environ if environ is None else environ
    if environ.get("MULTITAP_CONFIG"):
        return {Path(environ["MULTITAP_CONFIG"]): "file"}
    own: dict[Path, SourceKind] = {SYSTEM_FILE: "system", _user_file(): "user"}
    project = _project_file(directory)
    # below the user's own folder the nearest file is the user's: it is read once, and trusted
    if project and project.resolve() not in {path.resolve() for path in own}:
        own[project] = "project"
    return own


def is_anything_configured() -> bool:
    """May any layer say anything? Else all is at its default, and nothing need be read."""
    if any(name.startswith(PREFIX) and "__" in name for name in os.environ):
        return True
    files = config_files().items()
    return any(
        str(path) != os.devnull if kind == "file" else is_there(path) for path, kind in files
    )


def _user_file() -> Path:
    from platformdirs import user_config_path

    return user_config_path("multitap", appauthor=False) / _FILE


def _project_file(directory: str | os.PathLike[str] | None) -> Path | None:
    try:
        start = Path(directory or Path.cwd()).absolute()
    except FileNotFoundError:  # the working directory was removed
        return None
    places = (folder / _FILE for folder in (start, *start.parents))
    return next((place for place in places if is_there(place)), None)


def is_there(path: Path) -> bool:
    """Is it a file that may be read?"""
    try:
        return path.is_file()
    except OSError:  # a folder above it may not be searched
        return False
