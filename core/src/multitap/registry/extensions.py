"""Extensions in use: observers of every call, filters and commands by name.

A broken observer never breaks a call: it is quarantined, and shown where plugins are shown. A
filter was asked for by the user, so that one that cannot be had is an error of the call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import attrs

from multitap.config.packages import canonical
from multitap.errors import ConfigError, PluginError
from multitap.registry.discovery import Failure
from multitap.registry.observed import Observed, roles
from multitap.registry.unusable import (
    ContractError,
    absent_extension,
    reason_of,
    refuse_unusable,
)

if TYPE_CHECKING:
    import click
    import pluggy

    from multitap.events import Event
    from multitap.extensions import CallInfo
    from multitap.registry.discovery import Claim, Table
    from multitap.registry.loading.loader import Hooks
    from multitap.work import Stage

__all__ = ("Extensions", "Filter", "Observed")


@attrs.frozen
class Filter:
    """A filter that the configuration names."""

    name: str
    distribution: str
    _hook: pluggy.HookImpl = attrs.field(repr=False)

    def made(self, call: CallInfo) -> Stage[Sequence[Event], Event] | None:
        """Make it for one attempt, held to its contract; ``None``: it passes this call by.

        Raises:
            PluginError: The hook failed, or gave no filter.
        """
        from multitap.filters.guarded import Guarded
        from multitap.registry.loading.hooks import call_hook
        from multitap.registry.loading.loader import check_methods
        from multitap.work import Stage

        try:
            stage: Any = call_hook(self._hook, call=call)
            if stage is None:
                return None
            check_methods(stage, "multitap_filter", Stage)
        except (Exception, SystemExit) as error:
            raise self._broken(reason_of(error)) from error
        return Guarded(stage, self._broken)

    def _broken(self, reason: str) -> PluginError:
        return PluginError(
            f"The filter {self.name!r} of {self.distribution} failed: {reason}",
            distribution=self.distribution,
            hint=f"Run `pip install --upgrade {self.distribution}`, or take {self.name!r} out of"
            " filters under [plugins] in llm.toml.",
        )


@attrs.define(eq=False)
class _Known:
    """What was made of one table."""

    table: Table | None
    observers: tuple[Observed, ...] | None = None
    filters: dict[str, Filter] = attrs.field(factory=dict)


class Extensions:
    """The extensions of one registry.

    Args:
        table: What is installed, as far as somebody has looked.
        loaded: A claim's hooks; what fails inside is quarantined, and a ``PluginError``.
    """

    def __init__(
        self,
        table: Callable[[], Table],
        loaded: Callable[[Claim], AbstractContextManager[Hooks]],
    ) -> None:
        self._table = table
        self._loaded = loaded
        self._made: dict[Claim, Observed] = {}
        self._known = _Known(None)

    # ---- observers -------------------------------------------------------------------------------

    def observers(self) -> tuple[Observed, ...]:
        """Those of all extensions that work, made once, in order of distribution."""
        table = self._table()
        known = self._of(table)
        if known.observers is None:
            known.observers = self._gathered(table)
        return known.observers

    def faults(self) -> Mapping[str, int]:
        """Faults by distribution, of those that had any."""
        return {each.distribution: each.faults for each in list(self._made.values()) if each.faults}

    def failures(self) -> Mapping[Claim, Failure]:
        """Why observers are told of nothing more; their filters go on."""
        return {
            claim: Failure(claim.distribution, each.given_up, "")
            for claim, each in list(self._made.items())
            if each.given_up
        }

    def _look_again(self) -> None:
        self._known = _Known(None)

    def _of(self, table: Table) -> _Known:
        if self._known.table is not table:  # plugins came or went
            self._known = _Known(table)
        return self._known

    def _gathered(self, table: Table) -> tuple[Observed, ...]:
        claims = [claim for claim in table.usable.values() if claim.capability == "extension"]
        claims.sort(key=lambda claim: (claim.distribution, claim.provider))
        for gone in self._made.keys() - set(claims):
            self._made.pop(gone, None)
        found = [self._observed(table, claim) for claim in claims]
        return tuple(observed for observed in found if observed is not None)

    def _observed(self, table: Table, claim: Claim) -> Observed | None:
        from multitap.registry.loading.hooks import call_hook
        from multitap.registry.loading.loader import check_methods

        if claim in self._made:
            return None if self._made[claim].given_up else self._made[claim]
        try:
            refuse_unusable(table, claim)
            with self._loaded(claim) as hooks:  # one thread at a time
                if "multitap_observer" in hooks and claim not in self._made:
                    observer: Any = call_hook(hooks["multitap_observer"])
                    for protocol in roles(observer):
                        check_methods(observer, "multitap_observer", protocol)
                        _refuse_coroutines(observer, protocol)
                    name = claim.distribution or claim.module
                    self._made[claim] = Observed(observer, name, self._look_again)
        except PluginError:  # it is in quarantine, with the reason
            return None
        return self._made.get(claim)

    # ---- filters and commands, by name -----------------------------------------------------------

    def filter(self, name: str) -> Filter:
        """The filter of this name."""
        known = self._of(self._table())
        if name not in known.filters:
            known.filters[name] = self._found(name)
        return known.filters[name]

    def _found(self, name: str) -> Filter:
        claim = self._claim("extension", name)
        distribution = claim.distribution or claim.module
        with self._loaded(claim) as hooks:
            hook = hooks.get("multitap_filter")
        if hook is None:
            raise ConfigError(
                f"The extension {name!r} of {distribution} is no filter",
                hint="Take it out of filters under [plugins]; an observer needs no configuration.",
            )
        return Filter(name, distribution, hook)

    def commands(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(sorted(name for kind, name in self._table().usable if kind == "command"))

    def command(self, name: str) -> click.Command:
        """The command of this name."""
        import click

        from multitap.registry.loading.hooks import call_hook

        with self._loaded(self._claim("command", name)) as hooks:
            command = call_hook(hooks["multitap_command"])
            if not isinstance(command, click.Command):
                raise ContractError(f"multitap_command gave {command!r}, which is no click command")
        return command

    def _claim(self, kind: str, name: str) -> Claim:
        table = self._table()
        claim = table.usable.get((kind, canonical(name)))
        if claim is None:
            raise absent_extension(table, kind, name)
        refuse_unusable(table, claim)
        return claim


def _refuse_coroutines(observer: object, protocol: type) -> None:
    import inspect

    for name in (name for name in vars(protocol) if not name.startswith("_")):
        if inspect.iscoroutinefunction(getattr(observer, name)):
            raise ContractError(f"the observer's {name}() is a coroutine; make it a plain function")
