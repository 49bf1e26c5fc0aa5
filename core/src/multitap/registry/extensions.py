"""Extensions in use: observers of every call, filters and commands by name.

A broken observer never breaks a call: it is quarantined, and shown where plugins are shown. A
filter was asked for by the user, so that one that cannot be had is an error of the call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from multitap.errors import ConfigError, PluginError
from multitap.registry.unusable import (
    ContractError,
    absent_extension,
    blame,
    failure_of,
    reason_of,
    refuse_unusable,
)

if TYPE_CHECKING:
    import click
    import pluggy

    from multitap.events import Event
    from multitap.extensions import CallInfo, Observer
    from multitap.registry.discovery import Claim, Failure, Table
    from multitap.registry.loading import Hooks
    from multitap.registry.turns import Turns
    from multitap.work import Stage

__all__ = ("Extensions", "Filter", "Observed")


class Observed:
    """An observer, and whose it is; its faults are counted, and reach no call."""

    def __init__(self, observer: Observer, distribution: str) -> None:
        self.distribution = distribution
        self.faults = 0
        self._observer = observer

    def tell(self, method: str, *facts: object) -> None:
        """Call one of the observer's methods; what it raises is counted."""
        try:
            getattr(self._observer, method)(*facts)
        except Exception as error:
            self.faults += 1
            if self.faults == 1:
                self._log(method, error)

    def _log(self, method: str, error: Exception) -> None:
        import logging

        logging.getLogger("multitap").warning(  # without its text, which may hold anything
            "The observer of %s raised %s in %s; further faults are only counted",
            *(self.distribution, type(error).__name__, method),
        )


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
        from multitap.registry.loading import call_hook, check_methods
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


class Extensions:
    """The extensions of one registry.

    Args:
        table: What is installed now.
        hooks: Loads a claim's module, or quarantines it and raises a ``PluginError``.
        failures: Where a quarantine is noted.
        turns: One thread at a time makes the observers.
    """

    def __init__(
        self,
        table: Callable[[], Table],
        hooks: Callable[[Claim], Hooks],
        failures: MutableMapping[Claim, Failure],
        turns: Turns,
    ) -> None:
        self._table = table
        self._hooks = hooks
        self._failures = failures
        self._turns = turns
        self._made: dict[Claim, Observed] = {}
        self._observers: tuple[Table | None, tuple[Observed, ...]] = (None, ())

    # ---- observers -------------------------------------------------------------------------------

    def observers(self) -> tuple[Observed, ...]:
        """Those of all extensions that work, made once, in order of distribution."""
        table = self._table()
        if self._observers[0] is not table:
            with self._turns.hold("the observers"):
                if self._observers[0] is not table:
                    self._observers = table, self._gathered(table)
        return self._observers[1]

    def faults(self) -> Mapping[str, int]:
        """Faults by distribution, of those that had any."""
        return {o.distribution: o.faults for o in self._made.values() if o.faults}

    def _gathered(self, table: Table) -> tuple[Observed, ...]:
        claims = [claim for claim in table.usable.values() if claim.capability == "extension"]
        known, self._made = self._made, {}
        for claim in sorted(claims, key=lambda claim: (claim.distribution, claim.provider)):
            observed = known.get(claim) or self._observed(table, claim)
            if observed is not None:
                self._made[claim] = observed
        return tuple(self._made.values())

    def _observed(self, table: Table, claim: Claim) -> Observed | None:
        from multitap.extensions import Observer
        from multitap.registry.loading import call_hook, check_methods

        try:
            refuse_unusable(table, claim)
            hook = self._hooks(claim).get("multitap_observer")
        except PluginError:  # it is in quarantine, with the reason
            return None
        if hook is None:
            return None
        try:
            observer: Any = call_hook(hook)
            check_methods(observer, "multitap_observer", Observer)
            _refuse_coroutines(observer, Observer)
        except (Exception, SystemExit) as error:
            self._failures[claim] = failure_of(claim, error)
            return None
        return Observed(observer, claim.distribution or claim.module)

    # ---- filters and commands, by name -----------------------------------------------------------

    def filter(self, name: str) -> Filter:
        """The filter of this name."""
        claim, hooks = self._loaded("extension", name)
        distribution = claim.distribution or claim.module
        if "multitap_filter" not in hooks:
            raise ConfigError(
                f"The extension {name!r} of {distribution} is no filter",
                hint="Take it out of filters under [plugins]; an observer needs no configuration.",
            )
        return Filter(name, distribution, hooks["multitap_filter"])

    def commands(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(sorted(name for kind, name in self._table().usable if kind == "command"))

    def command(self, name: str) -> click.Command:
        """The command of this name."""
        import click

        from multitap.registry.loading import call_hook

        claim, hooks = self._loaded("command", name)
        try:
            command = call_hook(hooks["multitap_command"])
            if not isinstance(command, click.Command):
                raise ContractError(f"multitap_command gave {command!r}, which is no click command")
        except (Exception, SystemExit) as error:
            self._failures[claim] = failure_of(claim, error)
            raise blame(claim, reason_of(error)) from error
        return command

    def _loaded(self, kind: str, name: str) -> tuple[Claim, Hooks]:
        table = self._table()
        claim = table.usable.get((kind, name))
        if claim is None:
            raise absent_extension(table, kind, name)
        refuse_unusable(table, claim)
        return claim, self._hooks(claim)


def _refuse_coroutines(observer: object, protocol: type) -> None:
    import inspect

    for name in (name for name in vars(protocol) if not name.startswith("_")):
        if inspect.iscoroutinefunction(getattr(observer, name)):
            raise ContractError(f"the observer's {name}() is a coroutine; make it a plain function")
