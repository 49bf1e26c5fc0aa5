"""Reads the recordings in the plainest way; imports nothing of Multitap.

``recorded`` gives what was asked and answered; ``expected`` what a chat answer says, computed with
``json.loads`` and loops alone.
"""

import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

from recorded_traffic import read_recording

RECORDINGS = Path(__file__).parent / "recordings"

CLAIMED = {
    # every refusal is a vector of `explain_llamaserver`
    "test_errors": lambda r: r.status >= 400,
    "test_recordings": lambda r: r.path == "/v1/chat/completions" and r.status == 200,
    # the native routes say which numbers are right
    "test_texts": lambda r: r.path.endswith(("embedding", "embeddings", "rank", "ranking", "nize")),
    "test_management": lambda r: r.path in ("/v1/models", "/props", "/health", "/v1/health"),
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
    return recorded(f"llama-server-0.7.0-b11669/{name}")


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
