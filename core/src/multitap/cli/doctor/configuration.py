"""``llm.toml``: what is wrong in it, and what it names that is not there."""

from __future__ import annotations

import os
import stat
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from multitap.cli.doctor.findings import Advice, Edit, Finding, Run, install
from multitap.cli.masks import masked
from multitap.config import canonical, check_required, known_packages
from multitap.config.secret import is_reference
from multitap.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multitap.cli.doctor.findings import Fix, Level
    from multitap.cli.doctor.installation import Installation
    from multitap.config import Entry
    from multitap.work import Backend

__all__ = (
    "examine_aliases",
    "examine_default",
    "examine_files",
    "examine_filters",
    "examine_permissions",
    "examine_problems",
    "examine_sections",
)


def examine_files(installation: Installation) -> Iterator[Finding]:
    """Which files are read?"""
    message = f"llm.toml: {', '.join(map(str, installation.files))}"
    if not installation.files:
        message = f"there is no llm.toml; yours would be {installation.own_file}"
    yield Finding(id="config-files", level="ok" if installation.files else "info", message=message)


def examine_problems(installation: Installation) -> Iterator[Finding]:
    """What could not be read, and settings that a provider does not take."""
    problems = list(installation.problems)
    for name in installation.looked_at:
        found = installation.backend(name)
        if isinstance(found, ConfigError):
            problems += found.problems or (found,)
        else:
            yield from _lacking(installation, found)
    for problem in problems:
        yield Finding(
            id="config-wrong",
            level="error",
            subject=problem.key or problem.file or "",
            message=problem.message,
            fix=_removal(installation, problem),
            file=problem.file,
            line=problem.line,
            key=problem.key,
        )


def _lacking(installation: Installation, backend: Backend) -> Iterator[Finding]:
    """Settings that the provider cannot do without."""
    try:
        check_required(backend, installation.providers[backend.provider])
    except ConfigError as error:
        yield Finding(
            id="setting-missing",
            level="error" if installation.is_wanted(backend.id) else "warning",
            subject=backend.id,
            message=error.message,
            fix=Advice(error.hint),
            key=error.key,
        )


def _removal(installation: Installation, problem: ConfigError) -> Fix:
    """Where a key alone is wrong, all goes well without it."""
    entries = installation.config.entries
    culprits = [e for e in entries if ".".join(e.path) == problem.key and e.key and e.path[1:]]
    if culprits and culprits[-1].source.file and problem.file:
        return Edit(Path(problem.file), culprits[-1].path)
    return Advice(problem.hint)


def examine_sections(installation: Installation) -> Iterator[Finding]:
    """Sections whose provider is not installed."""
    for name, section in installation.config.sections.items():
        if section.provider in installation.providers or installation.only not in (None, name):
            continue
        package = known_packages.get(section.provider)
        level: Level = "error" if name in (installation.default, installation.only) else "warning"
        fix = install(package) if package else Advice(f"install the plugin, or remove [{name}]")
        message = f"[{name}]: no usable plugin has the provider {section.provider!r}"
        yield Finding(id="provider-missing", level=level, subject=name, message=message, fix=fix)


def examine_default(installation: Installation) -> Iterator[Finding]:
    """Is it clear what is asked where no model is named?"""
    defaults = installation.config.defaults
    if not (installation.sections or defaults.provider or defaults.model):
        return
    try:
        target = installation.resolve(None)
    except ConfigError as error:
        if defaults.provider and defaults.provider not in installation.sections:
            yield _wrong_default("provider", error, _other_provider(installation))
        elif defaults.model:
            fix = installation.edit(("defaults", "model"), _suggestion(installation))
            yield _wrong_default("model", error, fix)
        else:
            yield _no_default(installation, error)
    else:
        yield Finding(id="default", level="ok", message=f"the default model is {target.ref}")


def _wrong_default(key: str, error: ConfigError, fix: Fix) -> Finding:
    key = f"defaults.{key}"
    message = f"{key}: {error.message}"
    return Finding(id="default-wrong", level="error", message=message, fix=fix, key=key)


def _no_default(installation: Installation, error: ConfigError) -> Finding:
    model = _suggestion(installation)
    fix = installation.edit(("defaults", "model"), model) if model else Advice(error.hint)
    message = f"no model is the default one: {error.message}"
    return Finding(id="default-unset", level="warning", message=message, fix=fix)


def _other_provider(installation: Installation) -> Fix:
    """The package of a known provider, else a name that is nearly the same, else none."""
    name = installation.config.defaults.provider or ""
    package = known_packages.get(canonical(name))
    if package:
        return install(package)
    near = get_close_matches(name, installation.sections, n=1)
    return installation.edit(("defaults", "provider"), near[0] if near else None)


def _suggestion(installation: Installation) -> str | None:
    """A model that answers, of the default backend if it has any."""
    replies = installation.replies or {}
    names = sorted(replies, key=lambda name: name != installation.default)
    models = (model for name in names for model in replies[name].models or ())
    return next((m.ref for m in models if "chat" in (m.capabilities or {"chat"})), None)


def examine_aliases(installation: Installation) -> Iterator[Finding]:
    """Aliases that lead nowhere."""
    for alias in installation.config.aliases:
        try:
            installation.resolve(alias)
        except ConfigError as error:
            source = installation.config.alias_sources[alias]
            yield Finding(
                id="alias-wrong",
                level="error",
                subject=alias,
                message=f"the alias {alias!r} leads nowhere: {error.message}",
                fix=installation.edit(("aliases", alias)),
                file=str(source.file) if source.file else None,
                line=source.line,
                key=f"aliases.{alias}",
            )


def examine_filters(installation: Installation) -> Iterator[Finding]:
    """Configured filters that no plugin brings."""
    filters = installation.config.plugins.filters
    missing = {name: error for name in filters if (error := _missing(installation, name))}
    kept = [name for name in filters if name not in missing]
    for name, error in missing.items():
        yield Finding(
            id="filter-missing",
            level="error",
            subject=name,
            message=f"filters in [plugins]: {error.message}",
            fix=installation.edit(("plugins", "filters"), kept),
            key="plugins.filters",
        )


def _missing(installation: Installation, name: str) -> ConfigError | None:
    try:
        installation.registry.filters([name])
    except ConfigError as error:
        return error
    except PluginError:  # told with the plugins
        return None
    return None


def examine_permissions(installation: Installation) -> Iterator[Finding]:
    """Files that others may write, or that hold a key and that others may read."""
    if os.name != "posix":
        return
    for file in installation.files:
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
        except OSError:  # that it cannot be read is told elsewhere
            continue
        if mode & stat.S_IWOTH:
            message = (
                f"every user of this machine may write {file}, and so send your keys elsewhere"
            )
            fix = Run(("chmod", "o-w", str(file)))
            yield Finding(
                id="file-writable", level="error", subject=str(file), message=message, fix=fix
            )
        if mode & stat.S_IROTH and any(_holds_key(e, file) for e in installation.config.entries):
            message = f"every user of this machine may read {file}, which holds a key"
            fix = Run(("chmod", "go-r", str(file)))
            yield Finding(
                id="file-readable", level="warning", subject=str(file), message=message, fix=fix
            )


def _holds_key(entry: Entry, file: Path) -> bool:
    if entry.source.file != file or is_reference(str(entry.value)):
        return False
    return bool(masked(entry.key, entry.value) != entry.value)
