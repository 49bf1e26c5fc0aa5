"""Why a plugin cannot be used, and what to do about it: the errors of the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multitap.capabilities import API, EXTENSIONS
from multitap.config.packages import did_you_mean, known_packages
from multitap.errors import ConfigError, MultitapError, NotSupported, PluginError
from multitap.excerpt import excerpt
from multitap.redaction import redact
from multitap.registry.discovery import Failure

if TYPE_CHECKING:
    from multitap.registry.discovery import Claim, Table
    from multitap.work import Backend

__all__ = (
    "ContractError",
    "absence",
    "absent_extension",
    "blame",
    "failure_of",
    "reason_of",
    "refuse_unusable",
)


class ContractError(Exception):
    """A module, or what its hook gave, is not what the contract asks for."""


def reason_of(error: BaseException) -> str:
    """What went wrong, in one line."""
    try:
        text = excerpt(str(error), 500)
    except Exception:  # an exception of the plugin's own, which cannot even be shown
        return type(error).__name__
    return text if isinstance(error, ContractError) else f"{type(error).__name__}: {text}"


def failure_of(claim: Claim, error: BaseException, printed: str = "") -> Failure:
    """What is kept of an error in a quarantined row."""
    import traceback

    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    said = f"It printed:\n{printed}\n" if printed else ""
    return Failure(claim.distribution, reason_of(error), redact(said + text))


def blame(claim: Claim, reason: str) -> PluginError:
    """A plugin that is broken, and how to get rid of it."""
    name = claim.distribution
    return PluginError(
        f"The plugin {name or claim.module} cannot serve {_role(claim)}: {reason}",
        distribution=name,
        hint=f"Run `pip install --upgrade {name}`, or `pip uninstall {name}`."
        if name
        else f"Correct what was added as {claim.provider}.",
    )


def _role(claim: Claim) -> str:
    if claim.capability in EXTENSIONS:
        return f"as the {claim.capability} {claim.provider!r}"
    return f"{claim.capability} of {claim.provider}"


def refuse_unusable(table: Table, claim: Claim) -> None:
    """Raise the ``PluginError`` of a claim that is known to be broken, or too old or new."""
    if claim in table.failures:
        raise blame(claim, table.failures[claim].reason)
    if table.states[claim] == "incompatible":
        raise _incompatible(claim, table.info(claim).api)


def _incompatible(claim: Claim, api: int) -> PluginError:
    """A plugin that was written for other hooks, and which of the two to upgrade."""
    newer = "multitap" if api > API else claim.distribution
    return PluginError(
        f"{claim.distribution or claim.module} {claim.version} was written for version {api} of the"
        f" hooks; this Multitap has version {API}",
        distribution=claim.distribution,
        hint=f"Run `pip install --upgrade {newer}`.",
    )


def absence(table: Table, capability: str, backend: Backend) -> MultitapError:
    """Why nothing offers this capability of this backend."""
    provider = backend.provider
    claims = [claim for claim in table.of_capabilities if claim.provider == provider]
    if not claims:
        return _not_installed(table, provider)
    rivals = {table.states[c]: c.distribution for c in claims if c.capability == capability}
    names = sorted(c.distribution for c in claims if c.capability == capability)
    if "conflict" in rivals:
        return ConfigError(
            f"Several distributions offer {capability} of {provider}: {', '.join(names)}",
            hint=f'Choose one in llm.toml: `{provider} = "{names[0]}"` under [plugins.choose].',
        )
    if rivals:
        return ConfigError(
            f"The configuration denies {', '.join(names)}, which offers {capability} of {provider}",
            hint="See MULTITAP_PLUGINS, and allow and deny under [plugins] in llm.toml.",
        )
    have = sorted({name for kind, name in table.usable if kind == capability})
    who = f"Installed providers that have it: {', '.join(have)}" if have else "No installed one has"
    usable = [claim for claim in table.usable.values() if claim.provider == provider]
    infos = map(table.info, usable)
    reasons = (info.absent.get(capability) for info in infos)
    return NotSupported(
        next(filter(None, reasons), f"{provider} has no {capability}"),
        backend=backend.id,
        hint=f"{who}; `multitap capabilities` lists them all.",
    )


def absent_extension(table: Table, kind: str, name: str) -> ConfigError:
    """Why there is no extension, or command, of this name to use."""
    rivals = {c.distribution: s for c, s in table.states.items() if c.place == (kind, name)}
    dists = ", ".join(sorted(rivals))
    if "conflict" in rivals.values():
        return ConfigError(
            f"Several distributions have the {kind} {name!r}: {dists}",
            hint=f'Choose one in llm.toml: `{name} = "{min(rivals)}"` under [plugins.choose].',
        )
    if rivals:
        return ConfigError(
            f"The configuration denies {dists}, which has the {kind} {name!r}",
            hint="See MULTITAP_PLUGINS, and allow and deny under [plugins] in llm.toml.",
        )
    known = sorted(other for found, other in table.usable if found == kind)
    return ConfigError(
        f"There is no {kind} {name!r}{did_you_mean(name, known)}",
        hint=f"Install the package that has it; installed: {', '.join(known) or 'none'}.",
    )


def _not_installed(table: Table, provider: str) -> ConfigError:
    installed = ", ".join(sorted({claim.provider for claim in table.of_capabilities})) or "none"
    package = known_packages.get(provider)
    return ConfigError(
        f"No installed plugin has the provider {provider!r} (installed: {installed})",
        hint=f"Run `pip install {package}`."
        if package
        else "Install the plugin that provides it, or correct the provider's name.",
    )
