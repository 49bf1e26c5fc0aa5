"""What extensions add to a call: who is told of it, and what filters its answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from multitap.config import Plugins, Source
from multitap.config.sources import Problems
from multitap.engine.call import EventFilter
from multitap.engine.watch import Watch
from multitap.errors import ConfigError
from multitap.extensions import CallInfo
from multitap.registry import Registry
from multitap.registry.extensions import Filter, Observed
from multitap.runtime.contracts import CONTRACTS
from multitap.work import Backend

__all__ = ("Filters", "Subject", "configured_filters", "extended")

Filters = Callable[[], Sequence[EventFilter]]
"""Makes the filters of one attempt, in order."""


def configured_filters(registry: Registry, plugins: Plugins) -> Sequence[Filter]:
    """The filters that ``[plugins] filters`` names, in its order.

    Raises:
        ConfigError: A name that no extension has; with file and line.
        PluginError: One that is broken. The user asked for it, so no call goes on without it.
    """
    if not plugins.filters:
        return ()
    try:
        return registry.filters(plugins.filters)
    except ConfigError as error:
        problems = Problems()
        source = plugins.sources.get("filters", Source("code"))
        problems.add(error.message, source, key="plugins.filters", hint=error.hint)
        problems.raise_if_any()
        raise


class Subject(NamedTuple):
    """What a call asks of whom."""

    capability: str
    backend: Backend
    distribution: str
    model: str


def extended(
    subject: Subject,
    own: Filters,
    observing: Callable[[], Sequence[Observed]],
    filters: Sequence[Filter] = (),
    *,
    streamed: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What holds a call to its contract, who watches it, and these filters behind its ``own``.

    They are attributes of the ``Call`` that is to be made.
    """
    observers = observing()
    held = _between(CONTRACTS.get(subject.capability, ()), own)
    if not observers and not filters:
        return {"filters": held}
    info = CallInfo(
        id=os.urandom(16).hex(),
        capability=subject.capability,
        backend=subject.backend.id,
        provider=subject.backend.provider,
        distribution=subject.distribution,
        model=subject.model,
        streamed=streamed,
        metadata=metadata,
    )
    watch = Watch(info, observers) if observers else None
    return {"watch": watch, "filters": _behind(held, filters, info)}


def _between(contract: Sequence[EventFilter], own: Filters) -> Filters:
    return lambda: (*contract, *own())


def _behind(own: Filters, filters: Sequence[Filter], info: CallInfo) -> Filters:
    if not filters:
        return own

    def make() -> Sequence[EventFilter]:
        made = [configured.made(info) for configured in filters]
        return (*own(), *(stage for stage in made if stage is not None))

    return make
