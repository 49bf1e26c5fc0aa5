"""Reads recordings in the plainest way; imports nothing of Multitap.

``body`` gives the bytes of an answer without its HTTP framing, and ``expected`` what a chat answer
says, computed with ``json.loads`` and loops alone.
"""

import base64
import json
from collections import defaultdict
from pathlib import Path

RECORDINGS = Path(__file__).parent / "recordings"


def names(pattern):
    return sorted(str(p.relative_to(RECORDINGS)) for p in RECORDINGS.glob(f"*/{pattern}.json"))


def answer(name):
    """Status, headers (names in lower case) and body."""
    response = json.loads((RECORDINGS / name).read_text("utf-8"))["response"]
    raw = b"".join(
        r["text"].encode() if "text" in r else base64.b64decode(r["b64"]) for r in response["reads"]
    )
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.strip().lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        rest = dechunk(rest)
    return int(lines[0].split()[1]), headers, rest


def dechunk(data):
    whole = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        whole, data = whole + data[:length], data[length + 2 :]
        if not length:
            break
    return whole


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
            name + (function.get("name") or ""),
            text + (function.get("arguments") or ""),
        )
