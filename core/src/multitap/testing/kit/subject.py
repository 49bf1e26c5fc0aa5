"""The plugin that is tested: who it is, how it is configured, and what it makes of a request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import attrs

from multitap.capabilities.chat import ChatRequest
from multitap.manifest import ProviderInfo
from multitap.plan import chat_request
from multitap.registry import Registry
from multitap.runtime import Runtime
from multitap.work import Backend, LocalExchange, Work

__all__ = ("Subject",)

NOWHERE = "http://127.0.0.1:9"
"""An endpoint for what never asks it anything."""


@attrs.frozen(kw_only=True, slots=False)
class Subject:
    """One provider, as its distribution declares it.

    Attributes:
        provider: Its name.
        registry: Where it is found.
        config: What ``llm.toml`` says, beside the endpoint.
    """

    provider: str
    registry: Registry = attrs.field(repr=False)
    config: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    @cached_property
    def info(self) -> ProviderInfo:
        """What its ``provider.toml`` says."""
        return next(each for each in self.registry.providers() if each.name == self.provider)

    @property
    def capabilities(self) -> frozenset[str]:
        """What it declares."""
        rows = self.registry.capabilities()
        return frozenset(row.capability for row in rows if row.provider == self.provider)

    def config_at(self, endpoint: str = "") -> dict[str, Any]:
        """``llm.toml`` with this endpoint, and a model of it as the default."""
        section = {
            **self.config.get(self.provider, {}),
            **({"endpoint": endpoint} if endpoint else {}),
        }
        defaults = {
            "provider": self.provider,
            "model": f"{self.provider}:model",
            **self.config.get("defaults", {}),
        }
        return {**self.config, "defaults": defaults, self.provider: section}

    @cached_property
    def backend(self) -> Backend:
        """The backend that a hook is given; nobody listens at its endpoint."""
        with Runtime(self.config_at(NOWHERE), registry=self.registry) as rt:
            return next(each for each in rt.backends() if each.id == self.provider)

    def built(self, capability: str) -> Any:
        """What its hook returns."""
        return self.registry.build(capability, self.backend)

    def chat(self, *args: Any, **options: Any) -> Work[Any]:
        """The work of a chat."""
        request: ChatRequest = chat_request("model", *args, **options)
        return self.built("chat").chat(request)

    @cached_property
    def in_process(self) -> bool:
        """Does it work here, so that no byte of it goes over a wire?"""
        if self.info.endpoint or "chat" not in self.capabilities:
            return not self.info.endpoint
        return isinstance(self.chat("hi"), LocalExchange)
