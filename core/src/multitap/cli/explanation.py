"""Why a value of the configuration is what it is, and what a model reference leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

from multitap.cli.effective import effective_values, is_secret, json_value, source_object
from multitap.cli.masks import masked
from multitap.cli.toml import toml_key
from multitap.config import MissingKey, Secret, Source, backends, build_backend, keys_of
from multitap.config.packages import did_you_mean, not_installed
from multitap.config.routes import Route, route_of
from multitap.config.sections import SECTION_KEYS
from multitap.errors import ConfigError
from multitap.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from multitap.cli.effective import Value
    from multitap.config import Config, Entry, Section
    from multitap.manifest import ProviderInfo
    from multitap.work import Backend

__all__ = ("KeyExplained", "Layer", "ModelExplained", "explain_key", "explain_model", "key_path")

State = Literal["wins", "overridden", "withheld"]

_TABLES: Mapping[str, Sequence[str]] = {
    "defaults": ("provider", "model"),
    "plugins": ("allow", "deny", "filters", "choose"),
    "aliases": (),
}
_WITHHELD = "a project's file names the endpoint or proxy; no key from elsewhere is sent there"


@attrs.frozen
class Layer:
    """What one layer says of a key, its value made safe to show, and what becomes of it."""

    value: Any
    source: Source
    state: State
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "value": json_value(self.value),
            "source": source_object(self.source),
            "state": self.state,
            "reason": self.reason,
        }


@attrs.frozen
class KeyExplained:
    """A key, what counts for it, and what each layer says, the strongest first."""

    path: tuple[str, ...]
    layers: Sequence[Layer]

    @property
    def key(self) -> str:
        """The key as TOML writes it, dots between its parts."""
        return ".".join(map(toml_key, self.path))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"key": self.key, "layers": [layer.to_dict() for layer in self.layers]}


def key_path(text: str, config: Config, providers: Mapping[str, ProviderInfo]) -> tuple[str, ...]:
    """The path that a key means, such as ``ollama.endpoint``; empty where it is no key.

    A section alone means all of its keys.
    """
    sections = backends(config, providers)
    tables = sorted({*_TABLES, *sections}, key=len, reverse=True)
    for name in tables:
        if text.lower() == name:
            return (name,)
        if text.lower().startswith(f"{name}."):
            key = text[len(name) + 1 :]
            return ("plugins", "choose", key[7:]) if key.startswith("choose.") else (name, key)
    return ()


def explain_key(
    path: tuple[str, ...], config: Config, providers: Mapping[str, ProviderInfo]
) -> Sequence[KeyExplained]:
    """What each layer says of a key, or of all keys of a section.

    Raises:
        ConfigError: It is no key of the section.
    """
    values = {value.path: value for value in effective_values(config, providers)}
    said = [entry.path for entry in config.entries if len(entry.path) > 1]
    wanted = [known for known in dict.fromkeys([*values, *said]) if known[: len(path)] == path]
    if not wanted:
        _check_known(path, config, providers)
    return [
        KeyExplained(known, [*_layers(known, values.get(known), config, providers)])
        for known in wanted or [path]
    ]


def _check_known(
    path: tuple[str, ...], config: Config, providers: Mapping[str, ProviderInfo]
) -> None:
    name, key = path[0], path[-1]
    keys: set[str] = set(_TABLES.get(name, SECTION_KEYS))
    if name not in _TABLES:
        provider = backends(config, providers)[name].provider
        keys |= set(providers[provider].settings) if provider in providers else set()
    if len(path) > 1 and key not in keys and path[:2] != ("plugins", "choose"):
        hint = f"The keys are: {', '.join(sorted(keys))}."
        message = f"{key!r} is no key of [{name}]{did_you_mean(key, keys)}"
        raise ConfigError(message, hint=hint if keys else f"Nothing is set in [{name}].")


def _layers(
    path: tuple[str, ...],
    value: Value | None,
    config: Config,
    providers: Mapping[str, ProviderInfo],
) -> Iterator[Layer]:
    section = config.sections.get(path[0])
    secret = section is not None and is_secret(path[-1], providers.get(section.provider))
    entries = [entry for entry in reversed(config.entries) if entry.path == path]
    winner = next((e for e in entries if value and e.source == value.source), None)
    for entry in entries:
        shown = _shown(entry, secret=secret)
        if entry is winner:
            yield Layer(shown, entry.source, "wins", "the strongest layer that sets it")
        elif path[-1] == "api_key" and section and section.foreign:
            yield Layer(shown, entry.source, "withheld", _WITHHELD)
        else:
            reason = f"{winner.source} is stronger" if winner else "nothing of it counts"
            yield Layer(shown, entry.source, "overridden", reason)
    if winner is None and value is not None:
        yield Layer(value.value, value.source, "wins", "no layer sets it")


def _shown(entry: Entry, *, secret: bool) -> Any:
    is_text = isinstance(entry.value, str)
    return masked(entry.path[-1], entry.value, secret=secret and is_text)


# ---- models --------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ModelExplained:
    """What a reference leads to.

    Attributes:
        how: How it was found, in words.
        carrier: What moves the bytes; ``None``: the model runs in this process.
        proxy: What they go through, its credentials masked; ``None``: nothing.
        proxy_source: Where the proxy was found, such as ``HTTPS_PROXY`` or ``llm.toml, line 3``.
        key: Where the key is, such as ``env:NAME`` or ``llm.toml, line 3``, or why there is none.
    """

    reference: str | None
    ref: str
    backend: str
    model: str
    how: str
    provider: str
    distribution: str
    endpoint: str
    endpoint_source: Source
    carrier: str | None
    proxy: str | None
    proxy_source: str | None
    key: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        facts = attrs.asdict(self, recurse=False)
        return {**facts, "endpoint_source": source_object(self.endpoint_source)}


def explain_model(
    reference: str | None, config: Config, providers: Mapping[str, ProviderInfo]
) -> ModelExplained:
    """Follow a reference, ``None`` for the default model, to the backend that is asked.

    Raises:
        ConfigError: It means nothing, or its provider is not installed.
    """
    sections = backends(config, providers)
    target = resolve(reference, config, sections)
    section = sections[target.backend]
    info = providers.get(section.provider)
    if info is None:
        raise not_installed(section.provider, providers)
    backend = build_backend(section, info)
    route = route_of(section, backend.endpoint) if backend.endpoint else None
    return ModelExplained(
        reference=reference,
        ref=target.ref,
        backend=target.backend,
        model=target.model,
        how=target.how,
        provider=info.name,
        distribution=f"{info.distribution} {info.version}".strip(),
        endpoint=backend.endpoint,
        endpoint_source=section.sources.get("endpoint", Source("default")),
        carrier=route.carrier if route else None,
        proxy=route.shown_proxy if route else None,
        proxy_source=_proxy_source(route, section),
        key=_key(section, info, backend),
    )


def _proxy_source(route: Route | None, section: Section) -> str | None:
    if route is None or route.proxy is None:
        return None
    return route.proxy_source or str(section.sources.get("proxy", Source("code")))


def _key(section: Section, info: ProviderInfo, backend: Backend) -> str:
    """Where the key of the section itself is; that of a secret setting is a setting's."""
    for key in keys_of(backend.auth):
        if isinstance(key, MissingKey):
            return f"none: {key.message}"
        if key.header == info.key.header:
            return _key_place(key.secret, section.sources.get("api_key"))
    return f"none: that of {section.withheld} is withheld" if section.withheld else "none"


def _key_place(secret: Secret, source: Source | None) -> str:
    if secret.reference is None:
        return f"written in {source}"
    return f"{secret.reference}, named in {source or 'provider.toml'}"
