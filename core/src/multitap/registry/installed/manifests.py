"""``provider.toml`` of the packages that entry points name; nothing of them is imported."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from multitap.config.packages import canonical
from multitap.registry.installed.disk import Stamp, read, stamp, unchanged

if TYPE_CHECKING:
    from multitap.manifest import ProviderInfo

__all__ = ("Kept", "Manifest", "read_manifest")

_LIMIT = 1 << 20

Verdicts = Mapping[str, Union[int, str]]

Kept = Mapping[str, tuple[Stamp, Mapping[str, Any], Verdicts]]
"""Tables by path, with the file's stamp when it was read, and what they were found to be."""


class Manifest(NamedTuple):
    """The tables of one package's file, or what is wrong with it.

    ``places`` are where it may lie, ``stamps`` what was there. ``verdicts``: by provider the
    version of the hooks that it is written for, or what is wrong with its table.
    """

    tables: Mapping[str, Any]
    problem: str = ""
    places: tuple[str, ...] = ()
    stamps: tuple[Stamp, ...] = ()
    verdicts: Mapping[str, int | str] = {}

    def info(self, provider: str) -> ProviderInfo:
        """What the table of a provider says; ``ValueError`` where it is wrong."""
        from multitap.manifest import provider_from_table

        tables = {canonical(name): table for name, table in self.tables.items()}
        return provider_from_table(provider, tables.get(provider, {}))


def read_manifest(package: str, known: Manifest | None, kept: Kept) -> Manifest:
    """The package's manifest.

    Args:
        package: Its top-level name.
        known: Its manifest before, where the package has not moved since.
        kept: Tables that an earlier process read.
    """
    if not package.isidentifier():  # its claim fails when it is loaded, and says why
        return Manifest({})
    try:
        places, loader = (known.places, None) if known else _places(package)
        stamps = tuple(map(stamp, places))
        if known and all(map(unchanged, stamps, known.stamps)):
            return known
        loader = loader or _places(package)[1]
        tables, verdicts = _tables(places, stamps, loader, kept)
        return Manifest(tables, "", places, stamps, verdicts)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        return Manifest({}, problem, () if known is None else known.places)


def _places(package: str) -> tuple[tuple[str, ...], Any]:
    spec = find_spec(package)
    folders = (spec and spec.submodule_search_locations) or ()
    return tuple(f"{folder}/provider.toml" for folder in folders), spec and spec.loader


def _tables(
    places: tuple[str, ...], stamps: tuple[Stamp, ...], loader: Any, kept: Kept
) -> tuple[Mapping[str, Any], Verdicts]:
    for place, now in zip(places, stamps, strict=True):
        before, tables, verdicts = kept.get(place, (None, {}, {}))
        if now and unchanged(now, before):
            return tables, verdicts
        data = read(place, _LIMIT)
        if data is None and hasattr(loader, "archive"):
            data = _in_archive(loader, place)
        if data is not None:
            tables = _parsed(data)
            return tables, _judged(tables)
    return {}, {}


def _judged(tables: Mapping[str, Any]) -> Verdicts:
    manifest = Manifest(tables)
    verdicts: dict[str, int | str] = {}
    for provider in map(canonical, tables):
        try:
            verdicts[provider] = manifest.info(provider).api
        except Exception as error:
            verdicts[provider] = str(error)
    return verdicts


def _in_archive(loader: Any, place: str) -> bytes | None:
    try:
        data: bytes = loader.get_data(place)
    except OSError:
        return None
    return data


def _parsed(data: bytes) -> Mapping[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    if len(data) > _LIMIT:
        raise ValueError(f"it has more than {_LIMIT} bytes")
    return tomllib.loads(data.decode())
