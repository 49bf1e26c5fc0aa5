"""What is looked at: the configuration as far as it can be read, plugins, and who answers."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from multitap.cli.doctor.findings import Advice, Edit
from multitap.config import (
    KeyHeader,
    MissingKey,
    backends,
    build_backend,
    check_required,
    keys_of,
)
from multitap.errors import ConfigError, MultitapError
from multitap.resolve import default_backend, resolve

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from multitap.capabilities.catalog import Model
    from multitap.capabilities.provider import Validation
    from multitap.config import Config, Entry, Section
    from multitap.manifest import ProviderInfo
    from multitap.registry import Registry
    from multitap.resolve import ResolvedModel
    from multitap.runtime.base import Check
    from multitap.work import Backend

__all__ = ("Installation", "Reply")


@attrs.frozen(kw_only=True)
class Reply:
    """What a backend said; where there is neither anything of it nor an error, it has no way to."""

    models: Sequence[Model] | None = None
    facts: Validation | None = None
    error: MultitapError | None = None

    @property
    def silent(self) -> bool:
        """Could it not even be asked?"""
        return self.models is None and self.facts is None and self.error is None


@attrs.define(kw_only=True, slots=False)
class Installation:
    """Everything that the examinations look at; they send nothing and change nothing.

    Attributes:
        problems: What is wrong with the configuration; ``config`` is the rest of it.
        own_file: Where a line goes that stands in no file yet.
        only: The one backend that was asked for.
        replies: What each backend said; ``None``: nobody was asked.
        proven: Backend and model of what is there although no list has it.
        checks: What came when models were asked, by backend and model; ``None``: none was.
    """

    config: Config
    problems: Sequence[ConfigError] = ()
    registry: Registry
    own_file: Path
    files: Sequence[Path] = ()
    only: str | None = None
    environ: Mapping[str, str] = attrs.field(factory=lambda: os.environ)
    replies: Mapping[str, Reply] | None = None
    proven: Collection[tuple[str, str]] = ()
    checks: Mapping[tuple[str, str], Check] | None = None

    @cached_property
    def providers(self) -> Mapping[str, ProviderInfo]:
        """Installed providers by name."""
        return {info.name: info for info in self.registry.providers()}

    @cached_property
    def sections(self) -> Mapping[str, Section]:
        """Configured backends, and one for each installed provider that is not configured."""
        return backends(self.config, self.providers)

    @cached_property
    def looked_at(self) -> Mapping[str, Section]:
        """The backends to look at whose provider is installed."""
        return {
            name: section
            for name, section in self.sections.items()
            if section.provider in self.providers and self.only in (None, name)
        }

    @cached_property
    def default(self) -> str | None:
        """The backend of a model without one."""
        try:
            return default_backend(self.config, self.sections)
        except ConfigError:
            return None

    def is_wanted(self, backend: str) -> bool:
        """Did anybody ask for this backend? An installed plugin alone is no wish."""
        wanted = {*self.config.sections, self.only, self.default}
        return backend in wanted

    def backend(self, name: str) -> Backend | ConfigError:
        """The backend as plugins see it, or what is wrong with its section."""
        section = self.sections[name]
        try:
            return build_backend(section, self.providers[section.provider])
        except ConfigError as error:
            return error

    def is_ready(self, name: str) -> bool:
        """Has a backend all that it takes to ask it? What it lacks is told by itself."""
        backend = self.backend(name)
        if isinstance(backend, ConfigError):
            return False
        keys = keys_of(backend.auth)
        try:
            check_required(backend, self.providers[backend.provider])
            for key in keys:
                if isinstance(key, KeyHeader):
                    key.secret.reveal()
        except ConfigError:
            return False
        return not any(isinstance(key, MissingKey) for key in keys)

    def endpoint(self, name: str) -> str:
        """Where a backend is; empty for one in this process."""
        section = self.sections[name]
        return section.endpoint or self.providers[section.provider].endpoint

    def resolve(self, reference: str | None) -> ResolvedModel:
        """What a reference means; a bare name also by the models that answered."""
        replies = self.replies or {}
        catalogs = {name: [m.id for m in reply.models or ()] for name, reply in replies.items()}
        return resolve(reference, self.config, self.sections, catalogs)

    def capabilities_of(self, provider: str) -> set[str]:
        """What may be used of a provider."""
        rows = self.registry.capabilities()
        usable = {"declared", "loaded"}
        return {r.capability for r in rows if r.provider == provider and r.state in usable}

    def entry(self, *path: str) -> Entry | None:
        """What counts for a key: the strongest layer's word."""
        found = [entry for entry in self.config.entries if entry.path == path]
        return found[-1] if found else None

    def edit(self, path: tuple[str, ...], value: Any = None) -> Edit | Advice:
        """Write a key, or remove it, where it counts; in a variable or a word the user has to."""
        entry = self.entry(*path)
        if entry is None:
            return Edit(self.own_file, path, value)
        source = entry.source
        if source.file is not None:
            return Edit(source.file, path, value)
        if source.variable:
            return Advice(f"unset the environment variable {source.variable}, or correct it")
        return Advice(f"correct {'.'.join(path)} among the words after --llm")
