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
from contextlib import suppress
from typing import TYPE_CHECKING

from multitap.capabilities import CAPABILITIES, EXTENSIONS
from multitap.errors import ConfigError, PluginError
from multitap.registry.discovery import (
    KINDS,
    Added,
    Claim,
    Failure,
    Policy,
    Row,
    State,
    Table,
    claims_of,
    survey,
)
from multitap.registry.installed.snapshot import Snapshot, installed
from multitap.registry.loading.forks import renew_after_fork
from multitap.registry.loading.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import click

    from multitap.config import Plugins
    from multitap.manifest import ProviderInfo
    from multitap.registry.extensions import Extensions, Filter, Observed
    from multitap.work import Backend

__all__ = ("Failure", "Registry", "Row", "State")


_ORDER = {kind: place for place, kind in enumerate(KINDS.values())}


class Registry:
    """The plugins of this environment, safe to share between threads.

    Args:
        allow: Distributions that may be used; ``None``: all.
        deny: Distributions that may not.
        choose: For a provider that several distributions claim, the one to use.
        environ: Where ``MULTITAP_PLUGINS`` is read: ``none``, ``a,b`` (only these) or ``-c`` (all
            but this); ``None``: from this process. It limits further; it never allows what the
            arguments deny.

    Attributes:
        generation: The number that ``notice`` gave last.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] = (),
        choose: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        variable = (os.environ if environ is None else environ).get("MULTITAP_PLUGINS", "")
        self._policy = Policy.of(allow, deny, choose or {}, variable)
        self._lock = threading.RLock()
        self._snapshot = Snapshot()
        self._added: tuple[Claim, ...] = ()
        self._surveyed: Table | None = None
        self._workshop = Workshop()
        self._made_extensions: Extensions | None = None
        self.generation = 0
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
        states = self._table().states
        loaded: dict[Claim, State] = dict.fromkeys(self._workshop.claims, "loaded")
        broken: dict[Claim, State] = dict.fromkeys(self._broken(), "quarantined")
        now: dict[Claim, State] = {**states, **loaded, **broken}
        rows = [Row(c.capability, c.provider, c.distribution, c.version, now[c]) for c in states]
        return tuple(sorted(rows, key=_reading_order))

    def providers(self) -> tuple[ProviderInfo, ...]:
        """What the distributions that may be used say of their providers in ``provider.toml``.

        Of one whose file is wrong only the name is known; its rows are quarantined.
        """
        import attrs  # the table of capabilities needs none

        found: dict[tuple[str, str], ProviderInfo] = {}
        table = self._table()
        for claim in table.usable.values():
            if claim.capability not in CAPABILITIES:
                continue
            info = table.info(claim)
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
        failures = {**self._table().failures, **self._broken()}
        return {claim.place: failure for claim, failure in failures.items()}

    def _broken(self) -> Mapping[Claim, Failure]:
        """What did not keep its contract, once it was used."""
        made = self._made_extensions
        return {**(made.failures() if made else {}), **self._workshop.failures}

    def notice(self, *, quick: bool = False) -> int:
        """Look whether plugins came or went; the number changes when the table did.

        ``quick`` looks at the folders of ``sys.path`` alone, in some microseconds.
        """
        self._table(quick=quick)
        return self.generation

    def reload(self) -> None:
        """Look at everything afresh: quarantined plugins get another chance, loaded ones go.

        What was built is built anew, from modules that are imported anew, on its next use; calls
        in flight finish with what they have. Modules that the application has imported itself, and
        those of other packages, stay as they are.
        """
        with self._lock:
            self._workshop.abandon()
            self._workshop = Workshop()
            importlib.invalidate_caches()
            installed.forget()
            self._surveyed = self._made_extensions = None

    # ---- extensions ------------------------------------------------------------------------------

    def observers(self) -> tuple[Observed, ...]:
        """Who is told of calls, in order of distribution; a broken one is quarantined instead."""
        made = self._made_extensions or self._extensions
        return made.observers()

    @property
    def observer_faults(self) -> Mapping[str, int]:
        """How often an observer raised, or took a second, by distribution; it reached no call."""
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

    @property
    def _extensions(self) -> Extensions:
        if self._made_extensions is not None:
            return self._made_extensions
        from multitap.registry.extensions import Extensions

        with self._lock:
            if self._made_extensions is None:
                self._made_extensions = Extensions(self._current_table, self._workshop.loaded)
            return self._made_extensions

    # ---- what is used ----------------------------------------------------------------------------

    def build(self, capability: str, backend: Backend) -> object:
        """The object that offers a capability of a backend, made on first use and kept.

        Raises:
            ConfigError: No installed plugin has this provider, or the configuration denies it.
            NotSupported: The provider has no such capability.
            PluginError: The plugin is broken, or too old or new; see ``failures``.
        """
        return self._workshop.build(capability, backend, lambda: self._claim(capability, backend))

    def load(self) -> None:
        """Import every plugin that may be used; what is broken is quarantined, see ``failures``."""
        table = self._table()
        for claim in table.usable.values():
            if table.states[claim] == "declared":
                with suppress(PluginError), self._workshop.loaded(claim):
                    pass
        self.observers()
        for name in self.commands():
            with suppress(PluginError):
                self.command(name)

    def forget(self, backend_id: str) -> None:
        """Drop what was built for a backend; calls in flight go on with what they have."""
        self._workshop.forget(backend_id)

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
        from multitap.manifest import ProviderInfo

        own = Added(plugin, info or ProviderInfo(name=provider, title=provider))
        module = getattr(plugin, "__name__", None) or type(plugin).__name__
        names = [name if name in EXTENSIONS else _known_capability(name) for name in capabilities]
        claims = [Claim(name, provider, distribution, version, module, own) for name in names]
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
            self._workshop.keep(lambda claim: claim not in gone)

    # ---- the steps of it -------------------------------------------------------------------------

    def _table(self, *, quick: bool = False) -> Table:
        with self._lock:
            snapshot = installed.look(quick=quick)
            if self._surveyed is None or snapshot is not self._snapshot:
                claims = claims_of(snapshot.declarations)
                table = survey((*claims, *self._added), self._policy, snapshot.manifests)
                self._snapshot, self._surveyed = snapshot, table
                self.generation += 1
                self._workshop.keep(table.states.__contains__)
            return self._surveyed

    def _current_table(self) -> Table:
        """The table of the last look; to read it for every call costs nothing."""
        return self._surveyed or self._table(quick=True)

    def renew(self) -> None:
        """In a forked child: another thread may have held the lock."""
        self._lock = threading.RLock()

    def _claim(self, capability: str, backend: Backend) -> Claim:
        from multitap.registry.unusable import absence, refuse_unusable

        table = self._table()
        claim = table.usable.get((_known_capability(capability), backend.provider))
        if claim is None:
            raise absence(table, capability, backend)
        refuse_unusable(table, claim)
        return claim


def _reading_order(row: Row) -> tuple[int, str, str]:
    return _ORDER[row.capability], row.provider, row.distribution


def _known_capability(name: str) -> str:
    if name not in CAPABILITIES:
        raise ConfigError(
            f"Unknown capability {name!r}", hint=f"Use one of {', '.join(CAPABILITIES)}."
        )
    return name
