"""What installed distributions declare, read without importing any of them.

A *claim* is one entry point: a distribution says that a module of its own offers a capability of a
provider. ``declared`` finds them all; ``survey`` decides which of them may be used: by the user's
policy, by asking whether two of them want the same place, and by what ``provider.toml`` says.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from multitap.capabilities import API, CAPABILITIES, EXTENSIONS
from multitap.manifest import ProviderInfo, provider_from_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from importlib_metadata import EntryPoint

__all__ = ("Claim", "Failure", "Policy", "Row", "State", "Table", "declared", "survey")

State = Literal["declared", "loaded", "quarantined", "conflict", "denied", "incompatible"]

_GROUPS = {f"multitap.{name}": name for name in (*CAPABILITIES, *EXTENSIONS)}


@attrs.frozen
class Row:
    """One line of the table of who offers what; ``attrs.asdict`` is its JSON form.

    Attributes:
        state: ``declared`` (installed, not imported yet), ``loaded``, ``quarantined`` (broken),
            ``conflict`` (two distributions claim it), ``denied`` (by the user's configuration) or
            ``incompatible`` (written for another version of the hooks).
    """

    capability: str
    provider: str
    distribution: str
    version: str
    state: State


@attrs.frozen
class Claim:
    """One entry point; of an extension or a command ``provider`` is its name.

    ``plugin`` and ``info`` are set where an application registered an object itself.
    """

    capability: str
    provider: str
    distribution: str
    version: str
    module: str
    plugin: object = attrs.field(default=None, eq=False, repr=False)
    info: ProviderInfo | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def place(self) -> tuple[str, str]:
        """What at most one claim can have: capability and provider."""
        return self.capability, self.provider


@attrs.frozen
class Failure:
    """Why a row is quarantined. ``traceback`` is text, empty where nothing was run."""

    distribution: str
    reason: str
    traceback: str = attrs.field(default="", repr=False)


def _normal(distribution: str) -> str:
    """A distribution's name in the spelling that compares.

    >>> _normal("Multitap_Acme")
    'multitap-acme'
    """
    return re.sub(r"[-_.]+", "-", distribution.strip()).lower()


# ---- what is installed ---------------------------------------------------------------------------


def declared() -> tuple[Claim, ...]:
    """Every claim of every installed distribution, in one pass over their entry points."""
    names: dict[int, tuple[str, str]] = {}
    claims: dict[tuple[str, ...], Claim] = {}
    for entry in _entry_points():
        capability, owner = _GROUPS.get(entry.group), entry.dist
        if capability is None or owner is None:
            continue
        if id(owner) not in names:
            names[id(owner)] = _name_and_version(owner)
        name, version = names[id(owner)]
        claim = Claim(capability, entry.name, name, version, entry.value)
        claims.setdefault((*claim.place, _normal(name), claim.module), claim)
    return tuple(claims.values())


def _entry_points() -> Iterable[EntryPoint]:
    from importlib_metadata import entry_points

    try:
        return entry_points()
    except Exception:  # one malformed file, of any distribution, ends the library's own pass
        return _readable_entry_points()


def _readable_entry_points() -> Iterator[EntryPoint]:
    from importlib_metadata import distributions

    seen: set[str] = set()
    for distribution in distributions():
        name = _normal(_name_and_version(distribution)[0])
        if name in seen:
            continue
        seen.add(name)
        try:
            yield from distribution.entry_points
        except Exception as error:
            _warn_unreadable(name, error)


def _warn_unreadable(name: str, error: Exception) -> None:
    import warnings

    warnings.warn(
        f"entry_points.txt of {name} cannot be read ({error}); its plugins are left out."
        f" Reinstall it: `pip install --force-reinstall {name}`.",
        RuntimeWarning,
        stacklevel=2,
    )


def _name_and_version(distribution: Any) -> tuple[str, str]:
    try:
        facts = distribution.metadata
        return str(facts["Name"]), str(facts["Version"])
    except Exception:  # no METADATA, or not readable: the folder's name says as much
        folder = str(getattr(distribution, "_path", "unknown"))
        name, _, version = Path(folder).name.rpartition(".")[0].partition("-")
        return name, version


# ---- what may be used ----------------------------------------------------------------------------


@attrs.frozen
class Policy:
    """What the user allows, before anything is imported; names of distributions, normalised."""

    allowed: tuple[frozenset[str], ...]
    denied: frozenset[str]
    chosen: Mapping[str, str]

    @classmethod
    def of(
        cls,
        allow: Iterable[str] | None,
        deny: Iterable[str],
        choose: Mapping[str, str],
        variable: str,
    ) -> Policy:
        """From the configuration, and ``MULTITAP_PLUGINS`` as a further limit.

        >>> Policy.of(None, (), {}, "-acme").permits("acme")
        False
        """
        words = [word.strip() for word in variable.split(",") if word.strip()]
        wanted = [word for word in words if not word.startswith("-")]
        allowed = [allow] if allow is not None else []
        if wanted:
            allowed.append([word for word in wanted if word != "none"])
        return cls(
            tuple(frozenset(map(_normal, names)) for names in allowed),
            frozenset(map(_normal, [*deny, *(w[1:] for w in words if w.startswith("-"))])),
            {provider: _normal(name) for provider, name in choose.items()},
        )

    def permits(self, distribution: str) -> bool:
        """May this distribution be used at all?"""
        name = _normal(distribution)
        return name not in self.denied and all(name in names for names in self.allowed)


@attrs.frozen
class Table:
    """Every claim with its state before loading; what is known of those that may be used."""

    states: Mapping[Claim, State]
    infos: Mapping[Claim, ProviderInfo]
    failures: Mapping[Claim, Failure]
    usable: Mapping[tuple[str, str], Claim]


def survey(claims: Iterable[Claim], policy: Policy) -> Table:
    """Judge the claims; what an application registered itself comes before what is installed."""
    states = _settled(claims, policy)
    usable = {claim.place: claim for claim, state in states.items() if state == "declared"}
    infos: dict[Claim, ProviderInfo] = {}
    failures: dict[Claim, Failure] = {}
    read = cache(_provider_tables)
    for claim in usable.values():
        try:
            infos[claim] = claim.info or _manifest(claim, read)
        except Exception as error:
            infos[claim] = ProviderInfo(name=claim.provider, title=claim.provider)
            failures[claim] = Failure(claim.distribution, f"its provider.toml is wrong: {error}")
            states[claim] = "quarantined"
        if infos[claim].api != API:
            states[claim] = "incompatible"
    return Table(states, infos, failures, usable)


def _settled(claims: Iterable[Claim], policy: Policy) -> dict[Claim, State]:
    states: dict[Claim, State] = {}
    rivals: defaultdict[tuple[str, str], list[Claim]] = defaultdict(list)
    for claim in claims:
        states[claim] = "denied"
        if claim.plugin is not None or policy.permits(claim.distribution):
            rivals[claim.place].append(claim)
    for (_, provider), several in rivals.items():
        kept = _preferred(several, policy.chosen.get(provider))
        for claim in kept:
            states[claim] = "declared" if len(kept) == 1 else "conflict"
    return states


def _preferred(rivals: list[Claim], chosen: str | None) -> list[Claim]:
    added = [claim for claim in rivals if claim.plugin is not None]
    named = [claim for claim in rivals if _normal(claim.distribution) == chosen]
    return added or named or rivals


def _manifest(claim: Claim, read: Callable[[str], Mapping[str, Any]]) -> ProviderInfo:
    table = read(claim.module.partition(".")[0]).get(claim.provider, {})
    return provider_from_table(claim.provider, table)


def _provider_tables(package: str) -> Mapping[str, Any]:
    """What the ``provider.toml`` beside a top-level package says; imports nothing of it."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, "provider.toml")
        if path.is_file():
            return tomllib.loads(path.read_text("utf-8"))
    return {}
