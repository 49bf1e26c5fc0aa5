"""Importing one plugin module, and checking that it keeps the contract.

Everything here raises plainly; ``multitap.registry`` says whose fault it was, and quarantines.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pluggy

from multitap.errors import PluginError
from multitap.hookspecs import Specs, methods_of, protocol_of

if TYPE_CHECKING:
    from multitap.discovery import Claim
    from multitap.work import Backend

__all__ = ("ContractError", "Loader", "Turns", "call_hook", "check_result")


class ContractError(Exception):
    """A module, or what its hook gave, is not what the contract asks for."""


class Turns:
    """One thread at a time for each key; other keys go on meanwhile.

    A thread that would wait for itself, alone or in a circle of threads, gets a ``PluginError``:
    plugins that use each other while they are imported must not stop the process.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._owners: dict[str, int] = {}
        self._waiting: dict[int, str] = {}

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Wait for the key's turn, and keep it."""
        with self._changed:
            self._take(key, threading.get_ident())
        try:
            yield
        finally:
            with self._changed:
                del self._owners[key]
                self._changed.notify_all()

    def _take(self, key: str, thread: int) -> None:
        self._waiting[thread] = key
        try:
            while key in self._owners:
                if self._waits_for_itself(thread):
                    raise PluginError(f"{key} is needed in order to load itself")
                self._changed.wait()
            self._owners[key] = thread
        finally:
            del self._waiting[thread]

    def _waits_for_itself(self, thread: int) -> bool:
        key: str | None = self._waiting[thread]
        while key in self._owners:
            owner = self._owners[key]
            if owner == thread:
                return True
            key = self._waiting.get(owner)
        return False


class Loader:
    """Modules that were imported and registered; the caller sees to one at a time per module."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager("multitap")
        self._manager.add_hookspecs(Specs)
        self._hooks: dict[Claim, pluggy.HookImpl] = {}
        self._lock = threading.Lock()

    def loaded(self, claim: Claim) -> bool:
        """Whether its module is registered, and has its hook."""
        return claim in self._hooks

    def load(self, claim: Claim) -> pluggy.HookImpl:
        """Import the claim's module, register it once, and find its hook; or leave no trace."""
        if claim in self._hooks:
            return self._hooks[claim]
        plugin = claim.plugin if claim.plugin is not None else _imported(claim.module)
        with self._lock:
            self._check_hook_names(plugin, claim)
            new = not self._manager.is_registered(plugin)
            try:
                if new:
                    self._manager.register(plugin, name=_plugin_name(plugin))
                self._hooks[claim] = self._hook_of(plugin, claim)
            except BaseException:
                if new and self._manager.is_registered(plugin):
                    self._manager.unregister(plugin)
                raise
            return self._hooks[claim]

    def unload(self, claim: Claim) -> None:
        """Forget the claim, and its module if nothing else uses it."""
        with self._lock:
            hook = self._hooks.pop(claim, None)
            if hook and all(other.plugin is not hook.plugin for other in self._hooks.values()):
                self._manager.unregister(hook.plugin)

    def _check_hook_names(self, plugin: object, claim: Claim) -> None:
        """Before anything is registered: a misspelt hook would never be called."""
        for name in dir(plugin):
            options = self._manager.parse_hookimpl_opts(plugin, name)
            hook = (options and options.get("specname")) or name
            if options and not options.get("optionalhook") and not hasattr(Specs, hook):
                raise ContractError(
                    f"{claim.module} implements {hook}, which is no hook of this version;"
                    f" for this entry point it is multitap_{claim.capability}"
                )

    def _hook_of(self, plugin: object, claim: Claim) -> pluggy.HookImpl:
        name = f"multitap_{claim.capability}"
        caller: pluggy.HookCaller = getattr(self._manager.hook, name)
        for hook in caller.get_hookimpls():
            if hook.plugin is plugin:
                return hook
        raise ContractError(
            f"{claim.module} has no {name}, which its entry point in"
            f" multitap.{claim.capability} promises; is it marked with @hookimpl?"
        )


def _imported(module: str) -> object:
    if not all(part.isidentifier() for part in module.split(".")):
        raise ContractError(f"the entry point's value {module!r} is not the name of a module")
    return import_module(module)


def _plugin_name(plugin: object) -> str:
    return str(getattr(plugin, "__name__", None) or id(plugin))


def call_hook(hook: pluggy.HookImpl, backend: Backend) -> object:
    """Call one implementation, and no other's, with the arguments that it asks for."""
    given = {"backend": backend}
    result: object = hook.function(*(given[name] for name in hook.argnames))
    return result


def check_result(result: object, capability: str) -> None:
    """Raise a ``ContractError`` unless the hook gave an object with the capability's methods."""
    hook = f"multitap_{capability}"
    if isinstance(result, (Coroutine, Generator)):
        result.close()
        raise ContractError(f"{hook} is a coroutine or a generator; make it a plain function")
    if result is None:
        raise ContractError(f"{hook} returned None; did you forget `return`?")
    for name in sorted(methods_of(capability)):
        method = getattr(result, name, None)
        if not callable(method):
            raise ContractError(f"what {hook} returned ({_kind(result)}) has no method {name}()")
        _check_arguments(method, f"{_kind(result)}.{name}", getattr(protocol_of(capability), name))


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
