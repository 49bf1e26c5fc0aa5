"""From a section and its provider's manifest to the backend that a plugin is given."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from multitap.config.packages import did_you_mean
from multitap.config.secret import Secret
from multitap.config.sections import SECTION_KEYS, Config, Section
from multitap.config.sources import Problems, Source
from multitap.config.values import base_url, typed
from multitap.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from multitap.manifest import ProviderInfo, Setting
    from multitap.work import Backend, HttpCall

__all__ = ("KeyHeader", "MissingKey", "backends", "build_backend")


@attrs.frozen(kw_only=True)
class KeyHeader:
    """``Backend.auth`` for a key in a header; a reference is followed at the first call."""

    header: str
    scheme: str
    secret: Secret

    def __call__(self, call: HttpCall, body: bytes, /) -> Mapping[str, str]:
        """The one header."""
        value = self.secret.reveal()
        return {self.header: f"{self.scheme} {value}" if self.scheme else value}

    def redact(self, text: str) -> str:
        """The text without the key, which a server may have sent back."""
        return self.secret.redact(text)


@attrs.frozen(kw_only=True)
class MissingKey:
    """``Backend.auth`` where a key is needed and there is none: all but calls work."""

    backend: str
    message: str
    hint: str

    def __call__(self, call: HttpCall, body: bytes, /) -> Mapping[str, str]:
        """Raise the ``AuthenticationError`` that says what to set."""
        raise AuthenticationError(
            self.message, hint=self.hint, kind="key_missing", phase="local", backend=self.backend
        )

    def redact(self, text: str) -> str:
        """The text as it is."""
        return text


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

    Raises:
        ConfigError: A setting that the provider does not have, or a value that it does not take.
            That a key is missing is an ``AuthenticationError`` of the first call.
    """
    from multitap.work import Backend  # to read the configuration costs nothing of the engine

    return Backend(
        id=section.name,
        provider=provider.name,
        endpoint=base_url(section.endpoint or provider.endpoint, provider.suffixes),
        settings=_settings(section, provider),
        auth=_auth(section, provider),
    )


def _settings(section: Section, provider: ProviderInfo) -> Mapping[str, Any]:
    problems = Problems()
    default = Source("default")
    declared = provider.settings.values()
    values = {s.name: s.default for s in declared if s.default is not None}
    for name, value in section.settings.items():
        if name in provider.settings:
            values[name] = value
        else:
            _report_unknown(name, section, provider, problems)
    for name, value in values.items():
        source = section.sources.get(name, default)
        try:
            values[name] = _setting(provider.settings[name], value, source)
        except ValueError as error:
            key = f"{section.name}.{name}"
            hint = provider.settings[name].help or None
            problems.add(f"{name} in [{section.name}] {error}", source, key=key, hint=hint)
    problems.raise_if_any()
    return MappingProxyType(values)


def _setting(setting: Setting, value: Any, source: Source) -> Any:
    value = typed(setting.type, value, source)
    if setting.choices and value not in setting.choices:
        raise ValueError(f"has to be one of {', '.join(map(repr, setting.choices))}")
    return value


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


def _auth(
    section: Section, provider: ProviderInfo
) -> Callable[[HttpCall, bytes], Mapping[str, str]] | None:
    key = provider.key
    secret = section.api_key or _from_variable(section, key.variable)
    if secret:
        return KeyHeader(header=key.header, scheme=key.scheme, secret=secret)
    if section.withheld and section.withheld.kind == "project":
        return _withheld_reference(section)
    return _missing(section, key.variable) if key.required else None


def _from_variable(section: Section, variable: str | None) -> Secret | None:
    """The user's key in the provider's own variable; not for an endpoint of a project's file."""
    if not variable or section.is_foreign or not section.environ.get(variable):
        return None
    return Secret(f"env:{variable}", environ=section.environ)


def _withheld_reference(section: Section) -> MissingKey:
    name = section.name.upper().replace("-", "_")
    return MissingKey(
        backend=section.name,
        message=(
            f"{section.withheld}: a project's file may not send a key from outside of it to an "
            "endpoint that it names"
        ),
        hint=f"If you trust it, set endpoint in your own llm.toml, or MULTITAP_{name}__ENDPOINT.",
    )


def _missing(section: Section, variable: str | None) -> MissingKey:
    name = section.name
    places = f"Set {variable}, or api_key" if variable else "Set api_key"
    hint = f"{places} in [{name}] of llm.toml."
    message = f"[{name}] needs a key and has none"
    if section.is_foreign:
        message += f": its endpoint stands in a project's file, {section.sources['endpoint']}"
        hint = (
            "Set api_key in that file, or endpoint in your own llm.toml; yours is not sent there."
        )
    return MissingKey(backend=name, message=message, hint=hint)
