"""Who offers what: the declared table, and lazy, guarded loading of what is used.

Reading the table imports nothing of any plugin. A plugin's module is imported when a backend first
needs it; one that breaks is quarantined alone, with the reason, and everything else goes on.

>>> Registry(environ={"MULTITAP_PLUGINS": "none"}).providers()
()
"""

from __future__ import annotations

import importlib
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import attrs

from multitap.capabilities import CAPABILITIES, EXTENSIONS
from multitap.errors import ConfigError, MultitapError
from multitap.manifest import ProviderInfo
from multitap.registry.discovery import (
    KINDS,
    Claim,
    Failure,
    Policy,
    Row,
    State,
    Table,
    claims_of,
    survey,
)
from multitap.registry.extensions import Extensions
from multitap.registry.forks import renew_after_fork
from multitap.registry.installed import Snapshot, installed
from multitap.registry.modules import disown, drop_bytecode
from multitap.registry.turns import Turns
from multitap.registry.unusable import absence, blame, refuse_unusable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    import click

    from multitap.config import Plugins
    from multitap.registry.extensions import Filter, Observed
    from multitap.registry.loading import Hooks, Loader
    from multitap.work import Backend

__all__ = ("Failure", "Registry", "Row", "State")


_ORDER = {kind: place for place, kind in enumerate(KINDS.values())}


class _Built(NamedTuple):
    backend: Backend
    claim: Claim
    plugin: object


class Registry:
    """The plugins of this environment, safe to share between threads.

    Args:
        allow: Distributions that may be used; ``None``: all.
        deny: Distributions that may not.
        choose: For a provider that several distributions claim, the one to use.
        environ: Where ``MULTITAP_PLUGINS`` is read: ``none``, ``a,b`` (only these) or ``-c`` (all
            but this). It limits further; it never allows what the arguments deny.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] = (),
        choose: Mapping[str, str] | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        variable = environ.get("MULTITAP_PLUGINS", "")
        self._policy = Policy.of(allow, deny, choose or {}, variable)
        self._lock = threading.RLock()
        self._snapshot = Snapshot()
        self._added: tuple[Claim, ...] = ()
        self._surveyed: Table | None = None
        self._failures: dict[Claim, Failure] = {}
        self._loader: Loader | None = None
        self._turns = Turns()
        self._built: dict[tuple[str, str], _Built] = {}
        self._extensions = Extensions(self._current_table, self._loaded)
        self._generation = 0
        renew_after_fork(self)

    @classmethod
    def of(cls, plugins: Plugins) -> Registry:
        """A registry that follows ``[plugins]`` of ``llm.toml``."""
        return cls(allow=plugins.allow, deny=plugins.deny, choose=plugins.choose)

    # ---- what there is ---------------------------------------------------------------------------

    def capabilities(self) -> tuple[Row, ...]:
        """Who offers what, by capability, provider and distribution.

        What was installed, upgraded or removed since the last call is seen.
        """
        return tuple(row for row in self.entries() if row.capability in CAPABILITIES)

    def entries(self) -> tuple[Row, ...]:
        """Every row: also those of extensions and commands, whose ``capability`` says so."""
        table = self._table()
        loaded = self._loader.claims if self._loader else ()
        rows = []
        for claim, state in table.states.items():
            now: State = "loaded" if claim in loaded else state
            now = "quarantined" if claim in self._failures else now
            rows.append(
                Row(claim.capability, claim.provider, claim.distribution, claim.version, now)
            )
        return tuple(sorted(rows, key=_reading_order))

    def providers(self) -> tuple[ProviderInfo, ...]:
        """What the distributions that may be used say of their providers in ``provider.toml``.

        Of one whose file is wrong only the name is known; its rows are quarantined.
        """
        found: dict[tuple[str, str], ProviderInfo] = {}
        table = self._table()
        for claim in table.usable.values():
            if claim.capability not in CAPABILITIES:
                continue
            info = table.infos[claim]
            known = found.get((claim.provider, claim.distribution), info)
            names = {*known.capabilities, claim.capability}
            found[claim.provider, claim.distribution] = attrs.evolve(
                known,
                distribution=claim.distribution,
                version=claim.version,
                capabilities=tuple(name for name in CAPABILITIES if name in names),
            )
        return tuple(found[key] for key in sorted(found))

    @property
    def failures(self) -> Mapping[tuple[str, str], Failure]:
        """Why rows are quarantined, by capability and provider."""
        failures = {**self._table().failures, **self._failures}
        return {claim.place: failure for claim, failure in failures.items()}

    def notice(self, *, quick: bool = False) -> int:
        """Look whether plugins came or went; the number changes when the table did.

        ``quick`` looks at the folders of ``sys.path`` alone, in some microseconds.
        """
        self._table(quick=quick)
        return self._generation

    @property
    def generation(self) -> int:
        """The number that ``notice`` gave last; no look is taken."""
        return self._generation

    def reload(self) -> None:
        """Look at everything afresh: quarantined plugins get another chance, loaded ones go.

        What was built is built anew, from modules that are imported anew, on its next use; calls
        in flight finish with what they have. Modules that the application has imported itself, and
        those of other packages, stay as they are.
        """
        with self._lock:
            claims = {*(self._loader.claims if self._loader else ()), *self._failures}
            packages = {claim.package for claim in claims if claim.plugin is None}
            disown(packages)
            drop_bytecode(packages)
            importlib.invalidate_caches()
            installed.forget()
            self._loader = self._surveyed = None
            self._failures, self._built = {}, {}
            self._extensions = Extensions(self._current_table, self._loaded)

    # ---- extensions ------------------------------------------------------------------------------

    def observers(self) -> tuple[Observed, ...]:
        """Who is told of calls, in order of distribution; a broken one is quarantined instead."""
        return self._extensions.observers()

    @property
    def observer_faults(self) -> Mapping[str, int]:
        """How often an observer raised, by distribution; what it raised reached no call."""
        return self._extensions.faults()

    def filters(self, names: Iterable[str]) -> tuple[Filter, ...]:
        """The filters of these names, in this order.

        Raises:
            ConfigError: No installed extension has the name, or it is none of a filter.
            PluginError: The extension is broken; see ``failures``.
        """
        return tuple(map(self._extensions.filter, names))

    def commands(self) -> tuple[str, ...]:
        """The names of the commands that plugins add; nothing is imported."""
        return self._extensions.commands()

    def command(self, name: str) -> click.Command:
        """One command that a plugin adds.

        Raises:
            ConfigError: There is none of this name.
            PluginError: The plugin is broken; see ``failures``.
        """
        return self._extensions.command(name)

    # ---- what is used ----------------------------------------------------------------------------

    def build(self, capability: str, backend: Backend) -> object:
        """The object that offers a capability of a backend, made on first use and kept.

        Raises:
            ConfigError: No installed plugin has this provider, or the configuration denies it.
            NotSupported: The provider has no such capability.
            PluginError: The plugin is broken, or too old or new; see ``failures``.
        """
        kept = self._kept(capability, backend)
        if kept is not None:
            return kept
        with self._turns.hold(f"{capability} of {backend.id}"):
            kept = self._kept(capability, backend)
            if kept is None:
                claim = self._claim(capability, backend)
                kept = self._made(claim, backend)
                self._built[backend.id, capability] = _Built(backend, claim, kept)
            return kept

    def forget(self, backend_id: str) -> None:
        """Drop what was built for a backend; calls in flight go on with what they have."""
        with self._lock:
            self._built = {key: kept for key, kept in self._built.items() if key[0] != backend_id}

    def add(
        self,
        plugin: object,
        provider: str,
        capabilities: Iterable[str],
        *,
        distribution: str = "",
        version: str = "",
        info: ProviderInfo | None = None,
    ) -> None:
        """Register a module, or an object, that has the hooks; it goes before what is installed.

        For tests and applications; ``allow``, ``deny`` and ``MULTITAP_PLUGINS`` do not apply.
        """
        known = info or ProviderInfo(name=provider, title=provider)
        module = getattr(plugin, "__name__", None) or type(plugin).__name__
        names = [name if name in EXTENSIONS else _known_capability(name) for name in capabilities]
        claims = [
            Claim(name, provider, distribution, version, module, plugin, known) for name in names
        ]
        with self._lock:
            taken = {claim.place for claim in self._added}
            if any(claim.place in taken for claim in claims):
                raise ConfigError(
                    f"{provider} was added already", hint=f"Call remove({provider!r}) first."
                )
            self._added, self._surveyed = (*self._added, *claims), None

    def remove(self, provider: str) -> None:
        """Undo ``add``; a provider that was never added is no error."""
        with self._lock:
            gone = [claim for claim in self._added if claim.provider == provider]
            self._added = tuple(claim for claim in self._added if claim.provider != provider)
            self._surveyed = None
            for claim in gone:
                if self._loader is not None:
                    self._loader.unload(claim)
                self._failures.pop(claim, None)
            kept = self._built.items()
            self._built = {key: built for key, built in kept if built.claim not in gone}

    # ---- the steps of it -------------------------------------------------------------------------

    def _table(self, *, quick: bool = False) -> Table:
        with self._lock:
            snapshot = installed.look(quick=quick)
            if self._surveyed is None or snapshot is not self._snapshot:
                claims = claims_of(snapshot.declarations)
                table = survey((*claims, *self._added), self._policy, snapshot.manifests)
                self._snapshot, self._surveyed = snapshot, table
                self._generation += 1
                self._let_go(table)
            return self._surveyed

    def _current_table(self) -> Table:
        """The table of the last look; to read it for every call costs nothing."""
        return self._surveyed or self._table(quick=True)

    def _let_go(self, table: Table) -> None:
        """Drop what is not installed any more, or not in this version."""
        here = table.states
        self._failures = {c: failure for c, failure in self._failures.items() if c in here}
        self._built = {key: built for key, built in self._built.items() if built.claim in here}
        loader = self._loader
        gone = [claim for claim in loader.claims if claim not in here] if loader else []
        disown({claim.package for claim in gone if loader and loader.unload(claim)})

    def renew(self) -> None:
        """In a forked child: another thread may have held the lock."""
        self._lock = threading.RLock()

    def _kept(self, capability: str, backend: Backend) -> object:
        built = self._built.get((backend.id, capability))
        return built.plugin if built and built.backend == backend else None

    def _claim(self, capability: str, backend: Backend) -> Claim:
        table = self._table()
        claim = table.usable.get((_known_capability(capability), backend.provider))
        if claim is None:
            raise absence(table, capability, backend)
        refuse_unusable(table, claim)
        return claim

    def _made(self, claim: Claim, backend: Backend) -> object:
        from multitap.registry.loading import answer_of

        with self._loaded(claim) as hooks:
            hook = hooks[f"multitap_{claim.capability}"]
            answer = answer_of(hook, backend, claim.capability)
        if isinstance(answer, MultitapError):
            raise answer
        return answer

    @contextmanager
    def _loaded(self, claim: Claim) -> Generator[Hooks, None, None]:
        """The claim's hooks, to be called inside."""
        from multitap.registry.loading import Loader

        with self._lock:
            loader = self._loader = self._loader or Loader()
        with self._guarded(claim):
            yield loader.load(claim)

    @contextmanager
    def _guarded(self, claim: Claim) -> Generator[None, None, None]:
        """One thread at a time in each package; who fails is quarantined, and leaves nothing."""
        from multitap.registry.quarantine import guarded

        with self._turns.hold(claim.package):
            if claim in self._failures:
                raise blame(claim, self._failures[claim].reason)
            with guarded(claim, self._failed):
                yield

    def _failed(self, claim: Claim, failure: Failure) -> None:
        """Quarantine the claim, unless it serves another backend: then this one is at fault."""
        with self._lock:
            if any(built.claim == claim for built in self._built.values()):
                return
            self._failures[claim] = failure
            if self._loader is not None:
                self._loader.unload(claim)


def _reading_order(row: Row) -> tuple[int, str, str]:
    return _ORDER[row.capability], row.provider, row.distribution


def _known_capability(name: str) -> str:
    if name not in CAPABILITIES:
        raise ConfigError(
            f"Unknown capability {name!r}", hint=f"Use one of {', '.join(CAPABILITIES)}."
        )
    return name
