"""What the kit asks of OpenAI, with what is to come of it.

Chats, embeddings and models are recordings, read by ``openai_reader``. By hand are the refusals
that only OpenAI has, and its own responses.
"""

from __future__ import annotations

import json

import openai_reader
from openai_media_vectors import DRAWN, HEARD, JUDGED, SPOKEN
from openai_vectors import ARGUMENTS, BODY, STREAM, by_hand, no, sse

from multitap.testing import Recording
from multitap.testing.kit import Ask, Vector

OPTIONS = ("max_tokens", "n", "seed", "temperature", "top_p")
CHATS = (
    *("chat", "chat_stream", "chat_length", "chat_stream_length", "chat_stop", "chat_n2"),
    *("chat_stream_n2", "v1_tools", "v1_tools_stream", "v1_native_reasoning_high"),
    *("v1_native_tools_reasoning_stream", "v1_split_utf8_stream"),
)
RESPONSES = (
    *("v1_responses_tools", "v1_responses_tools_stream"),
    *("llama.cpp-b11549/responses", "llama.cpp-b11549/responses_stream"),
)
REFUSALS = {
    "cloud_disabled_v1": "AuthenticationError",
    "crash_chat_v1": "ProviderDown",
    "error_bad_schema": "BadRequest",
    "error_unknown_model": "ModelNotFound",
    "error_unknown_model_stream": "ModelNotFound",
    "queue_full_v1": "Overloaded",
    "v1_native_over_default": "ContextOverflow",
    "v1_tools_unsupported": "NotSupported",
}


# ---- recordings ----------------------------------------------------------------------------------


def recording(name):
    return Recording.load(openai_reader.RECORDINGS / f"{name}.json")


def chat(name):
    """An answer of ``/v1/chat/completions``, or its refusal."""
    recorded = openai_reader.recorded(name)
    asked = json.loads(recorded.request)
    if name in REFUSALS:
        expect, options = {"error": REFUSALS[name], "status": recorded.status}, {}
    else:
        expect = said_in_chat(recorded)
        options = {option: asked[option] for option in OPTIONS if option in asked}
        options |= thought(asked.get("reasoning_effort"))
    ask = Ask(verb_of(asked), (asked["messages"][-1]["content"],), options)
    return Vector(name=name, ask=ask, recording=recording(name), expect=expect)


def verb_of(asked):
    return "stream" if asked.get("stream") else "chat"


def thought(effort):
    """What ``think`` is, where a request says how much."""
    return {} if effort is None else {"think": "off" if effort == "none" else effort}


def said_in_chat(recorded):
    choices, usage = openai_reader.expected(recorded)
    first = choices[0]
    return {
        "text": first.text,
        "reasoning": first.reasoning,
        "calls": [[name, json.loads(text)] for _, name, text in first.calls],
        "stop_reason": openai_reader.reason(first),
        "choices": [choices[index].text for index in sorted(choices)],
        **counted(openai_reader.counts(usage)),
    }


def counted(counts):
    return (
        {"usage": counts, "usage_source": "reported"} if counts else {"usage_source": "estimated"}
    )


def response(name):
    """An answer of ``/v1/responses``."""
    recorded = openai_reader.recorded(name)
    asked = json.loads(recorded.request)
    found = openai_reader.expected_response(recorded)
    expect = {
        "text": found.text,
        "reasoning": found.reasoning,
        "calls": [[name, json.loads(text)] for _, name, text in found.calls],
        "stop_reason": "tool_use" if found.calls else "complete",
        **counted(openai_reader.counts(found.usage)),
    }
    options = thought(asked.get("reasoning", {}).get("effort"))
    ask = Ask(verb_of(asked), (asked["input"],), options)
    return Vector(name=name, ask=ask, recording=recording(name), expect=expect)


def embedding(name):
    recorded = openai_reader.recorded(name)
    asked = json.loads(recorded.request)
    (said,) = openai_reader.objects(recorded)
    options = {"dimensions": asked["dimensions"]} if "dimensions" in asked else {}
    expect = {
        "vectors": [openai_reader.numbers(row["embedding"]) for row in said["data"]],
        "count": len(said["data"]),
        "model": said["model"],
        "usage": {
            "input_tokens": said["usage"]["prompt_tokens"],
            "total_tokens": said["usage"]["total_tokens"],
        },
    }
    ask = Ask("embed", (asked["input"],), options)
    return Vector(name=name, ask=ask, recording=recording(name), expect=expect)


def refused(name, ask, error):
    """A refusal of something other than a chat."""
    recorded = recording(name)
    expect = {"error": error, "status": recorded.status}
    return Vector(name=name, ask=ask, recording=recorded, expect=expect)


def listing(name):
    rows = openai_reader.objects(openai_reader.recorded(name))[0]["data"] or []
    expect = {"ids": [row["id"] for row in rows]}
    return Vector(name=name, ask=Ask("models", ()), recording=recording(name), expect=expect)


# ---- by hand -------------------------------------------------------------------------------------


LENGTHS = (
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000"
    " tokens. Please reduce the length of the messages."
)
OF_OPENAI = (
    no(401, "AuthenticationError", "Incorrect API key provided: sk-1", "invalid_api_key"),
    no(429, "QuotaExceeded", "You exceeded your quota", "insufficient_quota", "insufficient_quota"),
    no(
        *(429, "RateLimited", "Rate limit reached", "rate_limit_exceeded", "requests"),
        x_ratelimit_remaining_requests="0",
        x_ratelimit_reset_requests="1m30s",
        x_request_id="req_1",
        expect={"retry_after": 90.0, "request_id": "req_1"},
    ),
    no(400, "ContentFiltered", "Your request was rejected", "content_policy_violation"),
    no(
        *(400, "ContextOverflow", LENGTHS, "context_length_exceeded"),
        expect={"limit": 8192, "needed": 9000},
    ),
)
RESPONDED = {
    "text": "",
    "reasoning": "One\n\nTwo",
    "calls": [["weather", json.loads(ARGUMENTS)]],
    "stop_reason": "tool_use",
    "usage": {
        "input_tokens": 30,
        "output_tokens": 20,
        "total_tokens": 50,
        "cached_tokens": 4,
        "reasoning_tokens": 8,
    },
}
REASONED = (
    by_hand("reasoned", Ask("chat"), "responses", BODY, RESPONDED),
    by_hand(
        *("reasoned_stream", Ask("stream"), "responses", sse(STREAM), RESPONDED),
        kind="text/event-stream",
    ),
)
LISTED = {
    "object": "list",
    "data": [{"id": "gpt-5", "object": "model", "created": 1754425777, "owned_by": "system"}],
}
ACCOUNT = {"models": 1, "account": "org-1", "server": "OpenAI"}
PROVED = (
    by_hand("key", Ask("validate"), "models", LISTED, ACCOUNT, openai_organization="org-1"),
    no(401, "AuthenticationError", code="invalid_api_key", ask=Ask("validate"), path="models"),
    no(401, "AuthenticationError", code="invalid_api_key", ask=Ask("models"), path="models"),
)

OTHERS = (
    *map(embedding, ("embeddings_base64", "embeddings_dimensions")),
    refused("embeddings_unknown_model", Ask("embed"), "ModelNotFound"),
    refused("error_embeddings_unsupported", Ask("embed"), "NotSupported"),
    *map(listing, ("models", "v1_models_empty")),
    *(*PROVED, *HEARD, *SPOKEN, *JUDGED, *DRAWN),
)
