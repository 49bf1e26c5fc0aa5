"""The demo model: what ``multitap chat`` answers with where nothing else is set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multitap.config import known_packages
from multitap.errors import ConfigError, MultitapError, ProviderDown

if TYPE_CHECKING:
    from multitap.cli.output import Output
    from multitap.config import Config
    from multitap.runtime import Runtime

__all__ = ("fallback",)

_DEFAULT, _BUNDLED, _MODEL = "ollama", "llamacpp", "demo"
_SECONDS = 1.0

_TOLD = (
    "nothing is configured, so the small built-in demo model answers.",
    'It knows this program only; ask it, for instance, "How do I add Ollama?".',
    "For a real model: `pip install multitap-ollama`, start Ollama, and add -m ollama:<model>.",
)


def fallback(runtime: Runtime, config: Config, output: Output) -> str | None:
    """The demo model's reference, said so on standard error; ``None``: the default model.

    Raises:
        ConfigError: There is neither a default backend that answers nor a demo model.
    """
    if config.sections or config.defaults.provider or config.defaults.model:
        return None
    installed = {info.name for info in runtime.providers()}
    if _DEFAULT in installed and _answers(runtime):
        return None
    if _BUNDLED in installed and _has_demo(runtime):
        output.hint(_TOLD)
        return f"{_BUNDLED}:{_MODEL}"
    raise _nothing(installed)


def _answers(runtime: Runtime) -> bool:
    """Does the default backend answer? What else may be wrong with it is told by the call."""
    try:
        runtime.models(_DEFAULT, timeout=_SECONDS)
    except ProviderDown as error:
        return error.status is not None
    except MultitapError:
        return True
    return True


def _has_demo(runtime: Runtime) -> bool:
    try:
        return any(model.id == _MODEL for model in runtime.models(_BUNDLED, timeout=_SECONDS))
    except MultitapError:
        return False


def _nothing(installed: set[str]) -> ConfigError:
    offer = f"`pip install {known_packages[_BUNDLED]}` brings a demo model."
    if _BUNDLED in installed:
        offer = f"{known_packages[_BUNDLED]} is installed without its demo model."
    if _DEFAULT in installed:
        message = "no model is configured, and Ollama does not answer"
        return ConfigError(message, hint=f"Start Ollama, or write -m backend:model; {offer}")
    others = ", ".join(sorted(installed)) or "none"
    message = f"no model is configured (installed providers: {others})"
    hint = f"Write -m backend:model, or `pip install {known_packages[_DEFAULT]}`; {offer}"
    return ConfigError(message, hint=hint)
