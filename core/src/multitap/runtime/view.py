"""What the configuration and the installed plugins are together, as long as neither changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from multitap.config import Section, backends, build_backend, check_required, not_installed
from multitap.errors import ConfigError
from multitap.manifest import ProviderInfo
from multitap.registry import Registry, Row

if TYPE_CHECKING:
    from multitap.config import Config
    from multitap.work import Backend

__all__ = ("View",)


_NONE: Mapping[str, Section] = MappingProxyType({})


class View:
    """One look at the registry; ``generation`` is the registry's number of it.

    Backends that were ``launched`` are found by their names, and are never the default.
    """

    def __init__(
        self, config: Config, registry: Registry, launched: Mapping[str, Section] = _NONE
    ) -> None:
        self.generation = registry.notice()
        self.providers: Mapping[str, ProviderInfo] = {i.name: i for i in registry.providers()}
        self.rows: Sequence[Row] = registry.capabilities()
        self._config = config
        self.launched = launched
        self._built: dict[str, Backend] = {}
        self._complete: set[str] = set()

    def is_of(self, generation: int, launched: Mapping[str, Section]) -> bool:
        """Is it what is there now?"""
        return self.generation == generation and self.launched is launched

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

    def provider_of(self, name: str) -> ProviderInfo:
        """The provider of a backend."""
        return self.providers[self.backend(name).provider]

    def usable_backend(self, name: str) -> Backend:
        """A backend that has all the settings that it cannot do without."""
        backend = self.backend(name)
        if name not in self._complete:
            check_required(backend, self.provider_of(name))
            self._complete.add(name)
        return backend

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
