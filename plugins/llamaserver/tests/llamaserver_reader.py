"""Reads the recordings in the plainest way; imports nothing of Multitap.

``recorded`` gives what was asked and answered; ``expected`` what a chat answer says, computed with
``json.loads`` and loops alone.
"""

import base64
import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

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
    data = json.loads(RECORDINGS.joinpath(f"{name}.json").read_text("utf-8"))
    asked, _, request_body = octets(data["request"]).partition(b"\r\n\r\n")
    method, path, _ = asked.split(b"\r\n")[0].decode().split(" ")
    raw = b"".join(map(octets, data["response"]["reads"]))
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.strip().lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}
    chunked = headers.get("transfer-encoding") == "chunked"
    return SimpleNamespace(
        name=name,
        method=method,
        path=path,
        request=request_body,
        raw=raw,
        status=int(lines[0].split()[1]),
        headers=headers,
        body=dechunk(rest) if chunked else rest,
        whole=rest.endswith(b"0\r\n\r\n") if chunked else True,
    )


def octets(data):
    return data["text"].encode() if "text" in data else base64.b64decode(data["b64"])


def dechunk(data):
    whole = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        whole, data = whole + data[:length], data[length + 2 :]
        if not length:
            break
    return whole


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
    """Per choice: text, reasoning, calls (name, arguments), tokens and finish; and the counts."""
    choices = defaultdict(
        lambda: SimpleNamespace(text="", reasoning="", calls={}, tokens=[], finish=None)
    )
    counts = (None, None, None)
    for value in objects(recorded):
        usage = value.get("usage")
        if usage:
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
            counts = (usage["prompt_tokens"], usage["completion_tokens"], cached)
        for choice in value["choices"]:
            read_choice(choices[choice["index"]], choice)
    return SimpleNamespace(choices=dict(choices), counts=counts)


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
