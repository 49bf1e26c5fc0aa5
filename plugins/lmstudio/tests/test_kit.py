"""LM Studio is held to the rules of the kit, with what is documented and what its users saw."""

from __future__ import annotations

import json

import lmstudio_documents
import lmstudio_vectors as seen
import pytest
from scripted_lmstudio import ScriptedLmStudio

from multitap.testing.kit import (
    Ask,
    CatalogSuite,
    ChatSuite,
    EmbeddingSuite,
    LifecycleSuite,
    ProviderSuite,
    Vector,
)

CHAT, EMBEDDINGS, MODELS = "/v1/chat/completions", "/v1/embeddings", "/api/v1/models"
EVENTS = "text/event-stream"


def by_hand(name, ask, asked, said, expect, *, status=200, kind="application/json", beside=()):
    """An exchange, and those that are beside it: method and path, and what is said."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    facts = {"status": status, "content_type": kind}
    others = [by_hand(name, ask, *other, {}).recording for other in beside]
    return Vector.by_hand(name, ask, asked, body, expect, beside=others, **facts)


# ---- chat ----------------------------------------------------------------------------------------


def chat(name, said, expect, status=200, **options):
    streamed = isinstance(said, bytes)
    ask = Ask("stream" if streamed else "chat", (f"What of {name}?",), options)
    kind = EVENTS if streamed else "application/json"
    return by_hand(name, ask, f"POST {CHAT}", said, expect, status=status, kind=kind)


def counts(prompt, written):
    return {"input_tokens": prompt, "output_tokens": written, "total_tokens": prompt + written}


def answered(name, document, **options):
    """A whole answer of the documentation, read in the plainest way."""
    said = lmstudio_documents.example(document)
    message = said["choices"][0]["message"]
    functions = [call["function"] for call in message.get("tool_calls", ())]
    usage = said["usage"]
    expect = {
        "text": message.get("content", ""),
        "calls": [[f["name"], json.loads(f["arguments"])] for f in functions],
        "stop_reason": "tool_use" if functions else "complete",
        "usage": counts(usage["prompt_tokens"], usage["completion_tokens"]),
    }
    return chat(name, {**said, "model": "acme/m"}, expect, **options)


HELLO = seen.sse(
    seen.chunk(role="assistant", content="Grüß"),
    seen.chunk(role="assistant", content=" Gott 🦊"),
    seen.chunk("stop"),
    seen.usage(3, 2),
)
CUT = seen.sse(seen.chunk(content="one two"), seen.chunk("length"), seen.usage(3, 2))
CALLED = {
    "reasoning": "Hm",
    "calls": [["weather", {"city": "Oslo"}]],
    "stop_reason": "tool_use",
    "usage_source": "estimated",
}
OTHER = seen.sse(seen.chunk(model="acme/other", content="hi"), seen.chunk("stop"))
CHATS = (
    answered("a greeting", "v0-chat.answer"),
    answered("a call", "tools.answer"),
    chat(
        *("hello", HELLO),
        {"text": "Grüß Gott 🦊", "stop_reason": "complete", "usage": counts(3, 2)},
    ),
    chat("length", CUT, {"text": "one two", "stop_reason": "max_tokens"}, max_tokens=2),
    chat("documented", seen.documented(), CALLED),
    chat("another model", OTHER, {"text": "hi", "warnings": ["other_model"]}),
    chat("silence", seen.sse(seen.chunk("stop")), {"error": "ProtocolError"}),
)


def inside(name):
    """A failure within a stream."""
    text, error = seen.INSIDE[name]
    said = seen.sse(seen.chunk(content="a word"), text, done=False)
    return chat(f"inside: {name}", said, {"error": error.__name__})


def refused(name, status, error, **facts):
    said = {"error": name if status == 400 else {"message": name, "code": facts.pop("code")}}
    return chat(name[:20], said, {"error": error, "status": status, **facts}, status)


REFUSALS = (
    *map(inside, seen.INSIDE),
    refused(seen.KEEP, 400, "ContextOverflow", limit=4096, needed=5000),
    refused(seen.N_KEEP, 400, "ContextOverflow", limit=4096, needed=5000),
    refused("'messages' field is required", 400, "BadRequest"),
    refused("An API token is required.", 401, "AuthenticationError", code="invalid_api_key"),
    refused('Model "x" not found.', 404, "ModelNotFound", code="model_not_found"),
    chat("a crash", {"error": seen.CRASH}, {"error": "ProviderDown"}, 500),
)


# ---- embeddings ----------------------------------------------------------------------------------


def embedded(name, texts, *rows):
    data = [{"object": "embedding", "embedding": row, "index": i} for i, row in enumerate(rows)]
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    said = {"object": "list", "data": data[::-1], "model": "nomic", "usage": usage}
    expect = {"vectors": rows, "width": len(rows[0]), "model": "nomic"}
    return by_hand(name, Ask("embed", (texts,)), f"POST {EMBEDDINGS}", said, expect)


EMBEDDED = (
    embedded("one text", "hi", [0.5, -0.25]),
    embedded("two texts", ["hi", "ho"], [0.5, -0.25], [1.0, 0.125]),
    by_hand(
        *("no embedder", Ask("embed"), f"POST {EMBEDDINGS}"),
        {"error": {"message": 'Model "x" not found.', "code": "model_not_found"}},
        *({"error": "ModelNotFound"},),
        status=404,
    ),
)


# ---- models --------------------------------------------------------------------------------------


LIST = lmstudio_documents.example("list.answer")
ROWS = LIST["models"]
OLD = lmstudio_documents.example("v0-models.answer")
NONE_SUCH = {"error": f"Unexpected endpoint or method. (GET {MODELS})"}
LOCKED = {"error": {"message": "An API token is required.", "code": "invalid_api_key"}}


def told(row):
    """A row of the list, as a model."""
    abilities = row.get("capabilities", {})
    names = {"vision": "vision", "trained_for_tool_use": "tools", "reasoning": "thinking"}
    able = [ours for theirs, ours in names.items() if abilities.get(theirs)]
    loaded = [instance["config"]["context_length"] for instance in row["loaded_instances"]]
    texts = {
        "display_name": row["display_name"],
        "publisher": row["publisher"],
        "architecture": row.get("architecture"),
        "quantization": row["quantization"]["name"],
        "parameters": row["params_string"],
        "format": row["format"],
        "trained_context": str(row["max_context_length"]),
        "instances": ", ".join(instance["id"] for instance in row["loaded_instances"]),
    }
    return {
        "id": row["key"],
        "capabilities": sorted(["embedding"] if row["type"] == "embedding" else ["chat", *able]),
        "context_length": (loaded or [row["max_context_length"]])[0],
        "size": row["size_bytes"],
        "loaded": bool(loaded),
        "meta": {name: text for name, text in texts.items() if text},
        "sources": {"capabilities": "probed", "context_length": "probed"},
    }


LISTED = (
    by_hand(
        *("list", Ask("models"), f"GET {MODELS}", LIST),
        {"ids": [row["key"] for row in ROWS], "models": {row["key"]: told(row) for row in ROWS}},
    ),
    by_hand(
        *("an older app", Ask("models"), "GET /api/v0/models", OLD),
        {"ids": [row["id"] for row in OLD["data"]]},
        beside=[(f"GET {MODELS}", NONE_SUCH)],
    ),
    by_hand(
        *("no token", Ask("models"), f"GET {MODELS}", LOCKED),
        *({"error": "AuthenticationError", "status": 401},),
        status=401,
    ),
)
PROVED = (
    by_hand(
        *("is it there", Ask("validate"), f"GET {MODELS}", LIST),
        {"server": "LM Studio", "models": len(ROWS)},
    ),
    by_hand(
        *("is the token good", Ask("validate"), f"GET {MODELS}", LOCKED),
        *({"error": "AuthenticationError"},),
        status=401,
    ),
)


# ---- lifecycle -----------------------------------------------------------------------------------


JOB = lmstudio_documents.example("download.answer")
DONE = lmstudio_documents.example("download-status.answer")
WAITING = {key: JOB[key] for key in ("job_id", "total_size_bytes")} | {
    "status": "downloading",
    "downloaded_bytes": 1000,
}
STATUS = f"GET {MODELS}/download/status/{JOB['job_id']}"
SIZE = JOB["total_size_bytes"]
LOADED = lmstudio_documents.example("load.answer")
ABSENT = {"models": [{**ROWS[1], "key": LOADED["instance_id"]}]}
PRESENT = {"models": [ROWS[0]]}
BUSY, IDLE = ROWS[0]["key"], ROWS[1]["key"]
LIVED = (
    by_hand(
        *("download", Ask("pull", ("ibm/granite-4-micro",)), f"POST {MODELS}/download", JOB),
        {
            "statuses": ["downloading", "completed"],
            "steps": [[1000, SIZE], [SIZE, SIZE]],
        },
        beside=[(STATUS, WAITING), (STATUS, DONE)],
    ),
    by_hand(
        *("load", Ask("load", (LOADED["instance_id"],)), f"POST {MODELS}/load", LOADED),
        {"statuses": ["loaded"]},
        beside=[(f"GET {MODELS}", ABSENT)],
    ),
    by_hand(
        *("unload", Ask("unload", (BUSY,)), f"POST {MODELS}/unload", {"instance_id": BUSY}),
        {"statuses": ["unloaded"]},
        beside=[(f"GET {MODELS}", PRESENT)],
    ),
    by_hand("running", Ask("running"), f"GET {MODELS}", LIST, {"ids": [BUSY]}),
    by_hand("not there", Ask("load", ("x",)), f"GET {MODELS}", LIST, {"error": "ModelNotFound"}),
)


class TestLmStudio(ChatSuite, EmbeddingSuite, CatalogSuite, LifecycleSuite, ProviderSuite):
    provider = "lmstudio"
    model = "acme/m"
    vectors = (*CHATS, *REFUSALS, *EMBEDDED, *LISTED, *PROVED, *LIVED)
    chat_questions = (Ask("stream", ("Say hello.",), {"model": "tiny"}),)

    @pytest.fixture(autouse=True)
    def no_pause(self, monkeypatch):
        monkeypatch.setattr("multitap_lmstudio.lifecycle.POLL", 0)

    @classmethod
    def server(cls):
        return ScriptedLmStudio()
