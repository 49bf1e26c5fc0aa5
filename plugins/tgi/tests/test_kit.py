"""TGI is held to the rules of the kit, with what its real router said.

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
    ProviderSuite,
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


class TestTgi(ChatSuite, TokenizeSuite, CatalogSuite, ProviderSuite):
    provider = "tgi"
    model = "tgi"
    vectors = (*map(chat_vector, (*reader.CHATS, *REFUSALS)), *OTHERS)

    @classmethod
    def server(cls):
        return ScriptedTgi()
