"""Options of one provider alone: ``extra`` of a chat, checked by the rules of ``provider.toml``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from multitap.capabilities.chat import ChatRequest
from multitap.config.packages import did_you_mean
from multitap.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap.manifest import Parameter, ProviderInfo

__all__ = ("check_parameters",)

_STANDARD = {field.name for field in attrs.fields(ChatRequest)}


def check_parameters(request: ChatRequest, provider: ProviderInfo) -> ChatRequest:
    """The request, if its options keep the provider's rules; required ones are filled in.

    A rule that is named like an argument of ``chat``, such as ``temperature``, holds for that too.
    Without any rule ``extra`` is not looked at.

    Raises:
        ConfigError: It names the first option that is unknown, missing or wrong.
    """
    rules = provider.parameters
    if not rules:
        return request
    for name in request.extra:
        if name not in rules:
            raise _unknown(name, provider)
    given = dict(request.extra)
    if not _STANDARD.isdisjoint(rules):
        asked = {name: getattr(request, name) for name in request.asked() if name in rules}
        given = {**asked, **given}
    lacking = [rule for rule in rules.values() if rule.required and rule.name not in given]
    missing = _defaults(lacking, provider) if lacking else {}
    for name, value in {**given, **missing}.items():
        _check(rules[name], value, provider)
    return attrs.evolve(request, extra={**request.extra, **missing}) if missing else request


def _defaults(missing: Sequence[Parameter], provider: ProviderInfo) -> dict[str, Any]:
    """Of the options that have to be sent and were not given."""
    for parameter in missing:
        if parameter.default is None:
            raise ConfigError(
                f"{provider.name} needs the option {parameter.name!r}",
                hint=_next_step(parameter),
                key=f"extra.{parameter.name}",
            )
    return {parameter.name: parameter.default for parameter in missing}


def _check(rule: Parameter, value: object, provider: ProviderInfo) -> None:
    try:
        rule.check(value)
    except ValueError as error:
        raise ConfigError(
            f"the option {rule.name!r} of {provider.name} {error}",
            hint=rule.help or _next_step(rule),
            key=f"extra.{rule.name}",
        ) from None


def _next_step(rule: Parameter) -> str:
    return f'Pass extra={{"{rule.name}": …}}.{f" {rule.help}" if rule.help else ""}'


def _unknown(name: str, provider: ProviderInfo) -> ConfigError:
    known = sorted(provider.parameters)
    step = f"Pass {name}= itself. " if name in _STANDARD else ""
    return ConfigError(
        f"{provider.name} has no option {name!r}{did_you_mean(str(name), known)}",
        hint=f"{step}Those of {provider.name} are: {', '.join(known)}.",
        key=f"extra.{name}",
    )
