"""Plugins: what is installed, what of it loads, and why the rest does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from multitap.capabilities import API
from multitap.cli.doctor.findings import Advice, Finding, Run, install, upgrade
from multitap.cli.root import COMMANDS
from multitap.errors import MultitapError, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multitap.cli.doctor.findings import Fix
    from multitap.cli.doctor.installation import Installation
    from multitap.registry import Row
    from multitap.work import Backend

__all__ = (
    "broken",
    "examine_commands",
    "examine_hooks",
    "examine_plugins",
    "explain_row",
    "normal_name",
    "offer_of",
)

_RECOMMENDED = "multitap-ollama"


def examine_plugins(installation: Installation) -> Iterator[Finding]:
    """One finding for each distribution that is sound, and one for each reason that one is not."""
    rows = installation.registry.entries()
    if all(row.state == "denied" for row in installation.registry.capabilities()):
        yield _none(installation)
    troubles = [explain_row(installation, row) for row in rows]
    yield from (finding for finding in troubles if finding)
    broken = {row.distribution for row, found in zip(rows, troubles, strict=True) if found}
    sound = [row for row in rows if row.distribution not in broken]
    for name in dict.fromkeys(row.distribution for row in sound):
        own = [row for row in sound if row.distribution == name]
        message = f"{name or 'registered by a program'} {own[0].version}: {offer_of(own)}"
        yield Finding(id="plugin", level="ok", subject=name, message=message)


def _none(installation: Installation) -> Finding:
    rows = installation.registry.capabilities()
    if rows:
        message = "the configuration denies every plugin that is installed"
        fix = _permission(installation, rows[0].distribution)
    else:
        message, fix = "no plugin for any backend is installed", install(_RECOMMENDED)
    return Finding(id="plugin-none", level="error", message=message, fix=fix)


def offer_of(rows: Iterable[Row]) -> str:
    """What rows of one distribution offer, in a line.

    >>> from multitap.registry import Row
    >>> offer_of([Row(kind, "acme", "acme", "1", "loaded") for kind in ("chat", "catalog")])
    'acme (chat, catalog)'
    """
    offers: dict[str, list[str]] = {}
    for row in rows:
        offers.setdefault(row.provider, []).append(row.capability)
    return ", ".join(f"{name} ({', '.join(kinds)})" for name, kinds in offers.items())


def explain_row(installation: Installation, row: Row) -> Finding | None:
    """Why a row cannot be used, and what to do about it; ``None``: it can."""
    explain = {
        "quarantined": _broken,
        "incompatible": _incompatible,
        "conflict": _conflict,
        "denied": _denied,
    }.get(row.state)
    return explain(installation, row) if explain else None


def _broken(installation: Installation, row: Row) -> Finding:
    failure = installation.registry.failures.get((row.capability, row.provider))
    reason = failure.reason if failure else "it could not be loaded"
    name = row.distribution
    return Finding(
        id="plugin-broken",
        level="error",
        subject=name,
        message=f"{name} {row.version} cannot serve {row.capability} of {row.provider}: {reason};"
        f" without a newer version, `pip uninstall {name}`",
        fix=upgrade(name) if name else Advice(f"correct what was added as {row.provider}"),
    )


def _incompatible(installation: Installation, row: Row) -> Finding:
    info = installation.providers.get(row.provider)
    api = info.api if info else 0
    return Finding(
        id="plugin-incompatible",
        level="error",
        subject=row.distribution,
        message=f"{row.distribution} {row.version} was written for version {api} of the hooks;"
        f" this Multitap has version {API}",
        fix=upgrade("multitap" if api > API else row.distribution),
    )


def _conflict(installation: Installation, row: Row) -> Finding:
    rivals = sorted(
        other.distribution
        for other in installation.registry.entries()
        if (other.capability, other.provider) == (row.capability, row.provider)
        and other.state == "conflict"
    )
    return Finding(
        id="plugin-conflict",
        level="error",
        subject=row.provider,
        message=f"several distributions offer {row.provider}, so none is used: {', '.join(rivals)}",
        fix=installation.edit(("plugins", "choose", row.provider), rivals[0]),
    )


def _denied(installation: Installation, row: Row) -> Finding:
    wanted = any(
        section.provider == row.provider and installation.is_wanted(name)
        for name, section in installation.config.sections.items()
    )
    return Finding(
        id="plugin-denied",
        level="error" if wanted else "info",
        subject=row.distribution,
        message=f"{row.distribution} may not be used: the configuration denies it",
        fix=_permission(installation, row.distribution),
    )


def _permission(installation: Installation, distribution: str) -> Fix:
    """What has to change for a distribution to be allowed."""
    plugins, name = installation.config.plugins, normal_name(distribution)
    left = [denied for denied in plugins.deny if normal_name(denied) != name]
    if len(left) < len(plugins.deny):
        return installation.edit(("plugins", "deny"), left)
    if plugins.allow is not None and name not in map(normal_name, plugins.allow):
        return installation.edit(("plugins", "allow"), [*plugins.allow, distribution])
    return Advice(f"unset MULTITAP_PLUGINS, or let it name {distribution}")


def normal_name(distribution: str) -> str:
    """A distribution's name in the spelling that compares.

    >>> normal_name("Multitap_Acme")
    'multitap-acme'
    """
    return re.sub(r"[-_.]+", "-", distribution.strip()).lower()


# ---- what its hooks give -------------------------------------------------------------------------


def examine_hooks(installation: Installation) -> Iterator[Finding]:
    """Does each hook give what it promises, for each backend?"""
    for name, section in installation.looked_at.items():
        backend = installation.backend(name)
        if isinstance(backend, MultitapError):  # told with the configuration
            continue
        for capability in sorted(installation.capabilities_of(section.provider)):
            yield from _built(installation, capability, backend)


def broken(error: PluginError) -> Finding:
    """A plugin that was loaded, and then broke its contract."""
    name = error.distribution or ""
    fix = upgrade(name) if name else Advice(error.hint)
    message = error.message
    return Finding(id="plugin-broken", level="error", subject=name, message=message, fix=fix)


def _built(installation: Installation, capability: str, backend: Backend) -> Iterator[Finding]:
    if (capability, backend.provider) in installation.registry.failures:  # told already
        return
    try:
        installation.registry.build(capability, backend)
    except PluginError as error:
        yield broken(error)
    except MultitapError as error:
        yield Finding(
            id="backend-failing",
            level="error",
            subject=backend.id,
            message=f"{backend.id}: {error.message}",
            fix=Advice(error.hint),
        )


def examine_commands(installation: Installation) -> Iterator[Finding]:
    """Commands of plugins that can never be called, as one of ours has their name."""
    built_in = {name for commands in COMMANDS.values() for name in commands}
    for row in installation.registry.entries():
        if row.capability == "command" and row.provider in built_in:
            yield Finding(
                id="command-shadowed",
                level="warning",
                subject=row.distribution,
                message=f"the command {row.provider!r} of {row.distribution} cannot be called:"
                " Multitap has one of that name",
                fix=Run(("pip", "uninstall", "--yes", row.distribution)),
            )
