"""Reads the recordings in the plainest way; imports nothing of Multitap.

``recorded`` gives what was asked and answered; ``expected`` what a chat answer says, and ``says``
the facts that a vector of the kit expects of it, computed with ``json.loads`` and loops alone.
"""

import json
from pathlib import Path
from types import SimpleNamespace

from recorded_traffic import read_recording

RECORDINGS = Path(__file__).parent / "recordings"
CHAT = "/v1/chat/completions"
HELD = ("/tokenize", "/info", "/v1/models", "/health")

CHATS = (
    *("chat", "chat_stream", "chat_length", "chat_stream_length", "chat_stop", "chat_stream_stop"),
    *("chat_stop_usage_stream", "chat_stream_length_inside_character", "keep_alive"),
    *("tool_required", "tool_empty_parameters", "tool_empty_parameters_stream"),
    *("tool_auto_stream", "tool_length_stream"),
)
"""The answers of chat that the kit is shown, `test_kit`; the other tests leave them to it."""

CLAIMED = {
    # every refusal and every error inside a stream is a vector of `explain_tgi` or `stream_error`
    "test_errors": lambda r: r.status >= 400 or error_in(r.body) is not None,
    # `/invocations` takes and gives what chat does, where its body is one of chat
    "test_recordings": lambda r: r.status == 200 and is_chat(r) and r.method == "POST",
    "test_models": lambda r: r.path in HELD and r.method in ("GET", "HEAD"),
    # the router died before it said a word
    "test_wire": lambda r: not r.raw,
    "test_tokenize": lambda r: r.path == "/tokenize" and r.status == 200,
    # paths that the plugin does not call: what they say is why, or what a token is
    "test_other_paths": lambda r: r.status == 200 and (r.path in OTHERS or not is_asked(r)),
}
OTHERS = ("/", "/chat_tokenize", "/generate", "/generate_stream", "/metrics", "/ping", "/vertex")


def is_chat(r):
    return r.path in (CHAT, "/invocations") and b'"messages"' in r.request


def is_asked(r):
    return (is_chat(r) and r.method == "POST") or r.path in HELD


def names(used_by):
    """The recordings that a test module uses."""
    return [name for name in all_names() if CLAIMED[used_by](recorded(name))]


def all_names():
    return sorted(path.stem for path in RECORDINGS.glob("*.json"))


def recorded(name):
    """Method, path and body of the request; status, headers, body and raw bytes of the answer."""
    return read_recording(RECORDINGS, name)


def objects(body):
    """The JSON values of a body: those of a stream's events, or the one that it is."""
    text = body.decode("utf-8")
    if not text.startswith(("data:", ":")):
        return [json.loads(text)] if text.startswith(("{", "[")) else []
    lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def error_in(body):
    """The first error of a body, as it stands under ``error``."""
    found = [o["error"] for o in objects(body) if isinstance(o, dict) and o.get("error")]
    return found[0] if found else None


def expected(body, stops=()):
    """Text, calls (name and arguments), tokens, counts, finish, and error of a chat answer."""
    found = SimpleNamespace(text="", calls=[], tokens=[], finish=None, counts=(None, None))
    found.error = error_in(body)
    pieces = {}
    for choice in choices(body, found):
        message = choice.get("delta") or choice.get("message") or {}
        found.text += message.get("content") or ""
        for call in message.get("tool_calls") or []:
            _, texts = pieces.setdefault(call.get("index", 0), (call["function"]["name"], []))
            texts.append(call["function"]["arguments"])
        logprobs = choice.get("logprobs") or {}
        found.tokens += [entry["token"] for entry in logprobs.get("content") or []]
        found.finish = choice.get("finish_reason") or found.finish
    found.calls = [(name, arguments("".join(texts))) for name, texts in pieces.values()]
    if found.finish == "stop_sequence":
        found.text = found.text[: -max(len(s) for s in stops if found.text.endswith(s))]
    return found


def thinking_apart(text):
    """The thinking at the very start of a text, and the rest."""
    if not text.startswith("<think>"):
        return "", text
    thinking, _, rest = text.removeprefix("<think>").partition("</think>")
    return thinking.strip(), rest.strip()


def choices(body, found):
    for value in objects(body):
        usage = value.get("usage")
        if usage:
            found.counts = (usage["prompt_tokens"], usage["completion_tokens"])
        yield from value.get("choices") or []


def arguments(text):
    """Arguments as a value; a lone brace is an object without anything, a cut text is none."""
    try:
        return json.loads("{}" if text == "{" else text)
    except ValueError:
        return None


# ---- facts, as the kit's vectors expect them -----------------------------------------------------

ENDS = {"stop": "complete", "length": "max_tokens", "stop_sequence": "stop_sequence"}


def says(recorded):
    """What a whole answer of chat says; a call that was cut before its name leaves no finish."""
    found = expected(recorded.body, stops=json.loads(recorded.request).get("stop", ()))
    ended = "tool_use" if found.calls else ENDS[found.finish or "length"]
    prompt, written = found.counts
    told = {}
    if prompt is not None:
        usage = {"input_tokens": prompt, "output_tokens": written}
        told = {"usage": {**usage, "total_tokens": prompt + written}, "usage_source": "reported"}
    calls = [list(call) for call in found.calls]
    return {"text": found.text, "calls": calls, "stop_reason": ended, **told}


def ids(recorded):
    """The tokens of a text."""
    return [token["id"] for token in json.loads(recorded.body)]
