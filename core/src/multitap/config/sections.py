"""What ``llm.toml`` says once its layers are laid upon each other, every value checked.

A project's file is not the user's own: a repository that somebody cloned must not be able to send
the user's key elsewhere. So an endpoint that stands in a project's file gets only a key that is
written in that same file as it is. A reference such as ``env:NAME`` there would be the user's key
under another name: it is followed for an endpoint on this machine, and withheld from any other. The
user's way to allow it is to name the endpoint again in a place of their own that is stronger than a
project's file: ``MULTITAP_<SECTION>__ENDPOINT``, or ``--llm``. A proxy sees what an endpoint sees,
so all of this holds for ``proxy`` as well.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs

from multitap.config.bounds import limits_of, timeouts_of
from multitap.config.by_model import by_model
from multitap.config.packages import canonical, did_you_mean
from multitap.config.secret import Secret, is_reference
from multitap.config.values import (
    SOCKS,
    check_endpoint,
    check_proxy,
    is_loopback,
    typed,
    without_credentials,
)
from multitap.errors import ConfigError
from multitap.redaction import conceal_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from multitap.capabilities.chat import TextTools, ThinkTags
    from multitap.config.sources import Entry, Problems, Source
    from multitap.prices import Pricing

__all__ = (
    "SECTION_KEYS",
    "Config",
    "Defaults",
    "Plugins",
    "Section",
    "config_of",
    "foreign_of",
    "key_for",
    "secret_of",
)

SECTION_KEYS: Mapping[str, str] = {
    "provider": "text",
    "endpoint": "text",
    "api_key": "text",
    "model": "text",
    "timeout_ms": "integer",
    "timeouts": "table",
    "limits": "table",
    "max_in_flight": "integer",
    "requests_per_second": "number",
    "fallback": "list",
    "max_input_tokens": "integer",
    "max_file_bytes": "integer",
    "prices": "table",
    "think_tags": "by model",
    "tools": "by model",
    "carrier": "text",
    "proxy": "text",
    "ca_file": "path",
}
"""The keys that every backend's section may have; all others belong to its provider."""

CARRIERS = ("auto", "direct", "httpx")
_DEFAULTS_KEYS = {"provider": "text", "model": "text"}
_PLUGINS_KEYS = {"allow": "list", "deny": "list", "filters": "list", "choose": "table"}


@attrs.frozen(kw_only=True)
class Defaults:
    """``[defaults]``: the backend's id and the model that are used where none is named."""

    provider: str | None = None
    model: str | None = None
    sources: Mapping[str, Source] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class Plugins:
    """``[plugins]``: which distributions may load, and which one brings a contested provider.

    ``None`` for ``allow``: every distribution may.
    """

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    choose: Mapping[str, str] = attrs.field(factory=dict)
    filters: tuple[str, ...] = ()
    sources: Mapping[str, Source] = attrs.field(factory=dict, repr=False)


def _without_credentials(url: str | None) -> str:
    return repr(url and without_credentials(url))


@attrs.frozen(kw_only=True)
class Section:
    """One backend as it is configured.

    Attributes:
        name: The backend's id.
        provider: The kind of backend; the section's name unless it says otherwise.
        timeout_ms: For the whole call, in milliseconds.
        timeouts: The clocks that are set, by name, in seconds; see ``multitap.policy.clocks``.
        limits: The limits that are set, by name, likewise.
        max_in_flight: Calls of one model at a time; ``None``: as many as the server bears.
        requests_per_second: Of one model; ``None``: any number.
        fallback: References of the models that are asked where this backend fails, in order.
        max_file_bytes: Of a sound or picture that is sent; ``None``: 64 MiB.
        carrier: ``auto``, ``direct`` or ``httpx``.
        proxy: A URL, ``system``, which ``None`` means too, or ``none``; see
            ``multitap.config.routes``.
        ca_file: Certificate authorities in PEM that are trusted beside the system's.
        prices: What the tokens of its models cost, by the model's id.
        think_tags: The tags around the thinking of its models, by the model's id; ``*``: of others.
        tools: How their tools are put into words, likewise; ``None``: they are not.
        settings: All other keys, as written; ``build_backend`` checks them.
        entries: Where these settings were written, in every layer, the weakest first.
        sources: Where each key was written; what is at its default has none.
        withheld: Where a key stands that this section's endpoint does not get, or ``None``.
    """

    name: str
    provider: str
    endpoint: str | None = attrs.field(default=None, repr=_without_credentials)
    api_key: Secret | None = None
    model: str | None = None
    timeout_ms: int | None = None
    timeouts: Mapping[str, float] = attrs.field(factory=dict)
    limits: Mapping[str, int] = attrs.field(factory=dict)
    max_in_flight: int | None = None
    requests_per_second: float | None = None
    fallback: tuple[str, ...] = ()
    max_input_tokens: int | None = None
    max_file_bytes: int | None = None
    prices: Mapping[str, Pricing] = attrs.field(factory=dict, repr=False)
    think_tags: Mapping[str, ThinkTags | None] = attrs.field(factory=dict, repr=False)
    tools: Mapping[str, TextTools | None] = attrs.field(factory=dict, repr=False)
    carrier: str = "auto"
    proxy: str | None = attrs.field(default=None, repr=_without_credentials)
    ca_file: str | None = None
    settings: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    entries: tuple[Entry, ...] = attrs.field(default=(), repr=False, eq=False)
    sources: Mapping[str, Source] = attrs.field(factory=dict, repr=False)
    withheld: Source | None = None
    environ: Mapping[str, str] = attrs.field(factory=lambda: os.environ, repr=False, eq=False)

    @property
    def foreign(self) -> Mapping[str, Source]:
        """Where endpoint or proxy stand in a project's file: no key of the user's goes there."""
        return foreign_of({"endpoint": self.endpoint, "proxy": self.proxy}, self.sources)

    @property
    def is_trusted(self) -> bool:
        """May a reference beside these be followed, because they are on this machine?"""
        return all(is_loopback(getattr(self, key) or "") for key in self.foreign)


@attrs.frozen(kw_only=True)
class Config:
    """The whole configuration; see ``load_config``.

    ``entries`` is all that any layer says, the weakest first, what lost to a stronger one included.
    """

    defaults: Defaults = attrs.field(factory=Defaults)
    aliases: Mapping[str, str] = attrs.field(factory=dict)
    alias_sources: Mapping[str, Source] = attrs.field(factory=dict, repr=False)
    plugins: Plugins = attrs.field(factory=Plugins)
    sections: Mapping[str, Section] = attrs.field(factory=dict)
    entries: tuple[Entry, ...] = attrs.field(default=(), repr=False, eq=False)
    environ: Mapping[str, str] = attrs.field(factory=lambda: os.environ, repr=False, eq=False)


def config_of(entries: Sequence[Entry], environ: Mapping[str, str], problems: Problems) -> Config:
    """The configuration; of two entries with one path the later one counts."""
    tables: dict[str, list[Entry]] = {}
    for entry in entries:
        table = tables.setdefault(entry.path[0], [])
        if len(entry.path) > 1:
            table.append(entry)
    aliases, alias_sources = _texts(tables.pop("aliases", ()), problems)
    return Config(
        defaults=_defaults(tables.pop("defaults", ()), problems),
        aliases=aliases,
        alias_sources=alias_sources,
        plugins=_plugins(tables.pop("plugins", ()), problems),
        sections={name: _section(name, tables[name], environ, problems) for name in tables},
        entries=tuple(entries),
        environ=environ,
    )


def _defaults(entries: Sequence[Entry], problems: Problems) -> Defaults:
    values, sources = _values(entries, _DEFAULTS_KEYS, problems, closed=True)
    if "provider" in values:
        values["provider"] = values["provider"].strip().lower()
    return Defaults(**values, sources=sources)


def _plugins(entries: Sequence[Entry], problems: Problems) -> Plugins:
    choose = [entry for entry in entries if len(entry.path) > 2]
    others = [entry for entry in entries if len(entry.path) == 2]
    values, sources = _values(others, _PLUGINS_KEYS, problems, closed=True)
    if values.get("choose"):
        hint = "Write MULTITAP_PLUGINS__CHOOSE__<PROVIDER>=<distribution>."
        problems.add("choose is set provider by provider", sources["choose"], hint=hint)
    names = {key: _names(values[key]) for key in ("allow", "deny", "filters") if key in values}
    for key in [key for key, found in names.items() if found is None]:
        problems.add(f"{key} in [plugins] has to be a list of texts", sources[key], key=key)
        del names[key]
    chosen, choose_sources = _texts(choose, problems)
    return Plugins(
        **names,  # type: ignore[arg-type]
        choose={canonical(name): value for name, value in chosen.items()},
        sources={**sources, **{f"choose.{name}": at for name, at in choose_sources.items()}},
    )


def _names(values: Sequence[Any]) -> tuple[str, ...] | None:
    return tuple(values) if all(isinstance(value, str) for value in values) else None


def _texts(
    entries: Sequence[Entry], problems: Problems
) -> tuple[dict[str, str], dict[str, Source]]:
    return _values(entries, {entry.key: "text" for entry in entries}, problems)


def _section(
    name: str, entries: Sequence[Entry], environ: Mapping[str, str], problems: Problems
) -> Section:
    for entry in entries:  # also what is overruled, withheld or refused
        if not is_reference(str(entry.value)):
            conceal_named(entry.key, entry.value)
    keys = [entry for entry in entries if entry.key == "api_key"]
    others = [entry for entry in entries if entry.key != "api_key"]
    values, sources = _values(others, SECTION_KEYS, problems)
    foreign = foreign_of(values, sources)
    trusted = all(is_loopback(values[key]) for key in foreign)
    key, withheld = key_for(foreign, keys, trusted)
    secret = secret_of(key, environ, problems) if key else None
    if key:
        sources["api_key"] = key.source
    _check_carrier(name, values, sources, problems)
    common = {key: values.pop(key) for key in SECTION_KEYS if key in values}
    return Section(
        name=name,
        provider=canonical(common.pop("provider", name)),
        api_key=secret,
        **common,
        settings=values,
        entries=tuple(entry for entry in others if entry.key not in SECTION_KEYS),
        sources=sources,
        withheld=withheld,
        environ=environ,
    )


def _check_carrier(
    name: str, values: Mapping[str, Any], sources: Mapping[str, Source], problems: Problems
) -> None:
    speaks_socks = values.get("proxy", "").lower().startswith(SOCKS)
    if values.get("carrier") == "direct" and speaks_socks:
        problems.add(
            f"proxy in [{name}] speaks SOCKS, which needs httpx, and carrier is direct",
            sources["carrier"],
            key=f"{name}.carrier",
            hint="Remove carrier, or proxy.",
        )


def foreign_of(values: Mapping[str, Any], sources: Mapping[str, Source]) -> Mapping[str, Source]:
    """Where a project's file says to which server what is sent goes."""
    named = [k for k in ("endpoint", "proxy") if values.get(k) not in (None, "none", "system")]
    known = {key: sources[key] for key in named if key in sources}
    return {key: source for key, source in known.items() if source.kind == "project"}


def key_for(
    foreign: Mapping[str, Source], keys: Sequence[Entry], trusted: bool
) -> tuple[Entry | None, Source | None]:
    """The key that these places get, or where the key stands that they do not get.

    ``trusted``: a reference that stands beside a project's endpoint may be followed for it.
    """
    if not keys:
        return None, None
    if not foreign:
        return keys[-1], None
    files = {place.file for place in foreign.values()}
    beside = [key for key in keys if {key.source.file} == files]
    if beside and (trusted or not is_reference(str(beside[-1].value))):
        return beside[-1], None
    return None, (beside or keys)[-1].source


def secret_of(entry: Entry, environ: Mapping[str, str], problems: Problems) -> Secret | None:
    """The secret that an entry holds or refers to; what is wrong with it goes to ``problems``."""
    try:
        if isinstance(entry.value, Secret):
            return entry.value
        text = typed("text", entry.value, entry.source)
        return Secret(text, environ=environ, folder=entry.source.folder, key=entry.key)
    except ConfigError as error:
        problems.add(error.message, entry.source, key=".".join(entry.path), hint=error.hint)
    except ValueError as error:
        problems.add(f"{entry.key} {error}", entry.source, key=".".join(entry.path))
    return None


def _values(
    entries: Sequence[Entry], kinds: Mapping[str, str], problems: Problems, *, closed: bool = False
) -> tuple[dict[str, Any], dict[str, Source]]:
    """The checked values and where each was written; ``closed``: no other keys are known."""
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for entry in entries:
        try:
            if closed and entry.key not in kinds:
                raise _unknown(entry, kinds)
            values[entry.key] = _checked(entry, kinds)
            sources[entry.key] = entry.source
        except ConfigError as error:
            problems.add(error.message, entry.source, key=".".join(entry.path), hint=error.hint)
        except ValueError as error:
            message = f"{entry.key} in [{entry.path[0]}] {error}"
            problems.add(message, entry.source, key=".".join(entry.path))
    return values, sources


def _unknown(entry: Entry, known: Iterable[str]) -> ConfigError:
    near = did_you_mean(entry.key, known)
    return ConfigError(
        f"unknown key {entry.key!r} in [{entry.path[0]}]{near}",
        hint=f"The keys are: {', '.join(sorted(known))}.",
    )


def _references(values: Sequence[Any]) -> tuple[str, ...]:
    if not all(isinstance(value, str) and value.strip() for value in values):
        raise ValueError("has to be a list of model references")
    return tuple(values)


_BOUNDS: Mapping[str, Any] = {"timeouts": timeouts_of, "limits": limits_of, "fallback": _references}


def _checked(entry: Entry, kinds: Mapping[str, str]) -> Any:
    if entry.key not in kinds:
        return entry.value
    if kinds[entry.key] == "by model":
        return by_model(entry.key, entry.value, entry.source)
    value = typed(kinds[entry.key], entry.value, entry.source)
    if entry.key == "prices" and kinds is SECTION_KEYS:
        from multitap.prices import Pricing  # most sections have none

        return {model: Pricing.from_dict(table, model) for model, table in value.items()}
    if kinds is SECTION_KEYS and entry.key in _BOUNDS:
        return _BOUNDS[entry.key](value)
    if isinstance(value, str) and not value.strip():
        raise ValueError("is empty")
    if entry.key == "endpoint" and kinds is SECTION_KEYS:
        check_endpoint(value)
    if entry.key == "proxy" and kinds is SECTION_KEYS:
        check_proxy(value)
    if entry.key == "carrier" and kinds is SECTION_KEYS and value not in CARRIERS:
        raise ValueError(f"has to be one of {', '.join(CARRIERS)}")
    if isinstance(value, (int, float)) and value <= 0:
        raise ValueError("has to be more than 0")
    return value
