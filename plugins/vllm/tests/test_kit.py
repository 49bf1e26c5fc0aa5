"""vLLM is held to the rules of the kit, with what a real one said."""

from __future__ import annotations

import json

import vllm_reader
from scripted_vllm import ScriptedVllm

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
    load_vectors,
)

CHATS = (
    *("chat", "chat_stream", "chat_length", "chat_stream_length", "chat_stop", "chat_seed"),
    *("chat_stream_usage", "chat_stream_split_utf8", "chat_n2", "reasoning_stream"),
    *("tool_required", "tool_required_stream"),
)
REFUSALS = {
    "error_context_overflow": "ContextOverflow",
    "error_context_overflow_stream": "ContextOverflow",
    "error_bad_schema": "BadRequest",
    "error_bad_temperature": "BadRequest",
    "error_image_to_text_model": "NotSupported",
    "error_unknown_model": "ModelNotFound",
    "error_unknown_model_stream": "ModelNotFound",
}


def says(recorded):
    """What a plain reader reads in an answer."""
    choices, usage = vllm_reader.expected(recorded)
    first = choices[0]
    calls = [[name, json.loads(text)] for _, name, text in first["calls"]]
    return {
        "text": first["text"],
        "reasoning": first["reasoning"],
        "calls": calls,
        "stop_reason": vllm_reader.reason(first),
        "choices": [choices[index]["text"] for index in range(len(choices))],
        "usage_source": "reported" if usage else "estimated",
    }


def chat_vector(name):
    recorded = vllm_reader.recorded(name)
    asked = json.loads(recorded.request)
    options = {
        key: asked[key] for key in ("max_tokens", "n", "seed", "temperature") if key in asked
    }
    verb = "stream" if asked.get("stream") else "chat"
    prompt = asked["messages"][-1]["content"]
    expect = {"error": REFUSALS[name]} if name in REFUSALS else says(recorded)
    options = {} if name in REFUSALS else options
    return Vector(
        name=name,
        ask=Ask(verb, (prompt if isinstance(prompt, str) else "hi",), options),
        recording=Recording.load(vllm_reader.RECORDINGS / f"{name}.json"),
        expect=expect,
    )


class TestVllm(ChatSuite, EmbeddingSuite, RerankSuite, TokenizeSuite, CatalogSuite, ProviderSuite):
    provider = "vllm"
    model = "tiny"
    vectors = (
        *map(chat_vector, (*CHATS, *REFUSALS)),
        *load_vectors(vllm_reader.RECORDINGS),  # those that say themselves what they are
    )

    @classmethod
    def server(cls):
        return ScriptedVllm()
