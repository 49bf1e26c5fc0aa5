"""Reads a recording of HTTP traffic in the plainest way; imports nothing of Multitap."""

import base64
import json
from types import SimpleNamespace


def read_recording(folder, name):
    """Method, path and body of the request; status, headers, body and raw bytes of the answer.

    Names of headers are in lower case; ``status`` is 0 where nothing came; ``whole``: the answer
    has its own end.
    """
    data = json.loads(folder.joinpath(f"{name}.json").read_text("utf-8"))
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
        status=int(lines[0].split()[1]) if raw else 0,
        headers=headers,
        body=dechunk(rest) if chunked else rest,
        streamed=headers.get("content-type", "").startswith("text/event-stream"),
        ended=data["response"]["ended"],
        whole=rest.endswith(b"0\r\n\r\n") if chunked else bool(raw),
    )


def octets(data):
    """Recorded bytes."""
    return data["text"].encode() if "text" in data else base64.b64decode(data["b64"])


def dechunk(data):
    """A body without its chunks."""
    whole = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        whole, data = whole + data[:length], data[length + 2 :]
        if not length:
            break
    return whole
