"""A look at the list of plugins in a process of its own, where nothing was imported yet."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from tempfile import TemporaryDirectory

from multitap.testing.project import write_metadata

__all__ = ("Unlisted", "imported_by_listing")

LIST = """
import json, site, sys
home, provider, packages = json.loads(sys.argv[1])
if home not in sys.path:
    site.addsitedir(home)  # what pip put there is at work from the start
import multitap
from multitap.registry import Registry
rows = [row for row in multitap.capabilities() if row.provider == provider]
Registry().providers()
found = sorted(name for name in sys.modules if name.partition(".")[0] in packages)
print(json.dumps([len(rows), found]))
"""


class Unlisted(LookupError):
    """No distribution that is installed, or could be, declares the provider."""


def imported_by_listing(name: str, provider: str, project: Path | None = None) -> list[str]:
    """The modules of a distribution that are there once all plugins are listed.

    Args:
        name: The distribution.
        provider: Whose rows have to be in the list.
        project: The folder that it would be installed from, where it is not.
    """
    return list(_imported(name, provider, project, tuple(sys.path)))


@functools.lru_cache
def _imported(
    name: str, provider: str, project: Path | None, path: tuple[str, ...]
) -> Sequence[str]:
    with _distribution(name, project) as found:
        home = str(found.locate_file(""))
        groups = [entry for entry in found.entry_points if entry.group.startswith("multitap.")]
        packages = sorted({entry.value.partition(":")[0].partition(".")[0] for entry in groups})
        others = [folder for folder in path if folder and folder != home]
        rows, modules = _child(home, provider, packages, others)
    if not rows:
        raise Unlisted(f"{name} is installed, and lists no capability of {provider}")
    return modules


@contextmanager
def _distribution(name: str, project: Path | None) -> Generator[Distribution, None, None]:
    """The installed one; else what would be installed of the project."""
    installed = _installed(name)
    if installed is not None:
        yield installed
    elif project is not None:
        with TemporaryDirectory() as folder:
            yield Distribution.at(write_metadata(project, Path(folder)))
    else:
        raise Unlisted(f"{name or 'its distribution'} is not installed here")


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except (PackageNotFoundError, ValueError):
        return None


def _child(home: str, provider: str, packages: list[str], path: list[str]) -> tuple[int, list[str]]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MULTITAP_")}
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", LIST, json.dumps([home, provider, packages])],
        env={**kept, "PYTHONPATH": os.pathsep.join(path), "PYTHONUTF8": "1"},
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        raise AssertionError(f"listing the plugins failed:\n{done.stderr}")
    rows, modules = json.loads(done.stdout.splitlines()[-1])
    return rows, modules
