"""What installed distributions claim, and which of it may be used; nothing of them is imported.

A *claim* is one entry point: a distribution says that a module of its own offers a capability of a
provider, an extension, or a command. ``survey`` judges the claims: by the user's policy, by asking
whether two of them want the same place, and by what ``provider.toml`` says.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal, NamedTuple

from multitap.capabilities import API, CAPABILITIES, EXTENSIONS
from multitap.config.packages import canonical
from multitap.registry.installed.distribution import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multitap.manifest import ProviderInfo
    from multitap.registry.installed.manifests import Manifest
    from multitap.registry.installed.snapshot import Declaration

__all__ = (
    "KINDS",
    "Added",
    "Claim",
    "Failure",
    "Policy",
    "Row",
    "State",
    "Table",
    "claims_of",
    "survey",
)

State = Literal["declared", "loaded", "quarantined", "conflict", "denied", "incompatible"]

KINDS = {f"multitap.{name}": name for name in (*CAPABILITIES, *EXTENSIONS)}
"""What a row is about, by its group of entry points."""


class Row(NamedTuple):
    """One line of the table of who offers what; ``_asdict()`` is its JSON form.

    Attributes:
        capability: Its name, or ``extension`` or ``command``.
        provider: The entry's name: the provider, the extension or the command.
        state: ``declared`` (installed, not imported yet), ``loaded``, ``quarantined`` (broken),
            ``conflict`` (two distributions claim it), ``denied`` (by the user's configuration) or
            ``incompatible`` (written for another version of the hooks).
    """

    capability: str
    provider: str
    distribution: str
    version: str
    state: State


class Added:
    """An object that an application registered itself, and what is known of its provider."""

    __slots__ = ("info", "plugin")

    def __init__(self, plugin: object, info: ProviderInfo) -> None:
        self.plugin = plugin
        self.info = info


class Claim(NamedTuple):
    """One entry point, or one capability of an object that was added.

    Of an extension or a command ``provider`` is its name.
    """

    capability: str
    provider: str
    distribution: str
    version: str
    module: str
    added: Added | None = None

    @property
    def place(self) -> tuple[str, str]:
        """What at most one claim can have: capability and provider."""
        return self.capability, self.provider

    @property
    def package(self) -> str:
        """The top-level package of its module."""
        return self.module.partition(".")[0]


class Failure(NamedTuple):
    """Why a row is quarantined. ``traceback`` is text, empty where nothing was run."""

    distribution: str
    reason: str
    traceback: str = ""


def claims_of(declarations: Iterable[Declaration]) -> tuple[Claim, ...]:
    """The entry points whose group is known; what is declared twice counts once."""
    claims: dict[tuple[str, ...], Claim] = {}
    for each in declarations:
        if kind := KINDS.get(each.group):
            name = canonical(each.name)
            claim = Claim(kind, name, each.distribution, each.version, each.value)
            claims.setdefault((*claim.place, key_of(each.distribution), each.value), claim)
    return tuple(claims.values())


# ---- what may be used ----------------------------------------------------------------------------


class Policy(NamedTuple):
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
            tuple(frozenset(map(key_of, names)) for names in allowed),
            frozenset(map(key_of, [*deny, *(w[1:] for w in words if w.startswith("-"))])),
            {canonical(provider): key_of(name) for provider, name in choose.items()},
        )

    def permits(self, distribution: str) -> bool:
        """May this distribution be used at all?"""
        name = key_of(distribution)
        return name not in self.denied and all(name in names for names in self.allowed)


class Table(NamedTuple):
    """Every claim with its state before loading; what is known of those that may be used."""

    states: Mapping[Claim, State]
    failures: Mapping[Claim, Failure]
    usable: Mapping[tuple[str, str], Claim]
    manifests: Mapping[str, Manifest]

    @property
    def of_capabilities(self) -> tuple[Claim, ...]:
        """The claims of providers; extensions and commands are none."""
        return tuple(claim for claim in self.states if claim.capability in CAPABILITIES)

    def info(self, claim: Claim) -> ProviderInfo:
        """What is known of the provider of a claim that may be used."""
        if claim.added is not None:
            return claim.added.info
        if claim in self.failures:
            from multitap.manifest import ProviderInfo  # the table itself needs none

            return ProviderInfo(name=claim.provider, title=claim.provider)
        return self.manifests[claim.package].info(claim.provider)


def survey(claims: Iterable[Claim], policy: Policy, manifests: Mapping[str, Manifest]) -> Table:
    """Judge the claims; what an application registered itself comes before what is installed."""
    states = _settled(claims, policy)
    usable = {claim.place: claim for claim, state in states.items() if state == "declared"}
    failures: dict[Claim, Failure] = {}
    for claim in usable.values():
        verdict = claim.added.info.api if claim.added else _verdict(claim, manifests)
        if isinstance(verdict, str):
            failures[claim] = Failure(claim.distribution, f"its provider.toml is wrong: {verdict}")
            states[claim] = "quarantined"
        elif verdict != API:
            states[claim] = "incompatible"
    return Table(states, failures, usable, manifests)


def _verdict(claim: Claim, manifests: Mapping[str, Manifest]) -> int | str:
    """The version of the hooks that its provider is written for, or what is wrong with it."""
    manifest = manifests[claim.package]
    return manifest.problem or manifest.verdicts.get(claim.provider, 1)


def _settled(claims: Iterable[Claim], policy: Policy) -> dict[Claim, State]:
    states: dict[Claim, State] = {}
    rivals: defaultdict[tuple[str, str], list[Claim]] = defaultdict(list)
    for claim in claims:
        states[claim] = "denied"
        if claim.added is not None or policy.permits(claim.distribution):
            rivals[claim.place].append(claim)
    for (_, provider), several in rivals.items():
        kept = _preferred(several, policy.chosen.get(provider))
        for claim in kept:
            states[claim] = "declared" if len(kept) == 1 else "conflict"
    return states


def _preferred(rivals: list[Claim], chosen: str | None) -> list[Claim]:
    added = [claim for claim in rivals if claim.added is not None]
    named = [claim for claim in rivals if key_of(claim.distribution) == chosen]
    return added or named or rivals
