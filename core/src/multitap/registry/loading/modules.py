"""The modules that loading plugins has brought into the process, and how they go again."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from types import ModuleType

__all__ = ("abandon", "disown", "drop", "drop_bytecode", "of_packages", "own")

_owned: WeakValueDictionary[str, ModuleType] = WeakValueDictionary()


def of_packages(packages: Collection[str]) -> set[str]:
    """The names of all modules of some top-level packages that are imported now."""
    return {name for name in list(sys.modules) if name.partition(".")[0] in packages}


def own(names: Iterable[str]) -> None:
    """Note modules that the registry has imported."""
    for name in names:
        with suppress(TypeError):  # what a module puts in its own place need not be one
            _owned[name] = sys.modules[name]


def disown(packages: Collection[str]) -> None:
    """Let the next import run afresh what of these packages the registry imported.

    A package that the application had imported itself keeps its modules.
    """
    found = of_packages(packages)
    ours = {name for name in found if _owned.get(name) is sys.modules.get(name)}
    tops = {name for name in ours if "." not in name}
    drop(ours | of_packages(tops))


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
    """Remove what is compiled of these packages; the next import compiles it anew.

    Python compares the second of the change and the size of the source: an edit within the second
    in which it was compiled can leave both as they were.
    """
    for package in packages:
        for source in _sources(package):
            with suppress(OSError, NotImplementedError):
                Path(cache_from_source(str(source))).unlink()


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
