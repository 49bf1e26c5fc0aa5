"""What is installed, kept in step with the disk: one for the process, shared by all registries."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import warnings
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from multitap.registry.installed import cache
from multitap.registry.installed.disk import stamp, unchanged
from multitap.registry.installed.manifests import Manifest, read_manifest
from multitap.registry.installed.metadata import has_metadata, read_folder
from multitap.registry.loading.forks import renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multitap.registry.installed.distribution import Folder, Found
    from multitap.registry.installed.manifests import Kept

__all__ = ("Declaration", "Installed", "Snapshot", "installed")


class Declaration(NamedTuple):
    """One entry point, and the distribution that it belongs to."""

    group: str
    name: str
    value: str
    distribution: str
    version: str

    @property
    def package(self) -> str:
        """The top-level package of its module."""
        return self.value.partition(".")[0]


class Snapshot(NamedTuple):
    """What was installed at one time; it stays the same object while nothing changes."""

    declarations: tuple[Declaration, ...] = ()
    manifests: Mapping[str, Manifest] = {}


class Installed:
    """The distributions on ``sys.path``, looked at again as often as somebody asks."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._folders: dict[str, Folder] = {}
        self._finders: tuple[int, ...] = ()
        self._problems: frozenset[tuple[str, str]] = frozenset()
        self._snapshot: Snapshot | None = None
        renew_after_fork(self)

    def look(self, *, quick: bool = False) -> Snapshot:
        """What is installed now.

        ``quick`` looks at the folders of ``sys.path`` alone: it sees what comes and goes, but not
        a file that was changed in place.
        """
        with self._lock:
            if quick and self._snapshot and self._folders_are_the_same():
                return self._snapshot
            if _has_foreign_finders():
                return self._exact()
            return self._looked()

    def declares(self, group: str) -> bool:
        """Has any distribution an entry point in this group? Far less is read for it."""
        if _has_foreign_finders():
            return any(each.group == group for each in self.look().declarations)
        folders = (read_folder(path, self._folders.get(path)) for path in _paths())
        entries = (entry for folder in folders for each in folder.found for entry in each.entries)
        return any(entry[0] == group for entry in entries)

    def forget(self) -> None:
        """Read everything again at the next look."""
        with self._lock:
            self._folders, self._snapshot = {}, None

    def renew(self) -> None:
        """In a forked child: another thread may have held the lock, half way through a look."""
        self._lock = threading.RLock()
        self.forget()

    def _folders_are_the_same(self) -> bool:
        paths = _paths()
        return len(paths) == len(self._folders) and all(
            path in self._folders and unchanged(stamp(path), self._folders[path].stamp)
            for path in paths
        )

    def _looked(self) -> Snapshot:
        paths = _paths()
        first = self._snapshot is None
        kept = cache.load(paths) if first else cache.Contents(self._folders, {})
        self._folders = {path: read_folder(path, kept.folders.get(path)) for path in paths}
        found = [each for folder in self._folders.values() for each in folder.found]
        moved = self._moved(kept.folders) or first
        snapshot = self._noted(found, moved=moved, kept=kept.tables)
        if first and (now := cache.contents(self._folders, snapshot.manifests)) != kept:
            cache.save(paths, now)
        return snapshot

    def _exact(self) -> Snapshot:
        from multitap.registry.installed.library import every_distribution

        self._folders = {}
        return self._noted(every_distribution(), moved=True, kept={})

    def _moved(self, before: Mapping[str, Folder]) -> bool:
        """May a package be found elsewhere than before?"""
        finders, self._finders = self._finders, tuple(map(id, sys.meta_path))
        stamps = {path: folder.stamp for path, folder in before.items()}
        now = {path: folder.stamp for path, folder in self._folders.items()}
        return finders != self._finders or stamps != now or None in now.values()

    def _noted(self, found: Iterable[Found], *, moved: bool, kept: Kept) -> Snapshot:
        chosen = _chosen(found)
        self._warn(chosen)
        if moved:
            importlib.invalidate_caches()
        declarations = tuple(
            Declaration(*entry, each.name, each.version)
            for each in chosen
            for entry in each.entries
        )
        known = self._snapshot.manifests if self._snapshot and not moved else {}
        packages = dict.fromkeys(each.package for each in declarations)
        manifests = {name: read_manifest(name, known.get(name), kept) for name in packages}
        snapshot = Snapshot(declarations, manifests)
        if snapshot != self._snapshot:
            self._snapshot = snapshot
        assert self._snapshot is not None
        return self._snapshot

    def _warn(self, chosen: Iterable[Found]) -> None:
        """Say once which distribution's file cannot be read."""
        problems = frozenset((each.name, each.problem) for each in chosen if each.problem)
        new, self._problems = problems - self._problems, problems
        for name, problem in sorted(new):
            warnings.warn(
                f"entry_points.txt of {name} cannot be read ({problem}); its plugins are left out."
                f" Reinstall it: `pip install --force-reinstall {name}`.",
                RuntimeWarning,
                stacklevel=2,
            )


def _has_foreign_finders() -> bool:
    """Does something else than Python's own finder tell of distributions?"""
    finders = [finder for finder in sys.meta_path if hasattr(finder, "find_distributions")]
    names = {getattr(finder, "__name__", type(finder).__name__) for finder in finders}
    return not names <= {"PathFinder", "MetadataPathFinder"}


def _paths() -> tuple[str, ...]:
    """The folders and archives that Python looks at, in its order."""
    written: list[Any] = list(sys.path)
    texts = [path for path in written if isinstance(path, str)]
    with suppress(OSError):  # the working directory was removed
        return tuple(dict.fromkeys(map(os.path.abspath, texts)))
    return tuple(dict.fromkeys(filter(os.path.isabs, texts)))


def _chosen(found: Iterable[Found]) -> list[Found]:
    """Of each name the first one; one whose metadata are there goes before one without."""
    by_name: defaultdict[str, list[Found]] = defaultdict(list)
    for each in found:
        by_name[each.key].append(each)
    return [several[0] if len(several) == 1 else _whole(several) for several in by_name.values()]


def _whole(several: list[Found]) -> Found:
    return next((each for each in several if has_metadata(each.path)), several[0])


installed = Installed()
