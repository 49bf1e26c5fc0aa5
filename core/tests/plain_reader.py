"""Reads recordings in the plainest way; imports nothing of Multitap.

``body`` gives the bytes of an answer without its HTTP framing, and ``expected`` what a chat answer
says, computed with ``json.loads`` and loops alone.
"""

import json
from collections import defaultdict
from pathlib import Path

from recorded_traffic import read_recording

RECORDINGS = Path(__file__).parent / "recordings"


def names(pattern):
    return sorted(str(p.relative_to(RECORDINGS)) for p in RECORDINGS.glob(f"*/{pattern}.json"))


def answer(name):
    """Status, headers (names in lower case) and body."""
    found = read_recording(RECORDINGS, name.removesuffix(".json"))
    return found.status, found.headers, found.body


def is_stream(headers):
    return headers["content-type"].startswith("text/event-stream")


def objects(headers, body):
    """The JSON values of a body."""
    if not is_stream(headers):
        return [json.loads(body)]
    events = body.decode("utf-8").split("\n\n")
    data = [e[len("data: ") :] for e in events if e.startswith("data: ")]
    return [json.loads(d) for d in data if d != "[DONE]"]


def expected(headers, body):
    """Per choice: text, reasoning, calls (name, arguments), tokens and finish; and the usage."""
    choices = defaultdict(
        lambda: {"text": "", "reasoning": "", "calls": {}, "tokens": [], "finish": None}
    )
    usage = None
    for value in objects(headers, body):
        usage = value.get("usage") or usage
        for choice in value["choices"]:
            read_choice(choices[choice["index"]], choice)
    for found in choices.values():
        found["calls"] = list(found["calls"].values())
    return dict(choices), usage


def read_choice(found, choice):
    new = choice.get("delta") or choice.get("message") or {}
    found["text"] += new.get("content") or ""
    found["reasoning"] += new.get("reasoning_content") or new.get("reasoning") or ""
    found["finish"] = choice.get("finish_reason") or found["finish"]
    if isinstance(choice.get("stop_reason"), str):
        found["finish"] = "stop_sequence"
    logprobs = choice.get("logprobs") or {}
    found["tokens"] += [entry["token"] for entry in logprobs.get("content") or []]
    for position, call in enumerate(new.get("tool_calls") or []):
        key = call.get("index", position)
        name, text = found["calls"].get(key, ("", ""))
        function = call["function"]
        found["calls"][key] = (
            name or function.get("name") or "",  # llama-cpp-python says it in every piece
            text + (function.get("arguments") or ""),
        )
