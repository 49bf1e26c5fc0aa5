"""Vectors of texts."""

from __future__ import annotations

import base64
import json
import math
import re
import struct

import pytest
from matrix_lines import has
from matrix_wires import TINY_EMBED, Replay, config_of, recorded, whole

from multitap.testing.received import unchunked

ROWS = [[1.0, 0.0, 0.5], [-0.25, 2.0, 0.0]]
TEXTS = ["the little cat sat", "a red ball"]
DATA = [{"index": i, "object": "embedding", "embedding": row} for i, row in enumerate(ROWS)]
RECORDED = {"llamaserver": "embeddings_base64", "openai": "embeddings_batch",
            "vllm": "embeddings_base64", "ollama": "api_embed_batch"}  # fmt: skip
REPEATED = ["a brown fox", "the red house", "a brown fox"]
SENT = {
    "llamaserver": {"input": TEXTS, "encoding_format": "base64"},
    "lmstudio": {"input": TEXTS},
    "ollama": {"input": REPEATED, "truncate": False},
    "openai": {"input": TEXTS},
    "tgi": {"inputs": TEXTS, "truncate": False},
    "vllm": {"input": TEXTS, "encoding_format": "base64"},
}


def said_by(plugin):
    if plugin in RECORDED:
        return recorded(plugin, RECORDED[plugin])
    if plugin == "tgi":  # of Text Embeddings Inference: rows alone, the count is in the head
        return whole(ROWS, **{"x-compute-tokens": "7"})
    return whole({"data": DATA[::-1], "usage": {"prompt_tokens": 7, "total_tokens": 7}})


def read_plainly(raw):
    """The vectors of a recorded answer, by their index, and its count of tokens."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    data = json.loads(unchunked(rest)[0] if b"chunked" in head.lower() else rest)
    if isinstance(data, list):
        return data, int(re.search(rb"x-compute-tokens: (\d+)", head)[1])
    if "embeddings" in data:
        return data["embeddings"], data["prompt_eval_count"]
    rows = [row["embedding"] for row in sorted(data["data"], key=lambda row: row["index"])]
    decoded = [floats(row) if isinstance(row, str) else row for row in rows]
    return decoded, data["usage"]["prompt_tokens"]


def floats(text):
    data = base64.b64decode(text)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def rows_of(found):
    return [list(vector) for vector in found.vectors]


@has("embeddings")
def test_every_text_has_its_vector_in_order(world, plugin):
    if plugin in ("echo", "llamacpp"):
        model = {"llamacpp": f"path:{TINY_EMBED}"}.get(plugin, "echo:echo")
        here = world(config_of(plugin))
        first, second, third = rows_of(here.call("embed", REPEATED, model=model))
        assert first == pytest.approx(third)
        assert first != pytest.approx(second)
        assert math.hypot(*first) == pytest.approx(1)
        return
    raw = said_by(plugin)
    with Replay(raw) as server:
        here = world(config_of(plugin, endpoint=server.url))
        texts = SENT[plugin].get("input", TEXTS)
        found = [here.call("embed", texts) for _ in server.ways]
        sent = server.requests[0].json()
    rows, count = read_plainly(raw)
    for each in found:
        assert rows_of(each) == [pytest.approx(row) for row in rows]
        assert len(each.vectors) == len(texts)
        assert each.usage.input_tokens == count
    assert {key: sent[key] for key in SENT[plugin]} == SENT[plugin]
    assert sent.get("model", "tiny") == "tiny"  # TEI runs one, and is told of none
