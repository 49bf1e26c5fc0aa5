"""What distributions declare, as the library for it reads them: exact, and slow.

``metadata`` reads the usual shapes itself; what is unusual in any way comes here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from multitap.registry.installed.distribution import Entry, Found, key_of, stem_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = (
    "every_distribution",
    "in_archive",
    "one_distribution",
    "owned_by",
)


def one_distribution(path: str) -> Found:
    """The distribution whose metadata lie in this folder."""
    from importlib_metadata import PathDistribution  # with it comes a reader of e-mails

    return _found(PathDistribution(Path(path)), path)


def in_archive(path: str) -> tuple[Found, ...]:
    """The distributions in a zip file or an egg that is on ``sys.path``."""
    return tuple(_found(each) for each in _distributions(path=[path]))


def every_distribution() -> tuple[Found, ...]:
    """Whatever the finders of this process find."""
    return tuple(_found(each) for each in _distributions())


def owned_by(distribution: str) -> set[str]:
    """The top-level packages and modules that its list of files names."""
    from importlib_metadata import files

    try:
        parts = [(file.parts[0], len(file.parts)) for file in files(distribution) or ()]
    except Exception:  # not there any more, or no list
        return set()
    tops = {name if depth > 1 else name.removesuffix(".py") for name, depth in parts}
    return {name for name in tops if name.isidentifier()}


def _distributions(**where: Any) -> Iterable[Any]:
    from importlib_metadata import MetadataPathFinder, distributions

    MetadataPathFinder.invalidate_caches()
    return distributions(**where)


def _found(distribution: Any, path: str = "") -> Found:
    home = str(getattr(distribution, "_path", "unknown"))
    stem, version = stem_of(home)
    name, version = _name_and_version(distribution) or (stem, version)
    key = key_of(stem if home.endswith((".dist-info", ".egg-info")) else name)
    try:
        return Found(path, key, name, version, _entries(distribution))
    except Exception as error:  # one malformed file: it is told, and the others go on
        return Found(path, key, name, version, problem=f"{type(error).__name__}: {error}")


def _entries(distribution: Any) -> tuple[Entry, ...]:
    found = [(entry.group, entry.name, entry.value) for entry in distribution.entry_points]
    return tuple(entry for entry in found if entry[0].startswith("multitap."))


def _name_and_version(distribution: Any) -> tuple[str, str] | None:
    try:
        facts = distribution.metadata
        name, version = facts["Name"], facts["Version"]
    except Exception:  # no METADATA, or not readable
        return None
    return (str(name), str(version)) if name and version else None
