"""Names of providers: how they are spelt, and which distribution brings each."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from multitap.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

__all__ = ("canonical", "did_you_mean", "known_packages", "not_installed")

known_packages: Mapping[str, str] = MappingProxyType(
    {
        name: f"multitap-{name}"
        for name in (
            "echo",
            "llamacpp",
            "llamaserver",
            "lmstudio",
            "ollama",
            "openai",
            "tgi",
            "vllm",
        )
    }
)
"""The distribution of each provider that is published together with the core."""


def canonical(name: str) -> str:
    """A provider's name as it is looked up: trimmed, in lower case.

    The historical word ``local`` means ``llama``.

    >>> canonical(" vLLM "), canonical("LOCAL")
    ('vllm', 'llama')
    """
    name = name.strip().lower()
    return "llama" if name == "local" else name


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message that offers the nearest known name, or nothing.

    >>> did_you_mean("endpont", ["model", "endpoint"])
    " (did you mean 'endpoint'?)"
    """
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), sorted(set(known) - {name}), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def not_installed(provider: str, installed: Collection[str] = ()) -> ConfigError:
    """What to raise where a provider is wanted and no distribution offers it.

    >>> print(not_installed("ollama"))
    provider 'ollama' is not installed. Run `pip install multitap-ollama`.
    """
    if provider in known_packages:
        return ConfigError(
            f"provider {provider!r} is not installed",
            hint=f"Run `pip install {known_packages[provider]}`.",
        )
    near = did_you_mean(provider, {*installed, *known_packages})
    names = ", ".join(sorted(installed)) or "none"
    return ConfigError(
        f"provider {provider!r} is not installed{near}",
        hint=f"Install the plugin that brings it; installed providers: {names}.",
    )
