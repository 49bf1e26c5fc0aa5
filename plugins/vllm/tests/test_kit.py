"""vLLM is held to the rules of the kit, with what a real one said."""

from __future__ import annotations

import json
from typing import ClassVar

import vllm_reader
from scripted_vllm import ScriptedVllm

from multitap.testing import Recording
from multitap.testing.kit import (
    Ask,
    CatalogSuite,
    ChatSuite,
    EmbeddingSuite,
    LauncherSuite,
    LifecycleSuite,
    ProviderSuite,
    RerankSuite,
    TokenizeSuite,
    TranscriptionSuite,
    Vector,
    load_vectors,
)
from multitap.testing.kit.transcription import silence

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


# ---- what was not recorded -----------------------------------------------------------------------


def heard(name, ask, said, expect, status=200):
    """An exchange in the words of vLLM's own stream, or of its whole transcripts."""
    streamed = isinstance(said, list)
    events = [f"data: {json.dumps(event)}\n\n" for event in said] if streamed else ()
    text = "".join([*events, "data: [DONE]\n\n"]) if streamed else json.dumps(said)
    kind = "text/event-stream" if streamed else "application/json"
    path, facts = "POST /v1/audio/transcriptions", {"status": status, "content_type": kind}
    return Vector.by_hand(name, ask, path, text.encode(), expect, **facts)


def piece(*choices, **facts):
    return {"object": "transcription.chunk", "choices": choices, **facts}


SOUND = silence()
SEGMENT = {"id": 0, "start": 0.0, "end": 1.5, "text": " Guten Tag"}
TRANSCRIPTS = (
    heard(
        *("heard", Ask("transcribe", (SOUND,))),
        {"text": "Guten Tag", "usage": {"type": "duration", "seconds": 2}},
        {"text": "Guten Tag", "duration": 2.0},
    ),
    heard(
        *("heard_times", Ask("transcribe", (SOUND,), {"timestamps": "segment"})),
        {"text": "Guten Tag", "duration": "1.5", "language": "de", "segments": [SEGMENT]},
        {"text": "Guten Tag", "language": "de", "segments": [[0.0, 1.5, "Guten Tag"]]},
    ),
    heard(
        *("heard_pieces", Ask("transcribe_stream", (SOUND,))),
        [
            piece({"delta": {"content": "Guten"}}),
            piece({"delta": {"content": " Tag"}}),
            piece({"delta": {"content": ""}, "finish_reason": "stop"}),
            piece(usage={"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}),
        ],
        {
            "text": "Guten Tag",
            "usage": {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11},
        },
    ),
    heard(
        *("heard_by_nobody", Ask("transcribe", (SOUND,))),
        {"error": {"message": "The model `x` does not exist.", "type": "NotFoundError"}},
        *({"error": "ModelNotFound", "status": 404}, 404),
    ),
)


# `/version` is open to all, and may be missing: the list of models is what proves the server
PROVED = Vector(
    name="validate",
    ask=Ask("validate", ()),
    recording=Recording.load(vllm_reader.RECORDINGS / "models.json"),
    expect={"server": "vLLM 0.32.0", "models": 1},
    beside=[Recording.load(vllm_reader.RECORDINGS / "version.json")],
)


# ---- sleep and adapters, as vLLM's sources have them ---------------------------------------------

LISTED = Recording.load(vllm_reader.RECORDINGS / "models.json")


def asleep(state):
    """What is said when it is asked whether it sleeps."""
    said = json.dumps({"is_sleeping": state}).encode()
    ask, path = Ask("running", ()), "GET /is_sleeping"
    return Vector.by_hand("asleep", ask, path, said, {}).recording


def ordered(name, ask, path, *beside, said=b"", status=200, **expect):
    return Vector.by_hand(name, ask, f"POST {path}", said, expect, status=status, beside=beside)


MISSING = json.dumps({"detail": "Not Found"}).encode()
ORDERS = (
    ordered(
        *("sleep", Ask("unload", ("tiny",)), "/sleep"), LISTED, asleep(False), statuses=["unloaded"]
    ),
    ordered(
        *("wake", Ask("load", ("tiny",)), "/wake_up"), LISTED, asleep(True), statuses=["loaded"]
    ),
    ordered(
        *("adapter", Ask("load", ("style=/adapters/style",)), "/v1/load_lora_adapter"),
        LISTED,
        statuses=["loaded"],
    ),
    ordered(
        *("no_adapter", Ask("load", ("style=/adapters/style",)), "/v1/load_lora_adapter"),
        LISTED,
        said=MISSING,
        status=404,
        error="NotSupported",
    ),
)


class TestVllm(
    ChatSuite,
    EmbeddingSuite,
    RerankSuite,
    TokenizeSuite,
    TranscriptionSuite,
    CatalogSuite,
    LifecycleSuite,
    ProviderSuite,
    LauncherSuite,
):
    provider = "vllm"
    model = "tiny"
    examples: ClassVar = {"lora": {"style": 1}}  # one adapter, in full
    vectors = (
        *map(chat_vector, (*vllm_reader.CHATS, *REFUSALS)),
        *(*TRANSCRIPTS, *ORDERS, PROVED),
        *load_vectors(vllm_reader.RECORDINGS),  # those that say themselves what they are
    )

    @classmethod
    def server(cls):
        return ScriptedVllm()
