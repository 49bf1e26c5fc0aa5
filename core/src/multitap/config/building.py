"""From a section and its provider's manifest to the backend that a plugin is given."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from multitap.config.keys import KeyHeader, auth_of
from multitap.config.packages import did_you_mean
from multitap.config.sections import SECTION_KEYS, Config, Section
from multitap.config.sources import Problems, Source
from multitap.config.values import base_url, check_endpoint, check_proxy, is_unix_socket, typed
from multitap.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from multitap.manifest import ProviderInfo, Setting
    from multitap.work import Backend

__all__ = ("KeyHeader", "backends", "build_backend", "check_required")


def backends(config: Config, providers: Collection[str]) -> Mapping[str, Section]:
    """The configured sections, and one for each installed provider that no section is named after.

    >>> list(backends(Config(sections={}), ["ollama"]))
    ['ollama']
    """
    implicit = {
        name: Section(name=name, provider=name, environ=config.environ)
        for name in providers
        if name not in config.sections
    }
    return MappingProxyType({**config.sections, **implicit})


def build_backend(section: Section, provider: ProviderInfo) -> Backend:
    """The backend: endpoint and settings checked, defaults filled in, the key bound.

    Secret settings are not among ``settings``: ``auth`` sends them.

    Raises:
        ConfigError: A setting that the provider does not have, or a value that it does not take.
            Of a setting that is missing ``check_required`` tells; that a key is missing is an
            ``AuthenticationError`` of the first call.
    """
    from multitap.work import Backend  # to read the configuration costs nothing of the engine

    problems = Problems()
    settings = _settings(section, provider, problems)
    secrets = [s for s in _secrets(provider) if _is_shown(s, settings)]
    auth = auth_of(section, provider.key, secrets, problems)
    endpoint = section.endpoint or provider.endpoint
    _check_urls(endpoint, section, problems)
    _check_proxy_has_use(endpoint, section, problems)
    problems.raise_if_any()
    return Backend(
        id=section.name,
        provider=provider.name,
        endpoint=base_url(endpoint, provider.suffixes),
        settings=MappingProxyType(settings),
        auth=auth,
    )


def check_required(backend: Backend, provider: ProviderInfo) -> None:
    """Refuse a backend that lacks a setting it cannot do without.

    Raises:
        ConfigError: It names them all. Of a secret one that is missing the first call tells.
    """
    missing = [
        setting
        for setting in provider.settings.values()
        if setting.required
        and setting.type != "secret"
        and setting.name not in backend.settings
        and _is_shown(setting, backend.settings)
    ]
    if missing:
        names = " and ".join(setting.name for setting in missing)
        about = missing[0].help or f"The provider {provider.name} needs it."
        raise ConfigError(
            f"[{backend.id}] needs {names}",
            hint=f"Set {names} in [{backend.id}] of llm.toml. {about}",
            key=f"{backend.id}.{missing[0].name}",
        )


def _secrets(provider: ProviderInfo) -> list[Setting]:
    return [setting for setting in provider.settings.values() if setting.type == "secret"]


def _check_urls(endpoint: str, section: Section, problems: Problems) -> None:
    """Also what code or ``provider.toml`` says, for it is shown wherever a backend is."""
    checks = {"endpoint": (check_endpoint, endpoint), "proxy": (check_proxy, section.proxy)}
    for key, (check, url) in checks.items():
        try:
            if url:
                check(url)
        except ValueError as error:
            source = section.sources.get(key, Source("code"))
            problems.add(f"{key} in [{section.name}] {error}", source)


def _check_proxy_has_use(endpoint: str, section: Section, problems: Problems) -> None:
    """What works in this process, or has no address yet, is not reached through a proxy."""
    why = "has no endpoint to reach" if not endpoint else "is at a Unix socket"
    named = section.proxy not in (None, "none", "system")
    if named and (not endpoint or is_unix_socket(endpoint)):
        problems.add(
            f"proxy in [{section.name}] has no use: this backend {why}",
            section.sources.get("proxy", Source("code")),
            key=f"{section.name}.proxy",
            hint="Remove proxy, or correct endpoint.",
        )


def _settings(section: Section, provider: ProviderInfo, problems: Problems) -> dict[str, Any]:
    """The settings that apply, checked; what is given and does not apply is a problem."""
    values = _checked(section, provider, problems)
    while hidden := [name for name in values if not _is_shown(provider.settings[name], values)]:
        for name in hidden:
            del values[name]
    for name in section.settings:
        setting = provider.settings.get(name)
        if setting is not None and not _is_shown(setting, values):
            _report_hidden(setting, section, problems)
    return values


def _checked(section: Section, provider: ProviderInfo, problems: Problems) -> dict[str, Any]:
    """Defaults and what is given, as their types; secrets are left to ``auth_of``."""
    defaults = {s.name: s.default for s in provider.settings.values() if s.default is not None}
    values: dict[str, Any] = {}
    for name, value in {**defaults, **section.settings}.items():
        setting = provider.settings.get(name)
        source = section.sources.get(name, Source("default"))
        if setting is None:
            _report_unknown(name, section, provider, problems)
        elif setting.type != "secret":
            try:
                values[name] = typed(setting.type, value, source)
                setting.check(values[name])
            except ValueError as error:
                key, hint = f"{section.name}.{name}", setting.help or None
                problems.add(f"{name} in [{section.name}] {error}", source, key=key, hint=hint)
    return values


def _is_shown(setting: Setting, values: Mapping[str, Any]) -> bool:
    return all(values.get(name) in wanted for name, wanted in setting.show_on.items())


def _report_hidden(setting: Setting, section: Section, problems: Problems) -> None:
    conditions = " and ".join(
        f"{name} is {' or '.join(map(repr, values))}" for name, values in setting.show_on.items()
    )
    problems.add(
        f"{setting.name} in [{section.name}] is only for where {conditions}",
        section.sources.get(setting.name, Source("code")),
        key=f"{section.name}.{setting.name}",
        hint=f"Remove {setting.name}, or change what it depends on.",
    )


def _report_unknown(
    name: str, section: Section, provider: ProviderInfo, problems: Problems
) -> None:
    known = sorted({*SECTION_KEYS, *provider.settings})
    problems.add(
        f"unknown key {name!r} in [{section.name}]{did_you_mean(name, known)}",
        section.sources.get(name, Source("code")),
        key=f"{section.name}.{name}",
        hint=f"The keys of {provider.name} are: {', '.join(known)}.",
    )
