"""Reads the recordings in the plainest way; imports nothing of Multitap.

``recorded`` gives what was asked and answered; ``expected`` what a chat answer says, and ``says``
the facts that a vector of the kit expects of any, computed with ``json.loads`` and loops alone.
"""

import json
import math
import struct
from base64 import b64decode
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

from recorded_traffic import read_recording

RECORDINGS = Path(__file__).parent / "recordings"

OWN, PYTHONS = "llama-server-0.7.0-b11669", "llama-cpp-python-0.3.36"
IN_PYTHON = "llama.cpp-b11549"  # llama-server itself, an older one, within a process of Python
OF_LLAMASERVER = (
    *("chat", "chat_stream", "chat_length", "chat_stream_length", "chat_stop", "chat_n2"),
    *("chat_stream_usage", "chat_stream_split_utf8", "reasoning", "reasoning_stream"),
    *("tool_required", "tool_required_stream"),
)
OF_PYTHON = ("chat", "chat_stream_length", "tool_auto")
CHATS = (
    *(f"{OWN}/{name}" for name in OF_LLAMASERVER),
    *(f"{PYTHONS}/{name}" for name in OF_PYTHON),
)
"""The answers of chat that the kit is shown, `test_kit`; the other tests leave them to it."""

CLAIMED = {
    # every refusal is a vector of `explain_llamaserver`
    "test_errors": lambda r: r.status >= 400,
    "test_recordings": lambda r: r.path == "/v1/chat/completions" and r.status == 200,
    # the native routes say which numbers are right
    "test_texts": lambda r: r.path.endswith(("embedding", "embeddings", "rank", "ranking", "nize")),
    "test_management": lambda r: r.path in ("/v1/models", "/props", "/health", "/v1/health"),
    "test_adapters": lambda r: r.path == "/lora-adapters",
    "test_slots": lambda r: r.path.startswith("/slots") and r.status == 200,
}


def names(used_by):
    """The recordings that a test module uses, as ``folder/name``."""
    return [name for name in all_names() if CLAIMED[used_by](recorded(name))]


def all_names():
    return sorted(
        str(p.relative_to(RECORDINGS).with_suffix("")) for p in RECORDINGS.glob("*/*.json")
    )


def of_llamaserver(name):
    """A recording of llama-server itself, by its name alone."""
    return recorded(f"{OWN}/{name}")


def recorded(name):
    """Method, path and body of the request; status, headers, body and raw bytes of the answer."""
    return read_recording(RECORDINGS, name)


def is_stream(recorded):
    return recorded.headers["content-type"].startswith("text/event-stream")


def objects(recorded):
    """The JSON values of a body."""
    if not is_stream(recorded):
        return [json.loads(recorded.body)]
    lines = recorded.body.decode("utf-8").splitlines()
    data = [line[len("data: ") :] for line in lines if line.startswith("data: ")]
    return [json.loads(d) for d in data if d != "[DONE]"]


def expected(recorded):
    """Per choice: text, reasoning, calls, tokens and finish; the counts, and the timings."""
    choices = defaultdict(
        lambda: SimpleNamespace(text="", reasoning="", calls={}, tokens=[], finish=None)
    )
    counts, timings = (None, None, None), None
    for value in objects(recorded):
        usage = value.get("usage")
        if usage:
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
            counts = (usage["prompt_tokens"], usage["completion_tokens"], cached)
        timings = value.get("timings", timings)
        for choice in value["choices"]:
            read_choice(choices[choice["index"]], choice)
    return SimpleNamespace(choices=dict(choices), counts=counts, timings=timings)


def read_choice(found, choice):
    new = choice.get("delta") or choice.get("message") or {}
    found.text += new.get("content") or ""
    found.reasoning += new.get("reasoning_content") or ""
    found.finish = choice.get("finish_reason") or found.finish
    logprobs = choice.get("logprobs") or {}
    found.tokens += [entry["token"] for entry in logprobs.get("content") or []]
    for position, call in enumerate(new.get("tool_calls") or []):
        key = call.get("index", position)
        name, text = found.calls.get(key, ("", ""))
        function = call["function"]
        found.calls[key] = (
            name or function.get("name") or "",  # llama-cpp-python says it in every piece
            text + (function.get("arguments") or ""),
        )


# ---- facts, as the kit's vectors expect them -----------------------------------------------------

ENDS = {"stop": "complete", "length": "max_tokens", "tool_calls": "tool_use"}


def says(recorded):
    """What an answer of one of the plugin's paths says."""
    return SAYS[recorded.path](recorded)


def says_in_chat(recorded):
    found = expected(recorded)
    choices = [found.choices[index] for index in sorted(found.choices)]
    first = choices[0]
    ended = "tool_calls" if first.calls and first.finish != "length" else first.finish
    facts = {
        "text": first.text,
        "reasoning": first.reasoning,
        "calls": [[name, json.loads(text)] for name, text in first.calls.values()],
        "stop_reason": ENDS[ended],
        "choices": [choice.text for choice in choices],
    }
    counts = zip(("input_tokens", "output_tokens", "cached_tokens"), found.counts, strict=True)
    told = {name: count for name, count in counts if count is not None}
    total = {"total_tokens": found.counts[0] + found.counts[1]} if told else {}
    return {**facts, **({"usage": {**told, **total}, "usage_source": "reported"} if told else {})}


def says_in_numbers(recorded):
    value = json.loads(recorded.body)
    rows = [numbers(row["embedding"]) for row in sorted(value["data"], key=lambda r: r["index"])]
    facts = {"count": len(rows), "width": len(rows[0]), "vectors": rows, "model": value["model"]}
    return {**facts, "usage": prompt_alone(value["usage"])}


def numbers(embedding):
    if isinstance(embedding, list):
        return embedding
    return [number for (number,) in struct.iter_unpack("<f", b64decode(embedding))]


def says_in_scores(recorded):
    value = json.loads(recorded.body)
    rows = sorted(value["results"], key=lambda row: row["index"])
    scores = [[row["index"], 1 / (1 + math.exp(-row["relevance_score"]))] for row in rows]
    facts = {"documents": [index for index, _ in scores], "scores": scores}
    return {**facts, "usage": prompt_alone(value["usage"])}


def prompt_alone(usage):
    return {"input_tokens": usage["prompt_tokens"], "total_tokens": usage["total_tokens"]}


def says_in_ids(recorded):
    tokens = json.loads(recorded.body)["tokens"]
    return {"ids": [token["id"] if isinstance(token, dict) else token for token in tokens]}


SAYS = {
    "/v1/chat/completions": says_in_chat,
    "/v1/embeddings": says_in_numbers,
    "/v1/rerank": says_in_scores,
    "/tokenize": says_in_ids,
    "/detokenize": lambda recorded: {"text": json.loads(recorded.body)["content"]},
}
