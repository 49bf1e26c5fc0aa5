"""The plugin keeps every rule of the kit, as far as there are no bytes on a wire."""

from __future__ import annotations

from pathlib import Path

from multitap.testing.kit import (
    Ask,
    CatalogSuite,
    ChatSuite,
    EmbeddingSuite,
    LifecycleSuite,
    RerankSuite,
    TokenizeSuite,
)

MODELS = Path(__file__).parent / "models"
LLAMA, EMBEDS, RANKS = (f"llamacpp:tiny-{name}" for name in ("llama", "embed", "rerank"))


class TestLlamacpp(
    ChatSuite, EmbeddingSuite, RerankSuite, TokenizeSuite, CatalogSuite, LifecycleSuite
):
    provider = "llamacpp"
    model = "tiny-llama"
    config = {
        "llamacpp": {"models_dir": str(MODELS), "context": 512, "parallel": 2, "threads": 1},
    }
    chat_questions = (Ask("stream", ("Say hello.",), {"max_tokens": 8}),)
    embedding_questions = (
        Ask("embed", ("one text",), {"model": EMBEDS}),
        Ask("embed", (["a black cat", "the dog barks", "rain"],), {"model": EMBEDS}),
    )
    rerank_questions = (Ask("rerank", ("cat", ["a cat", "a dog"]), {"model": RANKS}),)
    lifecycle_questions = (Ask("load", (LLAMA,)), Ask("unload", (LLAMA,)))
