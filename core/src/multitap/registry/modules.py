"""The modules that loading plugins has brought into the process, and how they go again."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

__all__ = ("abandon", "disown", "drop", "drop_bytecode", "of_packages", "own")

_owned: set[str] = set()


def of_packages(packages: Collection[str]) -> set[str]:
    """The names of all modules of some top-level packages that are imported now."""
    return {name for name in list(sys.modules) if name.partition(".")[0] in packages}


def own(names: Iterable[str]) -> None:
    """Note modules that the registry has imported."""
    _owned.update(names)


def disown(packages: Collection[str]) -> None:
    """Let the next import run afresh what of these packages the registry imported.

    A package that the application had imported itself keeps its modules.
    """
    ours = {name for name in _owned if name.partition(".")[0] in packages}
    tops = {name for name in ours if "." not in name}
    drop(ours | of_packages(tops))
    _owned.difference_update(ours)


def drop(names: Iterable[str]) -> None:
    """Take modules out of ``sys.modules``, and out of the packages that they lie in."""
    for name in names:
        module = sys.modules.pop(name, None)
        parent, _, child = name.rpartition(".")
        owner = sys.modules.get(parent)
        if owner is not None and module is not None and vars(owner).get(child) is module:
            with suppress(Exception):
                delattr(owner, child)


def drop_bytecode(packages: Iterable[str]) -> None:
    """Remove compiled files of which nobody can tell whether they are of the present source.

    Python compares the second of the change and the size; an edit within the second in which it
    was compiled can leave both as they were.
    """
    for package in packages:
        for source in _sources(package):
            with suppress(OSError, NotImplementedError):
                compiled = Path(cache_from_source(str(source)))
                if compiled.stat().st_mtime - source.stat().st_mtime < 2:
                    compiled.unlink()


def _sources(package: str) -> Iterator[Path]:
    with suppress(Exception):  # whatever a foreign finder raises
        spec = find_spec(package)
        if spec and spec.origin and spec.origin.endswith(".py"):
            yield Path(spec.origin)
        for folder in (spec and spec.submodule_search_locations) or ():
            for place, _, files in os.walk(folder):
                yield from (Path(place, name) for name in files if name.endswith(".py"))


def abandon(threads: Collection[int]) -> None:
    """In a forked child: let go of the imports of threads that are no more.

    Python itself leaves their locks held, so that whoever imports the same module waits for ever.
    """
    locks = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})
    for name, reference in list(locks.items()):
        if getattr(reference(), "owner", None) in threads:
            locks.pop(name, None)
            drop([name])
