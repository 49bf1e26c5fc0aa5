"""Reads the recordings in the plainest way; imports nothing of Multitap.

They are of an Ollama server, asked over its ``/v1``, but for folders with the name of another.
``recorded`` gives what was asked and what was answered; ``expected`` what a chat answer says,
computed with ``json.loads`` and loops alone.
"""

import base64
import json
import struct
from pathlib import Path
from types import SimpleNamespace

from recorded_traffic import read_recording

RECORDINGS = Path(__file__).parent / "recordings"

CLAIMED = {
    "test_errors": lambda r: r.status >= 400,
    "test_recordings": lambda r: r.path == "/v1/chat/completions" and r.status == 200,
    "test_responses": lambda r: r.path == "/v1/responses" and r.status == 200,
    "test_models": lambda r: r.path == "/v1/models" and r.status == 200,
    "test_embedding": lambda r: r.path == "/v1/embeddings" and r.status == 200,
}


def names(used_by):
    """The recordings that a test module uses."""
    return [name for name in all_names() if CLAIMED[used_by](recorded(name))]


def all_names():
    return sorted(
        str(p.relative_to(RECORDINGS).with_suffix("")) for p in RECORDINGS.glob("**/*.json")
    )


def recorded(name):
    """Method, path and body of the request; status, headers, body and raw bytes of the answer."""
    return read_recording(RECORDINGS, name)


def objects(recorded):
    """The JSON values of an answer: one an event, or one in all."""
    if not recorded.streamed:
        return [json.loads(recorded.body)]
    lines = recorded.body.decode("utf-8").split("\n")
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(text) for text in data if text != "[DONE]"]


def expected(recorded):
    """By choice: text, reasoning, calls (name and arguments), tokens, finish; and the usage."""
    choices, usage = {}, None
    for value in objects(recorded):
        usage = value.get("usage") or usage
        for choice in value.get("choices") or []:
            found = choices.setdefault(
                choice.get("index", 0),
                SimpleNamespace(text="", reasoning="", calls=[], tokens=[], finish=None),
            )
            said = choice.get("delta") or choice.get("message") or {}
            found.text += said.get("content") or ""
            found.reasoning += said.get("reasoning") or ""
            for call in said.get("tool_calls") or []:
                function = call["function"]
                found.calls.append((call["id"], function["name"], function["arguments"]))
            entries = (choice.get("logprobs") or {}).get("content") or []
            found.tokens += [(entry["token"], entry["logprob"]) for entry in entries]
            found.finish = choice.get("finish_reason") or found.finish
    return choices, usage


def reason(choice):
    """Why a choice ended, in the words of the application."""
    words = {"stop": "complete", "length": "max_tokens", "tool_calls": "tool_use"}
    return "tool_use" if choice.calls else words[choice.finish]


def counts(usage):
    """What is said of tokens, of a chat or of a response, in the words of the application."""
    words = {
        "input_tokens": ("prompt_tokens", "input_tokens"),
        "output_tokens": ("completion_tokens", "output_tokens"),
        "total_tokens": ("total_tokens",),
    }
    found = {ours: usage[n] for ours, names in words.items() for n in names if n in (usage or {})}
    details = [value for name, value in (usage or {}).items() if name.endswith("_details")]
    known = ("cached_tokens", "reasoning_tokens")
    return {**found, **{n: each[n] for each in details for n in known if n in each}}


def numbers(embedding):
    """A vector: numbers, or base64 of float32."""
    if not isinstance(embedding, str):
        return embedding
    data = base64.b64decode(embedding)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def expected_response(recorded):
    """The same of an answer of ``/v1/responses``; ``finish`` is the status at its end."""
    found = SimpleNamespace(text="", reasoning="", calls=[], finish=None, usage=None)
    for value in objects(recorded):
        last = value if not recorded.streamed else value.get("response", {})
        if not recorded.streamed or value["type"] in ("response.completed", "response.failed"):
            found.finish, found.usage = last["status"], last["usage"]
        if recorded.streamed and value["type"] == "response.output_text.delta":
            found.text += value["delta"]
        if recorded.streamed and value["type"] == "response.reasoning_summary_text.delta":
            found.reasoning += value["delta"]
        if recorded.streamed and value["type"] == "response.output_item.done":
            _add_item(value["item"], found, calls_only=True)
        for item in [] if recorded.streamed else value["output"]:
            _add_item(item, found)
    return found


def _add_item(item, found, *, calls_only=False):
    if item["type"] == "function_call":
        found.calls.append((item["call_id"], item["name"], item["arguments"]))
    elif not calls_only and item["type"] == "message":
        found.text += "".join(part["text"] for part in item["content"])
    elif not calls_only and item["type"] == "reasoning":
        found.reasoning += "".join(part["text"] for part in item["summary"])
