"""Reads the recordings in the plainest way; imports nothing of Multitap.

``recorded`` gives what was asked and answered; ``expected`` what a chat answer says, and ``says``
the facts that a vector of the kit expects of any, computed with ``json.loads`` and loops alone.
"""

import json
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

from recorded_traffic import read_recording

RECORDINGS = Path(__file__).parent / "recordings"
TIMES = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")

CHATS = (
    *("api_chat", "api_chat_stream", "api_chat_stop", "api_chat_stop_stream", "api_chat_length"),
    *("api_chat_length_stream", "api_native_length_in_thinking_stream", "api_chat_logprobs"),
    *("api_chat_split_utf8_stream", "api_chat_tools", "api_chat_tools_stream", "two_calls"),
    *("two_calls_stream", "api_chat_length_in_tool_stream"),
)
"""The answers of chat that the kit is shown, `test_kit`; the other tests leave them to it."""

CLAIMED = {
    # every refusal and every error line is a vector of `explain_ollama` or `line_error`
    "test_errors": lambda r: r.status >= 400 or "error" in last_object(r.body),
    # `/api/generate` is not called, but its lines have the same ends, counts and errors
    "test_recordings": lambda r: (
        r.path in ("/api/chat", "/api/generate") and not r.name.endswith("debug_render")
    ),
    # the old `/api/embeddings` and `/v1/embeddings` say which numbers are right
    "test_embedding": lambda r: r.path in ("/api/embed", "/api/embeddings", "/v1/embeddings"),
    # by name: models and their management
    "test_management": lambda r: any(fnmatch(r.name, pattern) for pattern in MANAGEMENT),
}
MANAGEMENT = (
    *(
        "auth_ignored",
        "api_status",
        "cloud_disabled_status",
        "cloud_disabled_recommendations",
        "recommendations",
    ),
    *("blob_*", "copy*", "create_*", "cors_*", "delete*", "host_*", "ps_*", "pull*", "push_*"),
    *("root*", "show*", "tags*", "version*", "shared_6_tags", "*_slash", "*_debug_render"),
)


def names(used_by):
    """The recordings that a test module uses."""
    return [name for name in all_names() if CLAIMED[used_by](recorded(name))]


def all_names():
    return sorted(path.stem for path in RECORDINGS.glob("*.json"))


def recorded(name):
    """Method, path and body of the request; status, headers, body and raw bytes of the answer."""
    return read_recording(RECORDINGS, name)


def objects(body):
    """The JSON values of a body: one a line, or one in all."""
    return [json.loads(line) for line in body.decode("utf-8").splitlines() if line.strip()]


def last_object(body):
    try:
        return objects(body)[-1]
    except (IndexError, ValueError):
        return {}


def expected(body):
    """Text, reasoning, calls (name and arguments), tokens, counts, times, finish, and error."""
    found = SimpleNamespace(text="", reasoning="", calls=[], tokens=[], finish=None, error=None)
    found.counts, found.times = (None, None), {}
    for line in objects(body):
        message = line.get("message") or {}
        found.text += message.get("content") or ""
        found.reasoning += message.get("thinking") or ""
        for call in message.get("tool_calls") or []:
            found.calls.append((call["function"]["name"], call["function"]["arguments"]))
        found.tokens += [entry["token"] for entry in line.get("logprobs") or []]
        found.error = line.get("error", found.error)
        if line.get("done"):
            found.finish = line.get("done_reason") or "stop"
            found.counts = (line.get("prompt_eval_count"), line.get("eval_count"))
            found.times = {name: line[name] for name in TIMES if name in line}
    return found


# ---- facts, as the kit's vectors expect them -----------------------------------------------------

ENDS = {"stop": "complete", "length": "max_tokens"}


def says(recorded):
    """What an answer of one of the plugin's paths says."""
    return SAYS[recorded.path](recorded)


def says_in_chat(recorded):
    found = expected(recorded.body)
    ended = "tool_use" if found.calls and found.finish == "stop" else ENDS[found.finish]
    prompt, written = found.counts
    counts = {"input_tokens": prompt, "output_tokens": written}
    return {
        "text": found.text,
        "reasoning": found.reasoning,
        "calls": [list(call) for call in found.calls],
        "stop_reason": ended,
        "usage": {**counts, "total_tokens": prompt + written},
        "usage_source": "reported",
    }


def says_in_numbers(recorded):
    value = json.loads(recorded.body)
    rows, count = value["embeddings"], value["prompt_eval_count"]
    usage = {"input_tokens": count, "total_tokens": count}
    return {"count": len(rows), "width": len(rows[0]), "vectors": rows, "usage": usage}


def says_in_steps(recorded):
    """What is done, and its bytes; a layer without ``completed`` is at its beginning."""
    lines = objects(recorded.body)
    steps = [[line.get("completed", 0), line["total"]] for line in lines if "total" in line]
    return {"statuses": list(dict.fromkeys(line["status"] for line in lines)), "steps": steps}


SAYS = {
    "/api/chat": says_in_chat,
    "/api/embed": says_in_numbers,
    "/api/pull": says_in_steps,
    "/api/create": says_in_steps,
    "/api/ps": lambda r: {"ids": [entry["name"] for entry in json.loads(r.body)["models"]]},
}
