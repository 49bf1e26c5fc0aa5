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

    [acme.settings.region]
    type = "text"
    default = "eu"
    help = "Where the answers are made."
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args

import attrs
from attrs.validators import deep_iterable, in_, instance_of, matches_re, optional

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("KeyInfo", "ProviderInfo", "Setting", "SettingType", "provider_from_table")

SettingType = Literal["text", "integer", "number", "boolean", "path", "list", "table"]

T = TypeVar("T")

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


@attrs.frozen(kw_only=True)
class Setting:
    """One key of a provider's section in ``llm.toml``."""

    name: str
    type: SettingType = attrs.field(default="text", validator=in_(get_args(SettingType)))
    default: Any = None
    help: str = attrs.field(default="", validator=_TEXT)
    choices: tuple[Any, ...] = attrs.field(default=(), converter=tuple[Any, ...])


@attrs.frozen(kw_only=True)
class ProviderInfo:
    """A provider, as its distribution declares it.

    Attributes:
        local: Does it run on this machine? ``None``: either.
        endpoint: The default base URL; empty where it needs none.
        suffixes: Ends of an endpoint that make no difference, beside ``/v1``: ``["/api"]``.
        api: The version of the hooks that it was written for.
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
    capabilities: tuple[str, ...] = ()


def provider_from_table(name: str, table: Mapping[str, Any]) -> ProviderInfo:
    """A provider from its table; a wrong key or type is a ``ValueError`` that names it.

    >>> provider_from_table("acme", {"title": "Acme"}).title
    'Acme'
    """
    facts = dict(_table(table, name))
    rows = _table(facts.pop("settings", {}), f"{name}.settings")
    settings = {
        n: _checked(Setting, row, f"{name}.settings.{n}", name=n) for n, row in rows.items()
    }
    key = _checked(KeyInfo, facts.pop("key", {}), f"{name}.key")
    facts.setdefault("title", name)
    return _checked(ProviderInfo, facts, name, name=name, key=key, settings=settings)


def _checked(cls: type[T], table: object, where: str, **more: Any) -> T:
    facts = _table(table, where)
    known = {field.name for field in attrs.fields(cast("Any", cls))} - _FILLED_IN
    unknown = sorted(set(facts) - known)
    if unknown:
        raise ValueError(f"{where} has unknown keys: {', '.join(unknown)}")
    try:
        return cls(**facts, **more)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error.args[0]}") from error


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a table, not {value!r}")
    return value
