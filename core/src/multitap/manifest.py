"""``provider.toml``: what a plugin says of its providers without being imported.

The file lies beside the package's ``__init__.py``, with one table a provider::

    [acme]
    title = "Acme"
    local = true
    endpoint = "http://127.0.0.1:8080"
    suffixes = ["/api"]
    docs = "https://acme.example/docs"
    api = 1
    key = {variable = "ACME_API_KEY", required = true}
    absent = {rerank = "Acme has no model that ranks"}

    [acme.settings.region]
    type = "text"
    default = "eu"
    help = "Where the answers are made."

    [acme.parameters.top_k]
    use = "top_k"
    maximum = 40
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, cast

import attrs
from attrs.validators import deep_iterable, deep_mapping, in_, instance_of, matches_re, optional

from multitap.capabilities import CAPABILITIES
from multitap.rules import TEMPLATES, Rule

__all__ = ("KeyInfo", "Parameter", "ProviderInfo", "Setting", "provider_from_table")

T = TypeVar("T")
R = TypeVar("R", bound=Rule)

RESERVED = frozenset(
    {"provider", "endpoint", "api_key", "model", "timeout_ms", "max_input_tokens", "prices"}
    | {"max_file_bytes", "think_tags", "tools", "carrier", "proxy", "timeouts", "limits"}
    | {"max_in_flight", "requests_per_second", "fallback", "ca_file"}
)
"""Keys that every section may have, so that no provider can have a setting of such a name."""

_TEXT = instance_of(str)
_FILLED_IN = {"name", "distribution", "version", "capabilities"}


@attrs.frozen(kw_only=True)
class KeyInfo:
    """Which key a provider wants, and where it goes.

    Attributes:
        variable: The environment variable that is read where ``llm.toml`` has no ``api_key``.
        required: Nothing works without it.
        header: The header that carries it.
        scheme: The word before it, such as ``Bearer``; empty for none.
    """

    variable: str | None = attrs.field(default=None, validator=optional(_TEXT))
    required: bool = attrs.field(default=False, validator=instance_of(bool))
    header: str = attrs.field(default="Authorization", validator=_TEXT)
    scheme: str = attrs.field(default="Bearer", validator=_TEXT)


def _conditions(value: Any) -> Mapping[str, tuple[Any, ...]]:
    """Names and lists of values; one value alone need not be a list."""
    if not isinstance(value, Mapping):
        raise ValueError("show_on has to be a table of settings and their values")
    return {
        name: tuple(found) if isinstance(found, (list, tuple)) else (found,)
        for name, found in value.items()
    }


@attrs.frozen(kw_only=True)
class Setting(Rule):
    """One key of a provider's section in ``llm.toml``.

    Attributes:
        show_on: The setting is there only where each of these others has one of these values.
        header: For a ``secret``: the header that carries it. A plugin never gets the value.
        scheme: For a ``secret``: the word before it, such as ``Bearer``; empty for none.
    """

    show_on: Mapping[str, tuple[Any, ...]] = attrs.field(factory=dict, converter=_conditions)
    header: str = attrs.field(default="", validator=_TEXT)
    scheme: str = attrs.field(default="", validator=_TEXT)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.type != "secret":
            if self.header or self.scheme:
                raise ValueError("header and scheme are for a secret")
        elif not re.fullmatch(r"[A-Za-z0-9_-]+", self.header):
            raise ValueError("a secret needs header, the name of the header that carries it")
        elif self.default is not None:
            raise ValueError("a secret has no default")


@attrs.frozen(kw_only=True)
class Parameter(Rule):
    """An option of the provider's own that a request may have, in ``extra``.

    Only of a ``required`` one is the default sent; else it says what the server takes.
    """

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.type in ("secret", "path"):
            raise ValueError(f"a parameter is no {self.type}")


@attrs.frozen(kw_only=True)
class ProviderInfo:
    """A provider, as its distribution declares it.

    Attributes:
        local: Does it run on this machine? ``None``: either.
        endpoint: The default base URL; empty where it needs none.
        suffixes: Ends of an endpoint that make no difference, beside ``/v1``: ``["/api"]``.
        api: The version of the hooks that it was written for.
        settings: The keys of its own that a section of ``llm.toml`` may have.
        parameters: What ``extra`` of a chat may hold; empty: anything, unchecked.
        absent: Why it has not a capability that one might look for, in a sentence.
        capabilities: What its entry points name, in the order of the documentation.
    """

    name: str
    title: str = attrs.field(default="", validator=_TEXT)
    distribution: str = ""
    version: str = ""
    local: bool | None = attrs.field(default=None, validator=optional(instance_of(bool)))
    endpoint: str = attrs.field(default="", validator=_TEXT)
    suffixes: tuple[str, ...] = attrs.field(
        default=(), converter=tuple[str, ...], validator=deep_iterable(matches_re(r"/.+"))
    )
    docs: str = attrs.field(default="", validator=_TEXT)
    icon: str = attrs.field(default="", validator=_TEXT)
    api: int = attrs.field(default=1, validator=instance_of(int))
    key: KeyInfo = attrs.field(factory=KeyInfo)
    settings: Mapping[str, Setting] = attrs.field(factory=dict)
    parameters: Mapping[str, Parameter] = attrs.field(factory=dict)
    absent: Mapping[str, str] = attrs.field(
        factory=dict, validator=deep_mapping(in_(CAPABILITIES), matches_re(r".+"))
    )
    capabilities: tuple[str, ...] = ()


def provider_from_table(name: str, table: Mapping[str, Any]) -> ProviderInfo:
    """A provider from its table; a wrong key or type is a ``ValueError`` that names it.

    >>> provider_from_table("acme", {"title": "Acme"}).title
    'Acme'
    """
    facts = dict(_table(table, name))
    settings = _rules(Setting, facts.pop("settings", {}), f"{name}.settings")
    parameters = _rules(Parameter, facts.pop("parameters", {}), f"{name}.parameters")
    if taken := sorted(RESERVED & set(settings)):
        raise ValueError(f"{name}.settings.{taken[0]} has a name that every section has already")
    for setting in settings.values():
        _check_conditions(setting, settings, f"{name}.settings.{setting.name}")
    key = _checked(KeyInfo, facts.pop("key", {}), f"{name}.key")
    facts.setdefault("title", name)
    more = {"settings": settings, "parameters": parameters, "key": key}
    return _checked(ProviderInfo, facts, name, name=name, **more)


def _rules(cls: type[R], tables: object, where: str) -> dict[str, R]:
    rows = _table(tables, where).items()
    return {
        n: _checked(cls, _filled(row, f"{where}.{n}"), f"{where}.{n}", name=n) for n, row in rows
    }


def _filled(row: object, where: str) -> Mapping[str, Any]:
    """The rule's table, laid over the template that it names."""
    facts = dict(_table(row, where))
    template = facts.pop("use", None)
    if template is None:
        return facts
    if template not in TEMPLATES:
        raise ValueError(f"{where}: use is {template!r}, which is none of {', '.join(TEMPLATES)}")
    return {**TEMPLATES[template], **facts}


def _check_conditions(setting: Setting, settings: Mapping[str, Setting], where: str) -> None:
    """The settings that this one depends on are there, and in no circle."""
    for name, values in setting.show_on.items():
        other = settings.get(name)
        if other is None or other.type == "secret":
            raise ValueError(f"{where}: show_on names {name!r}, which is no setting beside it")
        for value in values:
            try:
                other.check(value)
            except ValueError as error:
                raise ValueError(f"{where}: show_on: {name} {error}") from None
    if _depends(setting, setting.name, settings, set()):
        raise ValueError(f"{where}: show_on leads back to the setting itself")


def _depends(
    setting: Setting, target: str, settings: Mapping[str, Setting], seen: set[str]
) -> bool:
    for name in set(setting.show_on) & set(settings) - seen:
        seen.add(name)
        if name == target or _depends(settings[name], target, settings, seen):
            return True
    return False


def _checked(cls: type[T], table: object, where: str, **more: Any) -> T:
    facts = _table(table, where)
    unknown = sorted(facts.keys() - _keys_of(cast("Any", cls)))
    if unknown:
        raise ValueError(f"{where} has unknown keys: {', '.join(unknown)}")
    try:
        return cls(**facts, **more)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error.args[0]}") from error


@cache
def _keys_of(cls: Any) -> frozenset[str]:
    return frozenset(field.name for field in attrs.fields(cls)) - _FILLED_IN


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a table, not {value!r}")
    return value
