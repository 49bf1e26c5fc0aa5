"""``provider.toml``: what a plugin says of its providers without being imported.

The file lies beside the package's ``__init__.py``, with one table a provider::

    [acme]
    title = "Acme"
    local = true
    endpoint = "http://127.0.0.1:8080"
    docs = "https://acme.example/docs"
    api = 1
    key = {variable = "ACME_API_KEY", required = true}

    [acme.settings.region]
    type = "text"
    default = "eu"
    help = "Where the answers are made."
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import attrs

__all__ = ("KeyInfo", "ProviderInfo", "Setting", "SettingType", "provider_from_table")

SettingType = Literal["text", "integer", "number", "boolean", "path", "list", "table"]


@attrs.frozen(kw_only=True)
class KeyInfo:
    """Which key a provider wants, and where it goes.

    Attributes:
        variable: The environment variable that is read where ``llm.toml`` has no ``api_key``.
        required: Nothing works without it.
        header: The header that carries it.
        scheme: The word before it, such as ``Bearer``; empty for none.
    """

    variable: str | None = None
    required: bool = False
    header: str = "Authorization"
    scheme: str = "Bearer"


@attrs.frozen(kw_only=True)
class Setting:
    """One key of a provider's section in ``llm.toml``."""

    name: str
    type: SettingType = "text"
    default: Any = None
    help: str = ""
    choices: tuple[Any, ...] = attrs.field(default=(), converter=tuple)


@attrs.frozen(kw_only=True)
class ProviderInfo:
    """A provider, as its distribution declares it.

    Attributes:
        local: Does it run on this machine? ``None``: either.
        endpoint: The default base URL; empty where it needs none.
        api: The version of the hooks that it was written for.
        capabilities: What its entry points name, in the order of the documentation.
    """

    name: str
    title: str = ""
    distribution: str = ""
    version: str = ""
    local: bool | None = None
    endpoint: str = ""
    docs: str = ""
    icon: str = ""
    api: int = 1
    key: KeyInfo = attrs.field(factory=KeyInfo)
    settings: Mapping[str, Setting] = attrs.field(factory=dict)
    capabilities: tuple[str, ...] = attrs.field(default=(), converter=tuple)


def provider_from_table(name: str, table: Mapping[str, Any]) -> ProviderInfo:
    """A provider from its table; a wrong key or type is a ``ValueError`` that names it.

    >>> provider_from_table("acme", {"title": "Acme"}).title
    'Acme'
    """
    facts = dict(table)
    key = _checked(KeyInfo, facts.pop("key", {}), f"{name}.key")
    rows = facts.pop("settings", {})
    settings = {n: _setting(n, row, f"{name}.settings.{n}") for n, row in rows.items()}
    facts.setdefault("title", name)
    allowed = _checked(ProviderInfo, {**facts, "name": name}, name)
    return attrs.evolve(allowed, key=key, settings=settings)


def _setting(name: str, row: Mapping[str, Any], where: str) -> Setting:
    setting = _checked(Setting, {**row, "name": name}, where)
    if setting.type not in get_args(SettingType):
        raise ValueError(f"{where}.type is {setting.type!r}; it is one of {get_args(SettingType)}")
    return setting


def _checked(cls: Any, facts: Mapping[str, Any], where: str) -> Any:
    known = {field.name for field in attrs.fields(cls)}
    unknown = sorted(set(facts) - known)
    if unknown:
        raise ValueError(f"{where} has unknown keys: {', '.join(unknown)}")
    return cls(**facts)
