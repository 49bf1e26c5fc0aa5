"""Ollama is held to the rules of the kit, with what a real one said.

Of the recordings these are the smallest that show something: an answer streamed and not, cut short,
ended by a stop text, with thoughts, with log probabilities, with a letter in pieces, with one call
and with two; what fails within a stream, and what is refused at once; each verb about models.
"""

from __future__ import annotations

import json

import ollama_reader as reader
from scripted_ollama import ScriptedOllama

from multitap.testing import Recording
from multitap.testing.kit import (
    Ask,
    CatalogSuite,
    ChatSuite,
    EmbeddingSuite,
    LifecycleSuite,
    ProviderSuite,
    Vector,
)

# ---- chat ----------------------------------------------------------------------------------------

OVER = {"error": "ContextOverflow", "retryable": False}
REFUSALS = {
    # within a stream, or in the place of an answer
    "crash_chat_stream": {"error": "EngineError", "kind": "runner_crashed", "retryable": True},
    "killed_chat_stream": {"error": "TruncatedStream"},
    "repeat_guard_chat": {"error": "TruncatedStream"},
    # at once
    "api_chat_over_error": OVER,
    "api_native_over_error_stream": OVER,
    "api_chat_unknown_model": {"error": "ModelNotFound", "status": 404},
    "api_chat_tools_unsupported": {"error": "NotSupported"},
    "api_chat_image": {"error": "NotSupported"},
    "api_chat_bad_option_type": {"error": "BadRequest", "status": 500},
    "api_chat_wrong_type_content": {"error": "BadRequest"},
    "cloud_disabled": {"error": "NotSupported", "kind": "cloud_disabled"},
    "queue_full": {"error": "Overloaded", "kind": "queue_full"},
}
OPTIONS = {"num_predict": "max_tokens"}
"""The names that differ."""


def chat_vector(name):
    recorded = reader.recorded(name)
    asked = json.loads(recorded.request)
    ask = Ask("stream" if asked.get("stream", True) else "chat")
    if name not in REFUSALS:
        ask = Ask(ask.verb, (asked["messages"][-1]["content"],), options_of(asked))
    return vector(name, ask, REFUSALS.get(name))


def options_of(asked):
    options = {OPTIONS.get(key, key): value for key, value in asked.get("options", {}).items()}
    options |= {key: asked[key] for key in ("think", "tools") if key in asked}
    return {**options, **({"logprobs": asked["top_logprobs"]} if "top_logprobs" in asked else {})}


def vector(name, ask, expect, *beside):
    names = (name, *beside)
    recording, *others = [Recording.load(reader.RECORDINGS / f"{each}.json") for each in names]
    expect = expect or reader.says(reader.recorded(name))
    return Vector(name=name, ask=ask, recording=recording, expect=expect, beside=others)


# ---- the rest ------------------------------------------------------------------------------------


def said(name, verb, *args, expect=None, beside=(), **options):
    return vector(name, Ask(verb, args, options), expect, *beside)


NAME = "127.0.0.1:5055/lib/tiny:latest"
MODEL = {
    "id": NAME,
    "capabilities": ["chat", "thinking", "tools"],
    "context_length": 2048,
    "size": 21601235,
    "digest": "32034c506ba953b8ec22543082ff90568598c3bad99ed500c99f38623d16db26",
    "modified_at": "2026-11-21T09:30:41.546601+00:00",
    "loaded": False,
    "meta": {"format": "gguf", "family": "llama", "quantization_level": "F16"},
    "sources": {"capabilities": "probed", "context_length": "probed"},
}
LISTED = {"ids": [NAME], "models": {NAME: MODEL}}
MISSING = {"error": "ModelNotFound"}
DONE = {"statuses": ["success"], "steps": []}
EMBEDDING = (
    said("api_embed", "embed", "a brown fox"),
    said("api_embed_dimensions", "embed", "a brown fox", dimensions=8),
    said("api_embed_batch", "embed", ["a brown fox", "the red house", "a brown fox"]),
    said("api_embed_over_error", "embed", "hi", expect=OVER),
    said("api_embed_unknown_model", "embed", "hi", expect=MISSING),
    said("api_embed_chat_model", "embed", "hi", expect={"error": "NotSupported"}),
)
MODELS = (
    said("pull_tags", "models", expect=LISTED, beside=["ps_none", "pull_show"]),
    said("tags_empty", "models", expect={"ids": []}),
    said("show_unknown", "describe", "nothing", expect={**MISSING, "status": 404}),
    said("ps_num_ctx_small", "running"),
    said("ps_empty", "running"),
    said(
        "version",
        "validate",
        expect={"server": "Ollama 0.33.0-rc2", "models": 1},
        beside=["pull_tags"],
    ),
    said("bad_host", "validate", expect={"error": "AuthenticationError", "kind": "host_refused"}),
)
ORDERS = (
    said("pull_again", "pull_stream", "tiny"),
    said("pull_no_stream", "pull", "tiny"),
    said("pull_missing", "pull", "tiny", expect=MISSING),
    said("api_chat_load", "load", "tiny", expect={"statuses": ["loaded"]}),
    said("api_chat_load_unknown", "load", "tiny", expect=MISSING),
    said(
        *("api_chat_embedder", "load", "tiny"),
        expect={"statuses": ["loaded"]},
        beside=["api_embed_empty_list"],
    ),
    said("api_chat_unload_not_loaded", "unload", "tiny", expect={"statuses": ["unloaded"]}),
    said("create_from_native", "create", "other", source="tiny"),
    said("create_error_not_gguf", "create", "other", source="tiny", expect={"error": "BadRequest"}),
    said("copy", "copy", "tiny", "other", expect=DONE),
    said("copy_unknown", "copy", "tiny", "other", expect=MISSING),
    said("delete", "delete", "tiny", expect=DONE),
    said("delete_again", "delete", "tiny", expect=MISSING),
)


class TestOllama(ChatSuite, EmbeddingSuite, CatalogSuite, LifecycleSuite, ProviderSuite):
    provider = "ollama"
    model = "tiny"
    vectors = (*map(chat_vector, (*reader.CHATS, *REFUSALS)), *EMBEDDING, *MODELS, *ORDERS)

    @classmethod
    def server(cls):
        return ScriptedOllama()
