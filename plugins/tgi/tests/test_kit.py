"""TGI is held to the rules of the kit, with what its real router said, and TEI by its sources.

Of the recordings these are the smallest that show something: an answer streamed and not, cut short,
ended by a stop text, with comments, with a letter in pieces, and calls, one without an end and one
that was cut before its name; what fails within a stream, and what is refused at once.
"""

from __future__ import annotations

import json

import attrs
import tgi_reader as reader
from scripted_tgi import ScriptedTgi

from multitap.testing import Recording
from multitap.testing.kit import (
    Ask,
    CatalogSuite,
    ChatSuite,
    EmbeddingSuite,
    ProviderSuite,
    RerankSuite,
    TokenizeSuite,
    Vector,
)

OVER = {"error": "ContextOverflow", "retryable": False}
REFUSALS = {
    # within a stream, the number is always 422 and says nothing
    "error_context_overflow_stream": OVER,
    "overload_chat_stream": {"error": "Overloaded", "kind": "queue_full", "status": None},
    "dead_chat_stream": {"error": "EngineError", "kind": "shard_down", "retryable": True},
    "fail_chat_stream": {"error": "EngineError", "kind": "generation_failed"},
    "error_bad_temperature_stream": {"error": "BadRequest", "kind": "option_invalid"},
    "killed_router_chat_stream": {"error": "TruncatedStream"},
    # at once
    "error_context_overflow": {**OVER, "limit": 1024},
    "error_input_too_long_only": {**OVER, "limit": 700},
    "no_key": {"error": "AuthenticationError", "status": 401},
    "overload_chat": {"error": "Overloaded", "kind": "queue_full", "status": 429},
    "dead_chat": {"error": "EngineError", "kind": "shard_down", "status": 424},
    "fail_tool": {"error": "EngineError", "kind": "generation_failed"},
    "no_template": {"error": "NotSupported", "kind": "template_missing"},
    "error_tools_and_response_format": {"error": "NotSupported", "kind": "tools_with_schema"},
    "format_bad_regex": {"error": "BadRequest", "kind": "regex_invalid"},
    "big_payload": {"error": "BadRequest", "kind": "request_too_large"},
}
ASKED = ("max_tokens", "seed", "stop", "temperature", "tools", "tool_choice")


def chat_vector(name):
    recorded = reader.recorded(name)
    asked = {} if name == "big_payload" else json.loads(recorded.request)
    ask = Ask("stream" if asked.get("stream") else "chat")
    if name not in REFUSALS:
        options = {key: asked[key] for key in ASKED if key in asked}
        ask = Ask(ask.verb, (asked["messages"][-1]["content"],), options)
    return vector(name, ask, REFUSALS.get(name) or reader.says(recorded))


def vector(name, ask, expect, *beside):
    recording, *others = [
        Recording.load(reader.RECORDINGS / f"{each}.json") for each in (name, *beside)
    ]
    return Vector(name=name, ask=ask, recording=recording, expect=expect, beside=others)


def tokenize_vector(name):
    recorded = reader.recorded(name)
    ask = Ask("tokenize", (json.loads(recorded.request)["inputs"],))
    return vector(name, ask, {"ids": reader.ids(recorded)})


def with_a_beginning(split):
    """The same text of a model whose tokenizer puts a token before each, which has no place."""
    body = reader.recorded(split.name).body
    begun = b'[{"id":1,"text":"<s>","start":0,"stop":0},' + body.removeprefix(b"[")
    return attrs.evolve(split.answered_with(begun), name=f"{split.name}_begun")


NAME = "acme/tiny-llama"
MODEL = {
    "id": NAME,
    "capabilities": ["chat", "streamed_tools", "structured_output", "tokenize", "tools"],
    "context_length": 1024,
    "loaded": True,
    "meta": {"max_input_tokens": "700"},
    "sources": {"capabilities": "declared", "context_length": "probed"},
}
NO_KEY = {"error": "AuthenticationError", "status": 401}
UNHEALTHY = {"error": "ProviderDown", "kind": "unhealthy", "status": 503}
SERVER = {"server": "Text Generation Inference 3.3.6-dev0", "models": 1}
OTHERS = (
    *map(tokenize_vector, ("tokenize", "tokenize_special")),
    with_a_beginning(tokenize_vector("tokenize")),
    vector("tokenize_no_key", Ask("tokenize", ("hi",)), NO_KEY),
    vector("info", Ask("models", ()), {"ids": [NAME], "models": {NAME: MODEL}}),
    # something before TGI lets only /v1 through
    vector("models", Ask("models", ()), {"ids": [NAME]}),
    vector("info", Ask("validate", ()), SERVER, "health", "tokenize"),
    vector("tokenize_no_key", Ask("validate", ()), NO_KEY, "health_no_key", "info_no_key"),
    vector("dead_health", Ask("validate", ()), UNHEALTHY, "dead_info"),
)


# ---- Text Embeddings Inference, as the sources of its router have it -----------------------------


def by_tei(name, ask, path, said, expect, status=200):
    """An exchange; the tokens of a good answer are in its head."""
    head = {"x_compute_type": "cpu", "x_compute_tokens": "17"} if status == 200 else {}
    body = json.dumps(said).encode()
    return Vector.by_hand(name, ask, f"POST {path}", body, expect, status=status, **head)


def refused(name, ask, path, text, kind, expect, status=422):
    return by_tei(name, ask, path, {"error": text, "error_type": kind}, expect, status)


COUNTED = {"usage": {"input_tokens": 17, "total_tokens": 17}, "model": "tgi"}
ROWS = [[0.6, 0.8, 0.0], [-0.8, 0.0, 0.6]]
EMBED = Ask("embed", (["the little cat", "a red ball"],))
RANK = Ask("rerank", ("a cat", ["a red ball", "the little cat", "a cat"]))
RANKED = [{"index": i, "score": s} for i, s in ((2, 0.98), (1, 0.75), (0, 0.0625))]
SCORES = [[0, 0.0625], [1, 0.75], [2, 0.98]]
LONG = "Input validation error: `inputs` must have less than 512 tokens. Given: 600"
TOO_LONG = {**OVER, "limit": 512, "needed": 600}
OVERLOADED = {"error": "Overloaded", "kind": "queue_full", "status": 429}
NOT_THIS = {"error": "NotSupported", "status": 424}
TEI = (
    by_tei("embed", EMBED, "/embed", ROWS, {"count": 2, "width": 3, "vectors": ROWS, **COUNTED}),
    refused("embed_too_long", EMBED, "/embed", LONG, "Validation", TOO_LONG),
    refused("embed_busy", EMBED, "/embed", "Model is overloaded", "Overloaded", OVERLOADED, 429),
    refused(
        *("embed_by_ranker", EMBED, "/embed"),
        *("Backend error: Model is not an embedding model", "Backend", NOT_THIS, 424),
    ),
    by_tei("rank", RANK, "/rerank", RANKED, {"scores": SCORES, **COUNTED}),
    refused("rank_too_long", RANK, "/rerank", LONG, "Validation", TOO_LONG),
    refused(
        *("rank_by_embedder", RANK, "/rerank"),
        *("Backend error: model is not a re-ranker model", "Backend", NOT_THIS, 424),
    ),
)


class TestTgi(ChatSuite, EmbeddingSuite, RerankSuite, TokenizeSuite, CatalogSuite, ProviderSuite):
    provider = "tgi"
    model = "tgi"
    vectors = (*map(chat_vector, (*reader.CHATS, *REFUSALS)), *OTHERS, *TEI)

    @classmethod
    def server(cls):
        return ScriptedTgi()
