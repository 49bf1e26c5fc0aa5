"""The bench's backend is read by the official client: every token, every vector, short chats."""

from __future__ import annotations

import sys

import pytest
from bench import place


@pytest.mark.parametrize(
    ("scenario", "client", "sizes"),
    [
        ("burst", "openai", {"most": 40}),
        ("burst", "openai, asyncio", {"most": 40}),
        ("embeddings", "openai", {"count": 8}),
        ("short_chats", "openai, asyncio", {}),
    ],
)
def test_the_official_client_reads_what_is_sent(monkeypatch, scenario, client, sizes):
    monkeypatch.setattr(place, "python_of", lambda environment: sys.executable)
    with place.place() as here:
        assert here.measured(scenario, client, **sizes)["cpu"] > 0
