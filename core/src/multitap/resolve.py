"""Model references: from what somebody typed to a backend and a model. Nothing is sent for it.

In this order: an alias; ``backend:…`` where ``backend`` is configured or a default one; a scheme
(``path:``, ``hf:``, ``https:``); ``demo``, the model that llama.cpp's plugin carries, where that is
installed; else the whole reference is a model of the default backend, or of the one backend whose
cached catalog has it.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs

from multitap.config import canonical, known_packages, not_installed
from multitap.config.packages import did_you_mean
from multitap.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from multitap.config import Config, Section

__all__ = ("ResolvedModel", "backend_of", "default_backend", "resolve")

_NOTHING: Mapping[str, str] = MappingProxyType({})
_SCHEMES: Mapping[str, str] = MappingProxyType({"hf": "", "https": "", "path": "llamacpp"})
"""The schemes, each with the provider that takes it; empty: none does by itself."""

_FALLBACK = "ollama"
_DEMO, _DEMO_PROVIDER = "demo", "llamacpp"


@attrs.frozen(kw_only=True)
class ResolvedModel:
    """What a reference means.

    Attributes:
        backend: The backend's id.
        model: The model's id, as the backend knows it.
        reference: What was asked for; ``None`` where the default was.
        how: How it was found, in one sentence.
    """

    backend: str
    model: str
    reference: str | None
    how: str

    @property
    def ref(self) -> str:
        """The full reference, ``backend:model``."""
        return f"{self.backend}:{self.model}"


def resolve(
    reference: str | None,
    config: Config,
    backends: Mapping[str, Section],
    catalogs: Mapping[str, Collection[str]] = MappingProxyType({}),
    schemes: Mapping[str, str] = _NOTHING,
) -> ResolvedModel:
    """Find the backend and the model; only a ``path:`` is looked at on the disk.

    Args:
        reference: As typed; ``None``: the model of ``[defaults]`` or of the default backend.
        config: Aliases and defaults.
        backends: All backends, see ``multitap.config.backends``.
        catalogs: The models of each backend, as far as they are known already.
        schemes: Further schemes, each with the provider that takes it.

    Raises:
        ConfigError: It means nothing, or several things; the message says what to write.

    >>> from multitap.config import Config, backends
    >>> config = Config()
    >>> resolve("ollama:llama3.2:3b", config, backends(config, ["ollama"])).model
    'llama3.2:3b'
    """
    search = _Search(config, backends, catalogs, {**_SCHEMES, **schemes})
    found = search.default() if reference is None else search.named(reference.strip())
    return ResolvedModel(
        backend=found.backend, model=found.model, reference=reference, how=found.how
    )


def default_backend(config: Config, backends: Mapping[str, Section]) -> str | None:
    """The id of the backend for a model without one; ``None`` where that is not clear.

    It is ``[defaults] provider``, else the only section, else the only backend, else ``ollama``.

    Raises:
        ConfigError: ``[defaults] provider`` is no backend.
    """
    wanted = config.defaults.provider
    if wanted is not None:
        if backend_of(wanted, backends) not in backends:
            raise _no_backend(wanted, backends)
        return backend_of(wanted, backends)
    for candidates in (config.sections, backends):
        if len(candidates) == 1:
            return next(iter(candidates))
    return _FALLBACK if _FALLBACK in backends else None


def backend_of(name: str, backends: Mapping[str, Section]) -> str:
    """The backend that a name means; a section of that very name goes before ``canonical``."""
    name = name.strip().lower()
    return name if name in backends else canonical(name)


def _no_backend(name: str, backends: Mapping[str, Section]) -> ConfigError:
    if canonical(name) in known_packages:
        return not_installed(canonical(name))
    return ConfigError(
        f"{name!r} is no backend{did_you_mean(name, {*backends, *known_packages})}",
        hint=f"{_listed(backends)} Add a section [{name}] to llm.toml, or install its plugin.",
    )


def _listed(backends: Mapping[str, Section]) -> str:
    return f"Backends: {', '.join(sorted(backends)) or 'none'}."


@attrs.frozen
class _Search:
    config: Config
    backends: Mapping[str, Section]
    catalogs: Mapping[str, Collection[str]]
    schemes: Mapping[str, str]

    def default(self) -> ResolvedModel:
        """What is meant where nothing is named."""
        model = self.config.defaults.model
        if model is not None:
            return self.named(model.strip(), asked=False)
        backend = default_backend(self.config, self.backends)
        if backend is None:
            hint = (
                f"{_listed(self.backends)} Set provider in [defaults] of llm.toml, or pass model=."
            )
            raise ConfigError("no backend is the default one", hint=hint)
        return self._own_model(backend)

    def named(
        self, reference: str, passed: tuple[str, ...] = (), *, asked: bool = True
    ) -> ResolvedModel:
        """What the reference means.

        Args:
            reference: What is left to find.
            passed: The aliases that led to it.
            asked: The caller's own words; a model of ``[defaults]`` is not searched in catalogs
                as long as there is a default backend.
        """
        if not reference:
            raise ConfigError("the model's name is empty", hint="Write backend:model.")
        if reference in passed:
            chain = " -> ".join((*passed, reference))
            raise ConfigError(f"the aliases go in a circle: {chain}", hint="Change one of them.")
        if reference in self.config.aliases:
            target = self.config.aliases[reference].strip()
            found = self.named(target, (*passed, reference), asked=asked)
            return attrs.evolve(found, how=f"{reference!r} is an alias; {found.how}")
        prefix, colon, rest = reference.partition(":")
        name = backend_of(prefix, self.backends)
        if colon and name in self.backends:
            return self._of_backend(name, rest.strip())
        if colon and name in self.schemes:
            return self._of_scheme(name, reference, rest.strip())
        if colon and name in known_packages:
            raise not_installed(name)
        if reference == _DEMO and self._is_demo_there():
            return _found(_DEMO_PROVIDER, _DEMO, f"{_DEMO_PROVIDER!r} carries the demo model")
        return self._bare(reference, asked)

    def _is_demo_there(self) -> bool:
        section = self.backends.get(_DEMO_PROVIDER)
        return section is not None and section.provider == _DEMO_PROVIDER

    def _of_backend(self, backend: str, model: str) -> ResolvedModel:
        if not model:
            return self._own_model(backend)
        return _found(backend, model, f"{backend!r} is a backend")

    def _own_model(self, backend: str) -> ResolvedModel:
        model = self.backends[backend].model
        if model is None:
            hint = (
                f"Write {backend}:<model>, or set model in [defaults] or [{backend}] of llm.toml."
            )
            raise ConfigError(f"no model is named for {backend!r}", hint=hint)
        return _found(backend, model, f"it is the model of [{backend}]")

    def _of_scheme(self, scheme: str, reference: str, rest: str) -> ResolvedModel:
        backend = self._taker(scheme)
        identifier = rest.removeprefix("//")
        if not identifier:
            raise ConfigError(f"nothing stands after {scheme}:", hint=f"Write {scheme}:<name>.")
        how = f"{backend!r} takes {scheme}: references"
        if scheme == "path":
            return _found(backend, _existing(identifier), how)
        return _found(backend, identifier if scheme == "hf" else reference, how)

    def _taker(self, scheme: str) -> str:
        provider = self.schemes[scheme]
        if not provider:
            raise ConfigError(
                f"no installed backend takes {scheme}: references",
                hint="Download the model and write path:<file> (`pip install multitap-llamacpp`), "
                "or name one that a server has, such as vllm:<org>/<name>.",
            )
        takers = [name for name, section in self.backends.items() if section.provider == provider]
        for preferred in (self.config.defaults.provider, provider, *takers[: len(takers) == 1]):
            if preferred in takers:
                return str(preferred)
        if not takers:
            raise not_installed(provider)
        names = ", ".join(sorted(takers))
        hint = "Set provider in [defaults] of llm.toml to one of them."
        raise ConfigError(f"several backends take {scheme}: references: {names}", hint=hint)

    def _bare(self, model: str, asked: bool) -> ResolvedModel:
        default = default_backend(self.config, self.backends)
        searched = default is None or (asked and self.config.defaults.provider is None)
        owners = [name for name in self.backends if model in self.catalogs.get(name, ())]
        if searched and len(owners) > 1:
            raise _ambiguous(model, owners)
        if searched and owners:
            return _found(owners[0], model, f"{owners[0]!r} alone has it")
        if default is None:
            raise self._unknown(model)
        return _found(default, model, f"{default!r} is the default backend")

    def _unknown(self, model: str) -> ConfigError:
        if model == _DEMO:
            return not_installed(_DEMO_PROVIDER)
        known = {name for models in self.catalogs.values() for name in models}
        near = did_you_mean(model, {*known, *self.config.aliases, *self.backends})
        message = f"no backend is known to have the model {model!r}{near}"
        hint = f"{_listed(self.backends)} Write backend:{model}, or set provider in [defaults]."
        if not self.backends:
            hint = f"No plugin is installed. Run `pip install {known_packages[_FALLBACK]}`."
        return ConfigError(message, hint=hint)


def _found(backend: str, model: str, how: str) -> ResolvedModel:
    return ResolvedModel(backend=backend, model=model, reference=None, how=how)


def _ambiguous(model: str, owners: Collection[str]) -> ConfigError:
    choices = " or ".join(f"{name}:{model}" for name in sorted(owners))
    return ConfigError(f"several backends have {model!r}", hint=f"Write {choices}.")


def _existing(text: str) -> str:
    try:
        path = Path(text).expanduser().absolute()
        if path.exists():
            return str(path)
    except (OSError, RuntimeError, ValueError):  # no path of this system, or no home folder
        path = Path(text)
    raise ConfigError(f"path: there is nothing at {str(path)!r}", hint="Check the path.")
