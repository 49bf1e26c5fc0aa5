"""The same encoder in this process and behind llama-server; `nox -s "real(vllm)"` adds vLLM.

What Ollama said of it, recorded, is held against that too.
"""

from __future__ import annotations

import json

import numpy as np
import ollama_reader
import pytest
from llama_server_process import MODELS, running
from same_vectors import TEXTS, TOLERANCE, assert_same_vectors

from multitap import Runtime
from multitap.errors import ContextOverflow
from multitap.testing import WORLDS


@pytest.fixture(scope="module")
def config():
    with running("embedding", "tiny-embed.gguf") as server:
        yield {
            "llamacpp": {"models_dir": str(MODELS), "threads": 1},
            "llamaserver": {"endpoint": server.url, "api_key": server.key},
        }


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request, config):
    with request.param(config) as made:
        yield made


def test_in_this_process_and_behind_llama_server(world):
    own = world.call("embed", TEXTS, model="llamacpp:tiny-embed")
    served = world.call("embed", TEXTS, model="llamaserver:tiny")
    assert_same_vectors(own, served, tolerance=1e-5)
    assert own.usage == served.usage


@pytest.mark.parametrize("name", ["embeddings_batch", "api_embed_batch"])
def test_as_ollama_says_it(config, name):
    recorded = ollama_reader.recorded(name)
    texts, answer = json.loads(recorded.request)["input"], json.loads(recorded.body)
    rows = answer.get("embeddings") or [row["embedding"] for row in answer["data"]]
    with Runtime(config) as rt:
        own = rt.embed(texts, model="llamacpp:tiny-embed")
    np.testing.assert_allclose(np.asarray(own.vectors), rows, atol=TOLERANCE)


@pytest.mark.parametrize("model", ["llamacpp:tiny-embed", "llamaserver:tiny"])
def test_a_text_among_others_that_is_too_long_is_named(world, model):
    texts = ["a cat", "a dog", "a ball", "cat " * 800, "a key"]
    with pytest.raises(ContextOverflow, match=r"texts\[3\]") as caught:
        world.call("embed", texts, model=model)
    assert caught.value.texts == range(3, 4)


@pytest.mark.parametrize("model", ["llamacpp:tiny-embed", "llamaserver:tiny"])
def test_more_texts_than_one_batch(world, model):
    texts = [TEXTS[place % len(TEXTS)] for place in range(520)]
    found = world.call("embed", texts, model=model)
    few = world.call("embed", TEXTS, model=model)
    assert len(found.attempts) == 2
    np.testing.assert_allclose(
        np.asarray(found.vectors), np.tile(np.asarray(few.vectors), (104, 1)), atol=1e-5
    )
