"""The plugin keeps every rule of the kit, with what a real vLLM said."""

from __future__ import annotations

from pathlib import Path

from multitap.testing.kit import (
    CatalogSuite,
    ChatSuite,
    EmbeddingSuite,
    ProviderSuite,
    RerankSuite,
    TokenizeSuite,
)


class TestVllm(
    ChatSuite, EmbeddingSuite, RerankSuite, TokenizeSuite, CatalogSuite, ProviderSuite
):
    provider = "vllm"
    vectors = Path(__file__).parent / "recordings"
