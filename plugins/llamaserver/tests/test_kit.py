"""llama-server is held to the rules of the kit, with what real ones said.

Of the recordings these are the smallest that show something: an answer streamed and not, cut short,
with thoughts, with a call, with a letter in pieces, with two choices, and what the server inside
llama-cpp-python does otherwise. Sound and the orders of a router were not recorded: those vectors
say what llama-server's README does.
"""

from __future__ import annotations

import json

import attrs
import llamaserver_reader as reader
import pytest
from llamaserver_reader import OWN, PYTHONS
from scripted_llamaserver import ScriptedLlamaServer

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
)
from multitap.testing.kit.transcription import silence

# ---- chat ----------------------------------------------------------------------------------------

OVER = {"error": "ContextOverflow", "limit": 512, "needed": 2008, "retryable": False}
REFUSALS = {
    f"{OWN}/error_context_overflow": OVER,
    f"{OWN}/error_context_overflow_stream": OVER,
    f"{OWN}/error_bad_schema": {"error": "BadRequest"},
    f"{OWN}/error_image_to_text_model": {"error": "NotSupported", "kind": "media_not_supported"},
    f"{OWN}/embeddings_error_chat_unsupported": {
        "error": "NotSupported",
        "kind": "chat_not_supported",
    },
    f"{OWN}/error_wrong_key": {"error": "AuthenticationError", "status": 401},
    f"{PYTHONS}/error_context_overflow": {"error": "ContextOverflow", "limit": 1024},
    f"{PYTHONS}/error_bad_role": {"error": "BadRequest"},
}
ASKED = ("max_tokens", "n", "seed", "stop", "temperature", "tools", "tool_choice", "top_p")


def chat_vector(name):
    recorded = reader.recorded(name)
    asked = json.loads(recorded.request)
    ask = Ask("stream" if asked.get("stream") else "chat")
    if name not in REFUSALS:
        options = {key: asked[key] for key in ASKED if key in asked}
        options |= {"think": True} if "chat_template_kwargs" in asked else {}
        ask = Ask(ask.verb, (asked["messages"][-1]["content"],), options)
    return vector(name, ask, REFUSALS.get(name) or reader.says(recorded))


def vector(name, ask, expect, *beside):
    recording, *others = [load(each) for each in (name, *beside)]
    return Vector(name=name, ask=ask, recording=recording, expect=expect, beside=others)


def load(name):
    return Recording.load(reader.RECORDINGS / f"{name}.json")


# ---- texts, models, the server itself ------------------------------------------------------------


def own(name, verb, *args, expect=None, beside=(), **options):
    """A vector of what llama-server itself said."""
    expect = expect or reader.says(reader.of_llamaserver(name))
    names = [f"{OWN}/{each}" for each in (name, *beside)]
    return vector(names[0], Ask(verb, args, options), expect, *names[1:])


def refused(path, ask, method="POST"):
    """A wrong key is refused everywhere in the same words."""
    recorded = load(f"{OWN}/error_wrong_key")
    recording = attrs.evolve(recorded, request=f"{method} {path} HTTP/1.1\r\n\r\n".encode())
    expect = {"error": "AuthenticationError", "status": 401}
    return Vector(name=f"{ask.verb}_wrong_key", ask=ask, recording=recording, expect=expect)


def slot(number, tokens):
    return {"id": number, "busy": False, "tokens": tokens, "context_length": 512}


TEXTS = ["the little cat sat", "a red ball"]
DOCUMENTS = ["the little cat", "a red ball", "a golden key"]
OVERFLOW = {"error": "ContextOverflow", "limit": 512}
OTHERS = (
    own("embeddings_single", "embed", *TEXTS[:1]),
    own("embeddings_base64", "embed", TEXTS),
    own("embeddings_error_overflow", "embed", "hi", expect={**OVERFLOW, "needed": 2002}),
    own("error_embeddings_unsupported", "embed", "hi", expect={"error": "NotSupported"}),
    own("rerank", "rerank", "cat", DOCUMENTS),
    own("rerank_error_overflow", "rerank", "cat", ["hi"], expect={**OVERFLOW, "needed": 2003}),
    own("tokenize", "tokenize", "Once upon a time"),
    own("embeddings_tokenize", "tokenize", *TEXTS[:1]),
    own("detokenize", "detokenize", [40, 41, 42]),
    refused("/tokenize", Ask("tokenize", ("hi",))),
    refused("/v1/audio/transcriptions", Ask("transcribe", (silence(),))),
    refused("/props", Ask("validate", ()), "GET"),
)
MODEL = {
    "id": "tiny",
    "capabilities": ["chat", "thinking", "tools"],
    "context_length": 512,
    "size": 1577472,
    "loaded": True,
    "meta": {
        "quantization": "F16",
        "parameters": "787584",
        "trained_context": "2048",
        "slots": "2",
    },
    "sources": {"capabilities": "probed", "context_length": "probed"},
}
BUILD = {"server": "llama-server b11669-Debian", "models": 1}
SERVER = (
    own("models", "models", expect={"ids": ["tiny"], "models": {"tiny": MODEL}}, beside=["props"]),
    own("models_no_key", "models", expect={"error": "AuthenticationError", "status": 401}),
    own("models", "validate", expect=BUILD, beside=["props"]),
    own("models", "load", "tiny", expect={"statuses": ["loaded"]}),
    own("models", "running", expect={"ids": ["tiny"]}, beside=["props"]),
    own("models", "unload", "tiny", expect={"error": "NotSupported"}),
)
SAVED = {"id": 0, "tokens": 10, "size": 10552}
KNOWN = ("models", "props")
SLOTS = (
    own("slots", "slots", expect={"slots": [slot(0, 32), slot(1, 22)]}, beside=KNOWN[:1]),
    own("slots_save", "save_slot", 0, "s0.bin", expect={"slots": [SAVED]}, beside=KNOWN),
    own("slots_restore", "restore_slot", 0, "s0.bin", expect={"slots": [SAVED]}, beside=KNOWN),
    own(
        *("slots_erase_ok", "erase_slot", 0),
        expect={"slots": [{"id": 0, "tokens": 0}]},
        beside=KNOWN,
    ),
    own(
        *("slots_erase", "erase_slot", 0),
        expect={"error": "NotSupported", "kind": "slots_not_supported"},
        beside=KNOWN,
    ),
    own(
        *("slots_save", "save_slot", 2, "s0.bin"),
        expect={"error": "BadRequest", "kind": "slot_unknown"},
        beside=KNOWN,
    ),
)


# ---- what was not recorded -----------------------------------------------------------------------


def told(asked, body, kind="application/json"):
    """An exchange as llama-server's README has it."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    request = f"{asked} HTTP/1.1\r\n\r\n".encode()
    return Recording(scenario=asked, request=request, reads=(head.encode() + body,))


def heard(name, verb, body, kind, **expect):
    recording = told("POST /v1/audio/transcriptions", body, kind)
    usage = {"input_tokens": 50, "output_tokens": 3, "total_tokens": 53}
    expect = {"text": "Hello there", "usage": usage, **expect}
    return Vector(name=name, ask=Ask(verb, (silence(),)), recording=recording, expect=expect)


DONE = {
    "type": "transcript.text.done",
    "text": "Hello there",
    "usage": {"type": "tokens", "input_tokens": 50, "output_tokens": 3, "total_tokens": 53},
}
PIECES = [{"type": "transcript.text.delta", "delta": word} for word in ("Hello", " there")]
WRITTEN = "".join(f"data: {json.dumps(event)}\n\n" for event in (*PIECES, DONE)).encode()
SOUND = (
    heard("heard", "transcribe", json.dumps(DONE).encode(), "application/json"),
    heard("heard_stream", "transcribe_stream", WRITTEN, "text/event-stream"),
)


def rows(**states):
    """A router's list; of a model that is downloaded the bytes as well."""
    shown = []
    for name, state in states.items():
        done = {"progress": {f"{name}.gguf": {"done": 5, "total": 20}}}
        status = {"value": state, "args": [], **(done if state == "downloading" else {})}
        shown.append({"id": name, "owned_by": "llamacpp", "status": status})
    return told("GET /v1/models", json.dumps({"data": shown}).encode())


def routed(verb, order, *lists, statuses, **more):
    """What a router is told to do with the model ``a``, and how its list changes."""
    *earlier, last = lists
    beside = [*earlier, told(order, b'{"success": true}')]
    expect = {"statuses": statuses, **more}
    ask = Ask(verb, ("a",))
    return Vector(name=f"router_{verb}", ask=ask, recording=last, expect=expect, beside=beside)


ORDERS = (
    routed("load", "POST /models/load", rows(a="unloaded"), rows(a="loaded"), statuses=["loaded"]),
    routed(
        "unload", "POST /models/unload", rows(a="loaded"), rows(a="unloaded"), statuses=["unloaded"]
    ),
    routed("delete", "DELETE /models", rows(a="unloaded"), statuses=["deleted"]),
    routed(
        *("pull_stream", "POST /models"),
        *(rows(b="loaded"), rows(a="downloading"), rows(a="unloaded")),
        statuses=["downloading", "downloaded"],
        steps=[[5, 20]],
    ),
)


class TestLlamaServer(
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
    provider = "llamaserver"
    model = "tiny"
    vectors = (
        *map(chat_vector, (*reader.CHATS, *REFUSALS)),
        *(*OTHERS, *SERVER, *SLOTS, *SOUND, *ORDERS),
    )

    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch):
        """A router is asked again without a pause."""
        monkeypatch.setattr("multitap_llamaserver.lifecycle.POLL", 0)

    @classmethod
    def server(cls):
        return ScriptedLlamaServer()
