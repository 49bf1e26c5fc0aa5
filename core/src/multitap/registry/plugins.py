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
from typing import TYPE_CHECKING

import attrs

from multitap.capabilities import CAPABILITIES, EXTENSIONS
from multitap.errors import ConfigError, MultitapError
from multitap.manifest import ProviderInfo
from multitap.registry.discovery import Claim, Failure, Policy, Row, State, Table, declared, survey
from multitap.registry.extensions import Extensions
from multitap.registry.turns import Turns
from multitap.registry.unusable import absence, blame, failure_of, reason_of, refuse_unusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import click

    from multitap.config import Plugins
    from multitap.registry.extensions import Filter, Observed
    from multitap.registry.loading import Hooks, Loader
    from multitap.work import Backend

__all__ = ("Failure", "Registry", "Row", "State")


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
        self._installed: tuple[Claim, ...] | None = None
        self._added: tuple[Claim, ...] = ()
        self._surveyed: tuple[Table, Table] | None = None
        self._failures: dict[Claim, Failure] = {}
        self._loader: Loader | None = None
        self._turns = Turns()
        self._built: dict[tuple[str, str], tuple[Backend, object]] = {}
        self._extensions = Extensions(
            lambda: self._tables()[1], self._hooks, self._failures, self._turns
        )

    @classmethod
    def of(cls, plugins: Plugins) -> Registry:
        """A registry that follows ``[plugins]`` of ``llm.toml``."""
        return cls(allow=plugins.allow, deny=plugins.deny, choose=plugins.choose)

    # ---- what there is ---------------------------------------------------------------------------

    def capabilities(self) -> tuple[Row, ...]:
        """Who offers what, by capability, provider and distribution.

        Looks at what is installed once; see ``refresh``.
        """
        rows = [
            Row(c.capability, c.provider, c.distribution, c.version, self._state(c, state))
            for c, state in self._table().states.items()
        ]
        return tuple(sorted(rows, key=_reading_order))

    def providers(self) -> tuple[ProviderInfo, ...]:
        """What the distributions that may be used say of their providers in ``provider.toml``.

        Of one whose file is wrong only the name is known; its rows are quarantined.
        """
        found: dict[tuple[str, str], ProviderInfo] = {}
        for claim, info in self._table().infos.items():
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
        """Why rows are quarantined, by capability and provider, or by kind and name."""
        of_capabilities, of_extensions = self._tables()
        failures = {**of_capabilities.failures, **of_extensions.failures, **self._failures}
        return {claim.place: failure for claim, failure in failures.items()}

    def refresh(self) -> None:
        """Look again at what is installed, and give quarantined rows another chance.

        A module that Python has imported already stays as it is.
        """
        importlib.invalidate_caches()
        with self._lock:
            self._installed = self._surveyed = None
            self._failures.clear()

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
                kept = self._made(self._claim(capability, backend), backend)
                self._built[backend.id, capability] = (backend, kept)
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
            self._built = {key: k for key, k in kept if not gone or k[0].provider != provider}

    # ---- the steps of it -------------------------------------------------------------------------

    def _table(self) -> Table:
        return self._tables()[0]

    def _tables(self) -> tuple[Table, Table]:
        """Of the capabilities, and of the extensions."""
        with self._lock:
            if self._surveyed is None:
                if self._installed is None:
                    self._installed = declared()
                claims = (*self._installed, *self._added)
                extensions = [claim for claim in claims if claim.capability in EXTENSIONS]
                others = [claim for claim in claims if claim.capability not in EXTENSIONS]
                self._surveyed = survey(others, self._policy), survey(extensions, self._policy)
            return self._surveyed

    def _state(self, claim: Claim, before: State) -> State:
        if claim in self._failures:
            return "quarantined"
        loaded = self._loader is not None and self._loader.loaded(claim)
        return "loaded" if loaded else before

    def _kept(self, capability: str, backend: Backend) -> object:
        kept = self._built.get((backend.id, capability))
        return kept[1] if kept and kept[0] == backend else None

    def _claim(self, capability: str, backend: Backend) -> Claim:
        table = self._table()
        claim = table.usable.get((_known_capability(capability), backend.provider))
        if claim is None:
            raise absence(table, capability, backend)
        refuse_unusable(table, claim)
        return claim

    def _made(self, claim: Claim, backend: Backend) -> object:
        from multitap.registry.loading import call_hook, check_result

        hook = self._hooks(claim)[f"multitap_{claim.capability}"]
        try:
            result = call_hook(hook, backend=backend)
            check_result(result, claim.capability)
        except MultitapError:
            raise
        except (Exception, SystemExit) as error:
            raise blame(claim, reason_of(error)) from error
        return result

    def _hooks(self, claim: Claim) -> Hooks:
        from multitap.registry.loading import Loader

        with self._lock:
            loader = self._loader = self._loader or Loader()
        with self._turns.hold(claim.module):
            if claim in self._failures:
                raise blame(claim, self._failures[claim].reason)
            try:
                return loader.load(claim)
            except BaseException as error:
                if _is_interrupt(error):
                    raise
                self._failures[claim] = failure_of(claim, error)
                raise blame(claim, reason_of(error)) from error


def _reading_order(row: Row) -> tuple[int, str, str]:
    return CAPABILITIES.index(row.capability), row.provider, row.distribution


def _is_interrupt(error: BaseException) -> bool:
    """Is this the user's Ctrl-C? It reaches the main thread only; elsewhere a plugin raised it."""
    here = threading.current_thread() is threading.main_thread()
    return here and isinstance(error, KeyboardInterrupt)


def _known_capability(name: str) -> str:
    if name not in CAPABILITIES:
        raise ConfigError(
            f"Unknown capability {name!r}", hint=f"Use one of {', '.join(CAPABILITIES)}."
        )
    return name
