"""Multitap with its plugin for Ollama; see ``multitap.py``."""

from __future__ import annotations

from typing import Any, ClassVar

from bench.clients import multitap

DISTRIBUTION = "multitap-ollama"


class Ollama:
    provider: ClassVar[str] = "ollama"
    more: ClassVar[dict[str, Any]] = {}


class Sync(Ollama, multitap.Sync):
    pass


class Async(Ollama, multitap.Async):
    pass
