"""The configuration as it is in force: every value with where it comes from, secrets masked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from multitap.cli.masks import MASK, masked, masked_key
from multitap.cli.toml import toml_key
from multitap.config import KeyHeader, Source, backends, build_backend
from multitap.runtime.composition import WHOLE_CALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multitap.config import Config, Section
    from multitap.manifest import ProviderInfo

__all__ = ("Value", "effective_values", "json_value", "source_object")

_DEFAULT = Source("default")


@attrs.frozen
class Value:
    """One value; ``masked`` where it is not shown as it is."""

    path: tuple[str, ...]
    value: Any
    source: Source = _DEFAULT
    masked: bool = False

    @property
    def key(self) -> str:
        """The key as TOML writes it, dots between its parts."""
        return ".".join(map(toml_key, self.path))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "key": self.key,
            "value": json_value(self.value),
            "masked": self.masked,
            "source": source_object(self.source),
        }


def json_value(value: Any) -> Any:
    """The value as JSON has it; dates and times, which TOML has, as texts."""
    if isinstance(value, Mapping):
        return {str(key): json_value(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(inner) for inner in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def source_object(source: Source) -> dict[str, Any]:
    """The JSON form of where a value comes from."""
    return {
        "kind": source.kind,
        "file": str(source.file) if source.file else None,
        "line": source.line,
        "variable": source.variable,
    }


def effective_values(config: Config, providers: Mapping[str, ProviderInfo]) -> Iterator[Value]:
    """Every value that is in force, section by section.

    Raises:
        ConfigError: A section has settings that its provider does not take.
    """
    yield from _table("defaults", {"provider": config.defaults.provider}, config.defaults.sources)
    yield from _table("defaults", {"model": config.defaults.model}, config.defaults.sources)
    yield from _table("aliases", config.aliases, config.alias_sources)
    yield from _plugins(config)
    for name, section in backends(config, providers).items():
        yield from _section(name, section, providers.get(section.provider))


def _table(name: str, values: Mapping[str, Any], sources: Mapping[str, Source]) -> Iterator[Value]:
    for key, value in values.items():
        if value is not None:
            yield Value((name, key), value, sources.get(key, _DEFAULT))


def _plugins(config: Config) -> Iterator[Value]:
    plugins = config.plugins
    allow = None if plugins.allow is None else list(plugins.allow)
    lists = {"allow": allow, "deny": list(plugins.deny), "filters": list(plugins.filters)}
    yield from _table("plugins", lists, plugins.sources)
    for provider, distribution in plugins.choose.items():
        source = plugins.sources.get(f"choose.{provider}", _DEFAULT)
        yield Value(("plugins", "choose", provider), distribution, source)


def _section(name: str, section: Section, info: ProviderInfo | None) -> Iterator[Value]:
    facts = {
        "provider": section.provider,
        "endpoint": section.endpoint or (info and info.endpoint) or None,
        "model": section.model,
        "timeout_ms": section.timeout_ms or round(WHOLE_CALL * 1000),
        "max_input_tokens": section.max_input_tokens,
    }
    yield from _table(name, facts, section.sources)
    yield from _key(name, section, info)
    settings = section.settings if info is None else build_backend(section, info).settings
    for key, value in settings.items():
        secret = bool(info and getattr(info.settings.get(key), "type", None) == "secret")
        shown = masked(key, value, secret=secret)
        source = section.sources.get(key, _DEFAULT)
        yield Value((name, key), shown, source, masked=MASK in str(shown))


def _key(name: str, section: Section, info: ProviderInfo | None) -> Iterator[Value]:
    """The key that is sent: the section's own, or that of the provider's variable."""
    secret = section.api_key
    if info is not None:
        auth = build_backend(section, info).auth
        secret = auth.secret if isinstance(auth, KeyHeader) else None
    if secret is not None:
        source = section.sources.get("api_key", _DEFAULT)
        plain = secret.reference is None
        yield Value((name, "api_key"), masked_key(secret), source, masked=plain)
