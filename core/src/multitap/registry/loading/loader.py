"""Importing one plugin module, and checking that it keeps the contract.

Everything here raises plainly; ``multitap.registry`` says whose fault it was, and quarantines.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Coroutine, Generator, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

from multitap.capabilities import EXTENSIONS
from multitap.errors import MultitapError
from multitap.hookspecs import Specs, protocol_of
from multitap.registry.loading.forks import renew_after_fork
from multitap.registry.loading.hooks import call_hook, timed_import
from multitap.registry.unusable import ContractError

if TYPE_CHECKING:
    from multitap.registry.discovery import Claim
    from multitap.work import Backend

__all__ = ("Hooks", "Loader", "answer_of", "check_methods", "check_result")

Hooks = Mapping[str, pluggy.HookImpl]
"""The hooks that one module has for one entry point, by name."""


class Loader:
    """Modules that were imported and registered; the caller sees to one at a time per module."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager("multitap")
        self._manager.add_hookspecs(Specs)
        self._hooks: dict[Claim, Hooks] = {}
        self._lock = threading.Lock()
        renew_after_fork(self)

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Those whose module is registered, and has its hook."""
        return tuple(self._hooks)

    def load(self, claim: Claim) -> Hooks:
        """Import the claim's module, register it once, and find its hooks; or leave no trace."""
        if claim in self._hooks:
            return self._hooks[claim]
        plugin = _imported(claim) if claim.added is None else claim.added.plugin
        with self._lock:
            self._check_hooks(plugin, claim)
            if not self._manager.is_registered(plugin):
                self._register(plugin)
            found = {name: self._implementation(plugin, name) for name in _hooks_of(claim)}
            self._hooks[claim] = {name: hook for name, hook in found.items() if hook is not None}
            return self._hooks[claim]

    def unload(self, claim: Claim) -> bool:
        """Forget the claim, and its module if nothing else uses it.

        Was that module the one that an import gives now, and does nothing else need its package?
        """
        with self._lock:
            hooks = self._hooks.pop(claim, None)
            if not hooks:
                return False
            plugin = next(iter(hooks.values())).plugin
            others = [hook.plugin for each in self._hooks.values() for hook in each.values()]
            if all(other is not plugin for other in others):
                self._manager.unregister(plugin)
            current = sys.modules.get(claim.module) is plugin
            return current and all(other.package != claim.package for other in self._hooks)

    def renew(self) -> None:
        """In a forked child: another thread may have held the lock."""
        self._lock = threading.Lock()

    def _implementation(self, plugin: object, name: str) -> pluggy.HookImpl | None:
        caller: pluggy.HookCaller = getattr(self._manager.hook, name)
        return next((hook for hook in caller.get_hookimpls() if hook.plugin is plugin), None)

    def _register(self, plugin: object) -> None:
        try:
            self._manager.register(
                plugin, name=getattr(plugin, "__name__", None) or str(id(plugin))
            )
        except BaseException:
            if self._manager.is_registered(plugin):  # pluggy before 1.7 leaves half of it
                self._manager.unregister(plugin)
            raise

    def _check_hooks(self, plugin: object, claim: Claim) -> None:
        """Before anything is registered: a misspelt hook would never be called."""
        wanted, found = _hooks_of(claim), set[str]()
        for name in dir(plugin):
            options = self._manager.parse_hookimpl_opts(plugin, name)
            if options is None:
                continue
            found.add(hook := options.get("specname") or name)
            if not options.get("optionalhook") and not hasattr(Specs, hook):
                raise ContractError(
                    f"{claim.module} implements {hook}, which is no hook of this version;"
                    f" for this entry point it is {' or '.join(wanted)}"
                )
        if found.isdisjoint(wanted):
            raise ContractError(
                f"{claim.module} has no {' and no '.join(wanted)}, which its entry point in"
                f" multitap.{claim.capability} promises; is it marked with @hookimpl?"
            )


def _hooks_of(claim: Claim) -> tuple[str, ...]:
    """The hooks that its entry-point group is for."""
    return EXTENSIONS.get(claim.capability) or (f"multitap_{claim.capability}",)


def _imported(claim: Claim) -> object:
    module = claim.module
    if not all(part.isidentifier() for part in module.split(".")):
        raise ContractError(f"the entry point's value {module!r} is not the name of a module")
    return timed_import(module, claim.distribution)


def answer_of(hook: pluggy.HookImpl, backend: Backend, capability: str) -> object:
    """What a capability's hook gives for a backend.

    An error of ours is its answer too: it says what is wrong with the backend, not with the plugin.
    """
    try:
        result = call_hook(hook, backend=backend)
    except MultitapError as error:
        return error
    check_result(result, capability)
    return result


def check_result(result: object, capability: str) -> None:
    """Raise a ``ContractError`` unless the hook gave an object with the capability's methods."""
    check_methods(result, f"multitap_{capability}", protocol_of(capability))


def check_methods(result: object, hook: str, protocol: Any) -> None:
    """Raise a ``ContractError`` unless what the hook gave has the protocol's methods."""
    if isinstance(result, (Coroutine, Generator)):
        result.close()
        raise ContractError(f"{hook} is a coroutine or a generator; make it a plain function")
    if result is None:
        raise ContractError(f"{hook} returned None; did you forget `return`?")
    for name in sorted(n for n in vars(protocol) if not n.startswith("_")):
        method = getattr(result, name, None)
        if not callable(method):
            raise ContractError(f"what {hook} returned ({_kind(result)}) has no method {name}()")
        _check_arguments(method, f"{_kind(result)}.{name}", getattr(protocol, name))


def _check_arguments(method: Any, title: str, wanted: Any) -> None:
    count = len(inspect.signature(wanted).parameters) - 1
    try:
        inspect.signature(method).bind(*[object()] * count)
    except TypeError as error:
        what = f"{title}() must take {count} argument{'s' * (count != 1)} by position"
        raise ContractError(f"{what}: {error}") from None
    except ValueError:  # a function of an extension module may not say what it takes
        return


def _kind(value: object) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__
