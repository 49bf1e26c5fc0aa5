"""llama.cpp in this process is held to the rules of the kit, with small models of our own."""

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

MODELS = Path(__file__).with_name("models")


class TestLlamacpp(
    ChatSuite, EmbeddingSuite, RerankSuite, TokenizeSuite, CatalogSuite, LifecycleSuite
):
    provider = "llamacpp"
    model = "tiny-llama"
    config = {
        "llamacpp": {"models_dir": str(MODELS), "context": 512, "parallel": 2, "threads": 1},
    }
    chat_questions = (
        Ask("stream", ("Once upon a time",), {"max_tokens": 16}),
        Ask("stream", ("Once upon a time",), {"max_tokens": 8, "stop": ["\n"], "logprobs": 2}),
    )
    embedding_questions = (
        Ask("embed", ("one text",), {"model": "llamacpp:tiny-embed"}),
        Ask("embed", (["a small boat", "the cat", "seven"],), {"model": "llamacpp:tiny-embed"}),
    )
    rerank_questions = (
        Ask("rerank", ("hello world", ["a", "b c", "hello"]), {"model": "llamacpp:tiny-rerank"}),
    )
    tokenize_questions = (
        *(Ask("tokenize", (text,)) for text in ("Hello, wörld 😀", "<|im_end|>", " \n\t", "a")),
        Ask("detokenize", ([5, 6, 7],)),
    )
    lifecycle_questions = (
        Ask("load", ("tiny-llama",)),
        Ask("unload", ("tiny-llama",)),
    )
