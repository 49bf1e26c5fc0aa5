"""Mocks for applications: a provider and clients whose answers, streams and faults are scripted."""

from __future__ import annotations

from multitap.testing.mocks.clients import (
    MockChatClient,
    MockEmbedClient,
    MockPromptClient,
    MockStreamClient,
)
from multitap.testing.mocks.provider import MockProvider
from multitap.testing.mocks.script import Line, Pause

__all__ = (
    "Line",
    "MockChatClient",
    "MockEmbedClient",
    "MockPromptClient",
    "MockProvider",
    "MockStreamClient",
    "Pause",
)
