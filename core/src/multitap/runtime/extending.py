"""What extensions add to a call: who is told of it, and what filters its answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from multitap.config import Plugins, Source
from multitap.config.sources import Problems
from multitap.engine.call import Call, EventFilter
from multitap.engine.watch import Watch
from multitap.errors import ConfigError
from multitap.extensions import CallInfo
from multitap.registry import Registry
from multitap.registry.extensions import Filter, Observed
from multitap.runtime.contracts import CONTRACTS

__all__ = ("configured_filters", "extended")

T = TypeVar("T")


def configured_filters(registry: Registry, plugins: Plugins) -> Sequence[Filter]:
    """The filters that ``[plugins] filters`` names, in its order.

    Raises:
        ConfigError: A name that no extension has; with file and line.
        PluginError: One that is broken. The user asked for it, so no call goes on without it.
    """
    try:
        return registry.filters(plugins.filters)
    except ConfigError as error:
        problems = Problems()
        source = plugins.sources.get("filters", Source("code"))
        problems.add(error.message, source, key="plugins.filters", hint=error.hint)
        problems.raise_if_any()
        raise


def extended(
    call: Call[T],
    capability: str,
    registry: Registry,
    filters: Sequence[Filter] = (),
    *,
    streamed: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> Call[T]:
    """The call held to its contract, with who watches it, and these filters behind its own."""
    observers = _observers(registry)
    held = _between(CONTRACTS.get(capability, ()), call.filters)
    if not observers and not filters:
        return attrs.evolve(call, filters=held)
    info = CallInfo(
        id=os.urandom(16).hex(),
        capability=capability,
        backend=call.backend.id,
        provider=call.backend.provider,
        distribution=call.distribution,
        model=call.model,
        streamed=streamed,
        metadata=metadata,
    )
    watch = Watch(info, observers) if observers else None
    return attrs.evolve(call, watch=watch, filters=_behind(held, filters, info))


def _between(
    contract: Sequence[EventFilter], own: Callable[[], Sequence[EventFilter]]
) -> Callable[[], Sequence[EventFilter]]:
    return lambda: (*contract, *own())


def _observers(registry: Registry) -> Sequence[Observed]:
    if "llm" not in os.environ.get("MULTITAP_DEBUG", "").split(","):
        return registry.observers()
    from multitap.runtime.debugging import DEBUGGING

    return (*registry.observers(), DEBUGGING)


def _behind(
    own: Callable[[], Sequence[EventFilter]], filters: Sequence[Filter], info: CallInfo
) -> Callable[[], Sequence[EventFilter]]:
    if not filters:
        return own

    def make() -> Sequence[EventFilter]:
        made = [configured.made(info) for configured in filters]
        return (*own(), *(stage for stage in made if stage is not None))

    return make
