"""The configuration as it is in force: every value with where it comes from, secrets masked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from multitap.cli.masks import MASK, masked, masked_key
from multitap.cli.toml import toml_key
from multitap.config import KeyHeader, Secret, Source, backends, build_backend, keys_of
from multitap.config.by_model import written
from multitap.config.sections import SECTION_KEYS
from multitap.runtime.traffic import WHOLE_CALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multitap.config import Config, Section
    from multitap.manifest import ProviderInfo
    from multitap.work import Backend

__all__ = ("Value", "effective_values", "is_secret", "json_value", "source_object")

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
        "timeouts": dict(section.timeouts) or None,
        "limits": dict(section.limits) or None,
        "max_in_flight": section.max_in_flight,
        "requests_per_second": section.requests_per_second,
        "fallback": list(section.fallback) or None,
        "max_input_tokens": section.max_input_tokens,
        "max_file_bytes": section.max_file_bytes,
        "carrier": None if section.carrier == "auto" else section.carrier,
        "ca_file": section.ca_file,
        "prices": {model: cost.to_dict() for model, cost in section.prices.items()} or None,
        "think_tags": {model: written(tags) for model, tags in section.think_tags.items()} or None,
        "tools": {m: written(words) or "native" for m, words in section.tools.items()} or None,
    }
    yield from _table(name, facts, section.sources)
    if section.proxy:
        shown = masked("proxy", section.proxy)
        source = section.sources.get("proxy", _DEFAULT)
        yield Value((name, "proxy"), shown, source, masked=shown != section.proxy)
    backend = info and build_backend(section, info)
    for key, secret in (_keys(section, info, backend) if info and backend else {}).items():
        source = section.sources.get(key, _DEFAULT)
        yield Value((name, key), masked_key(secret), source, masked=secret.reference is None)
    for key, value in (backend or section).settings.items():
        shown = masked(key, value, secret=isinstance(value, str) and is_secret(key, info))
        source = section.sources.get(key, _DEFAULT)
        yield Value((name, key), shown, source, masked=MASK in str(shown))


def is_secret(key: str, info: ProviderInfo | None) -> bool:
    """Is a setting secret, if it is a text? Of an absent provider's nobody can say which are."""
    if key in SECTION_KEYS:
        return key == "api_key"
    setting = info.settings.get(key) if info else None
    return info is None or (setting is not None and setting.type == "secret")


def _keys(section: Section, info: ProviderInfo, backend: Backend) -> Mapping[str, Secret]:
    """The keys that are sent, by the name of their setting; not those that are withheld."""
    headers = {s.header: s.name for s in info.settings.values() if s.type == "secret"}
    names = {info.key.header: "api_key", **headers}
    found = [key for key in keys_of(backend.auth) if isinstance(key, KeyHeader)]
    return {names[key.header]: key.secret for key in found}
