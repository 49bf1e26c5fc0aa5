"""What the configuration and the installed plugins are together, as long as neither changes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from multitap.config import Section, backends, build_backend, check_required, not_installed
from multitap.config.routes import Route, client_route, is_fixed, route_of
from multitap.errors import ConfigError
from multitap.manifest import ProviderInfo
from multitap.registry import Registry, Row

if TYPE_CHECKING:
    from multitap.config import Config
    from multitap.registry.extensions import Observed
    from multitap.resolve import ResolvedModel
    from multitap.work import Backend

__all__ = ("View",)

_NONE: Mapping[str, Section] = MappingProxyType({})


class View:
    """One look at the registry; ``generation`` is the registry's number of it.

    Backends that were ``launched`` are found by their names, and are never the default.
    ``resolved`` has what references were found to mean, with the catalogs that are known.
    """

    def __init__(
        self, config: Config, registry: Registry, launched: Mapping[str, Section] = _NONE
    ) -> None:
        self.generation = registry.notice()
        self.providers: Mapping[str, ProviderInfo] = {i.name: i for i in registry.providers()}
        self.rows: Sequence[Row] = registry.capabilities()
        self._config = config
        self._registry = registry
        self.launched = launched
        self._built: dict[str, Backend] = {}
        self._complete: set[str] = set()
        self.resolved: dict[str | None, ResolvedModel] = {}
        self._routes: dict[tuple[str, str], Route] = {}

    @cached_property
    def configured(self) -> Mapping[str, Section]:
        """Configured backends, and one for each installed provider that is not configured."""
        return backends(self._config, self.providers)

    @cached_property
    def sections(self) -> Mapping[str, Section]:
        """Those, and the ones that were launched."""
        return MappingProxyType({**self.configured, **self.launched})

    @cached_property
    def distributions(self) -> Mapping[tuple[str, str], str]:
        """Where each capability of each provider comes from; the first row of several counts."""
        return {(row.capability, row.provider): row.distribution for row in reversed(self.rows)}

    @cached_property
    def debugs(self) -> bool:
        """Does ``MULTITAP_DEBUG`` say that each call is to be shown?"""
        return "llm" in os.environ.get("MULTITAP_DEBUG", "").split(",")

    def observers(self) -> Sequence[Observed]:
        """Who is told of each call; a broken one may have gone since."""
        if not self.debugs:
            return self._registry.observers()
        from multitap.runtime.debugging import DEBUGGING

        return (*self._registry.observers(), DEBUGGING)

    def provider_of(self, name: str) -> ProviderInfo:
        """The provider of a backend."""
        return self.providers[self.backend(name).provider]

    def usable_backend(self, name: str) -> Backend:
        """A backend that has all the settings that it cannot do without."""
        if name not in self._complete:
            check_required(self.backend(name), self.provider_of(name))
            self._complete.add(name)
        return self._built[name]

    def backend(self, name: str) -> Backend:
        """A configured or default backend."""
        if name not in self._built:
            section = self.sections.get(name)
            if section is None:
                known = ", ".join(sorted(self.sections)) or "none"
                raise ConfigError(
                    f"There is no backend {name!r}; there are: {known}",
                    hint="Add a section of that name to llm.toml, or install its plugin.",
                )
            info = self.providers.get(section.provider)
            if info is None:
                raise not_installed(section.provider, list(self.providers))
            self._built[name] = build_backend(section, info)
        return self._built[name]

    # ---- what stays as long as it is current ---------------------------------------------------

    def settles(self, reference: str | None, found: ResolvedModel) -> bool:
        """Can it mean nothing else with this configuration, and these catalogs?"""
        backend, colon, _ = (reference or "").partition(":")
        named = not colon or backend in self.sections  # else it may be a plugin that is to come
        return named and not Path(found.model).is_absolute()  # a file may go

    def route(self, backend: Backend, client: object | None) -> Route:
        """The carrier and the proxy of a backend, where an application may bring its own client.

        Raises:
            ConfigError: Its plugin sends requests, and nothing says where to.
        """
        place = backend.id, backend.endpoint
        route = self._routes.get(place) if client is None else None
        if route is None:
            section = self.sections.get(backend.id) or Section(name=backend.id, provider="")
            route = _route(backend, section, client)
            if client is None and is_fixed(section, backend.endpoint):
                self._routes[place] = route
        return route


def _route(backend: Backend, section: Section, client: object | None) -> Route:
    if not backend.endpoint:
        raise ConfigError(
            f"[{backend.id}] has no endpoint to send a request to",
            hint=f'Set endpoint = "http://host:port" in [{backend.id}] of llm.toml.',
            key=f"{backend.id}.endpoint",
        )
    if client is None or section.carrier == "direct":
        return route_of(section, backend.endpoint)
    return client_route(section)
