"""Reads the recordings in the plainest way; imports nothing of Multitap.

``recorded`` gives what was asked and answered; ``expected`` what a chat answer says, computed with
``json.loads`` and loops alone.
"""

import json
from collections import defaultdict
from pathlib import Path

from recorded_traffic import read_recording

RECORDINGS = Path(__file__).parent / "recordings"
CHAT = "/v1/chat/completions"
MODELS = ("models", "embed_models", "rerank_models", "version", "error_wrong_method")

CHATS = (
    *("chat", "chat_stream", "chat_length", "chat_stream_length", "chat_stop", "chat_seed"),
    *("chat_stream_usage", "chat_stream_split_utf8", "chat_n2", "reasoning_stream"),
    *("tool_required", "tool_required_stream"),
)
"""The answers of chat that the kit is shown, `test_kit`; where bytes are cut is left to it."""

CLAIMED = {
    # every refusal is a vector of `explain_vllm`
    "test_errors": lambda r: r.status >= 400,
    "test_recordings": lambda r: r.path == CHAT and r.status == 200,
    # `/pooling` says which numbers are right
    "test_embedding": lambda r: r.path in ("/v1/embeddings", "/pooling") and r.status == 200,
    # `/score` says which scores are right, in the order of the documents
    "test_rerank": lambda r: "rerank" in r.path or "score" in r.path,
    "test_tokens": lambda r: "tokenize" in r.path,
    "test_models": lambda r: r.name in MODELS or r.status in (404, 405),
    # what the plugin does not call, but arrives in the same frames
    "test_frames": lambda r: r.status == 200 and r.path in OTHERS,
}
OTHERS = ("/v1/completions", "/v1/messages", "/v1/responses", "/classify", "/health", "/metrics")


def names(used_by):
    """The recordings that a test module uses."""
    return [name for name in all_names() if CLAIMED[used_by](recorded(name))]


def all_names():
    return sorted(path.stem for path in RECORDINGS.glob("*.json"))


def recorded(name):
    """Method, path and body of the request; status, headers, body and raw bytes of the answer."""
    return read_recording(RECORDINGS, name)


def was_aborted(found):
    """Did the client hang up, on purpose?"""
    return found.ended.startswith("client closed")


def objects(found):
    """The JSON values of an answer: the events of a stream, or the one body."""
    if not found.streamed:
        return [json.loads(found.body)]
    lines = found.body.decode("utf-8").split("\n")
    data = [line[len("data: ") :] for line in lines if line.startswith("data: ")]
    return [json.loads(each) for each in data if each != "[DONE]"]


def expected(found):
    """Per choice: text, reasoning, calls (id, name, arguments), tokens, finish; and the usage."""
    choices = defaultdict(
        lambda: {"text": "", "reasoning": "", "calls": {}, "tokens": [], "finish": None}
    )
    usage = None
    for value in objects(found):
        usage = value.get("usage") or usage
        for choice in value["choices"]:
            read_choice(choices[choice["index"]], choice)
    for read in choices.values():
        read["calls"] = list(read["calls"].values())
    return dict(choices), usage


def read_choice(read, choice):
    new = choice.get("delta") or choice.get("message") or {}
    read["text"] += new.get("content") or ""
    read["reasoning"] += new.get("reasoning") or ""
    read["finish"] = choice.get("finish_reason") or read["finish"]
    if isinstance(choice.get("stop_reason"), str):
        read["finish"] = "stop text"
    logprobs = (choice.get("logprobs") or {}).get("content") or []
    read["tokens"] += [(entry["token"], entry["logprob"]) for entry in logprobs]
    for place, call in enumerate(new.get("tool_calls") or []):
        id_, name, text = read["calls"].get(call.get("index", place), ("", "", ""))
        function = call["function"]
        read["calls"][call.get("index", place)] = (
            id_ or call["id"],
            name + (function.get("name") or ""),
            text + (function.get("arguments") or ""),
        )


def reason(read):
    """The stop reason, in the words of the application."""
    if read["calls"] and read["finish"] != "length":
        return "tool_use"
    words = {"stop": "complete", "length": "max_tokens", "stop text": "stop_sequence"}
    return words.get(read["finish"], "error")
