"""The plugin that is tested: who it is, how it is configured, and what it makes of a request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import attrs

from multitap.capabilities.chat import ChatRequest
from multitap.config import Config, load_config
from multitap.errors import ConfigError
from multitap.manifest import ProviderInfo
from multitap.plan import chat_request
from multitap.registry import Registry, Row
from multitap.runtime import Runtime
from multitap.testing.kit.watch import only_loopback
from multitap.work import Backend, LocalExchange, Work

__all__ = ("Subject",)

NOWHERE = "http://127.0.0.1:9"
"""An endpoint for what never asks it anything."""

PATIENCE = 20_000
"""Milliseconds for a whole call: what hangs is found, and nothing else takes so long."""


@attrs.frozen(kw_only=True, slots=False)
class Subject:
    """One provider, as its distribution declares it.

    Attributes:
        provider: Its name.
        model: The model that is asked.
        registry: Where it is found.
        config: What ``llm.toml`` says, beside the endpoint.
        strays: Connections that it tried to make elsewhere, when it was loaded.
    """

    provider: str
    model: str = "model"
    registry: Registry = attrs.field(repr=False)
    config: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    strays: list[str] = attrs.field(factory=list, init=False, repr=False)

    @cached_property
    def info(self) -> ProviderInfo:
        """What its ``provider.toml`` says."""
        known = self.registry.providers()
        found = [each for each in known if each.name == self.provider]
        if not found:
            names = ", ".join(sorted({each.name for each in known})) or "none"
            raise ConfigError(
                f"No installed plugin declares the provider {self.provider!r}; there are {names}",
                hint="Install the plugin under test: `pip install -e .` in its folder.",
            )
        return found[0]

    @property
    def rows(self) -> list[Row]:
        """Its lines in the table of who offers what, but for those that are denied."""
        known = [row for row in self.registry.capabilities() if row.provider == self.provider]
        return [row for row in known if row.state != "denied"]

    @cached_property
    def capabilities(self) -> frozenset[str]:
        """What it declares."""
        return frozenset(row.capability for row in self.rows)

    def config_at(self, endpoint: str = "", **section: Any) -> dict[str, Any]:
        """``llm.toml`` with this endpoint, and a model of it as the default."""
        keys: dict[str, Any] = {"timeout_ms": PATIENCE}
        if self.info.key.required:
            keys["api_key"] = "the-key-of-the-kit"
        if endpoint:
            keys["endpoint"] = endpoint
        own = {**keys, **self.config.get(self.provider, {}), **section}
        named = {"provider": self.provider, "model": f"{self.provider}:{self.model}"}
        defaults = {**named, **self.config.get("defaults", {})}
        return {**self.config, "defaults": defaults, self.provider: own}

    def live_config(self) -> Config:
        """The user's own ``llm.toml``, with this provider's model as the default.

        Raises:
            ConfigError: It names no model of the provider.
        """
        config = load_config(None)
        section = config.sections.get(self.provider)
        if (config.defaults.model or "").startswith(f"{self.provider}:"):
            return config
        if section is None or not section.model:
            raise ConfigError(
                f"llm.toml names no model of {self.provider} to ask",
                hint=f'Write [{self.provider}] with model = "…" and, where needed, endpoint.',
            )
        model = f"{self.provider}:{section.model}"
        return attrs.evolve(config, defaults=attrs.evolve(config.defaults, model=model))

    @cached_property
    def backend(self) -> Backend:
        """The backend that a hook is given; nobody listens at its endpoint."""
        with Runtime(self.config_at(NOWHERE), registry=self.registry) as rt:
            return next(each for each in rt.backends() if each.id == self.provider)

    def built(self, capability: str, backend: Backend | None = None) -> Any:
        """What its hook returns."""
        with only_loopback(self.strays):
            return self.registry.build(capability, backend or self.backend)

    def chat(self, *args: Any, **options: Any) -> Work[Any]:
        """The work of a chat."""
        request: ChatRequest = chat_request(self.model, *args, **options)
        work: Work[Any] = self.built("chat").chat(request)
        return work

    @cached_property
    def failure(self) -> Exception | None:
        """What keeps its hooks from being used: there is none, or one raises."""
        try:
            for capability in sorted(self.capabilities) or ["chat"]:
                self.built(capability)
        except Exception as error:
            return error
        return None

    @cached_property
    def in_process(self) -> bool:
        """Does it work here, so that no byte of it goes over a wire?"""
        if not self.capabilities or self.info.endpoint:
            return False
        try:
            return "chat" not in self.capabilities or isinstance(self.chat("hi"), LocalExchange)
        except Exception:
            return False  # each rule will tell of it
