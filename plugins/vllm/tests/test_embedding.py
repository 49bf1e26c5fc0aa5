"""Embedding: what is sent, and that the vectors are just those of the server."""

from __future__ import annotations

import json
from array import array

import pytest
import vllm_reader

from multitap.capabilities.embedding import EmbeddingRequest, Embeddings
from multitap.errors import BadRequest, ProtocolError
from multitap.events import Failed, Usage
from multitap.hookspecs import Backend
from multitap.testing import assert_chunking_invariant, outputs_of
from multitap.work import Head, Json
from multitap_vllm.calls import SILENCE
from multitap_vllm.embedding import multitap_embedding

RECORDED = [n for n in vllm_reader.names("test_embedding") if n != "pooling"]


def work(*texts, **asked):
    request = EmbeddingRequest(model="m", texts=texts or ("a",), **asked)
    return multitap_embedding(Backend(id="box", provider="vllm")).embed(request)


def read(data, count=1):
    texts = [str(number) for number in range(count)]
    (result,) = outputs_of(work(*texts).decoder(Head(200, {})), [data])
    return result.error if isinstance(result, Failed) else result


def vectors_of(name):
    recorded = vllm_reader.recorded(name)
    return read(recorded.body, len(vllm_reader.objects(recorded)[0]["data"]))


@pytest.mark.parametrize("asked", [{}, {"dimensions": 16}])
def test_the_body(asked):
    call = work("a", "b", **asked).call
    body = {"model": "m", "input": ["a", "b"], "encoding_format": "base64"}
    assert call.body == Json({**body, **asked})
    assert (call.method, call.path, call.idempotent) == ("POST", "/v1/embeddings", True)
    assert call.first_byte == SILENCE


def test_no_dimensions_are_refused():
    with pytest.raises(BadRequest):
        work("a", dimensions=0)


@pytest.mark.parametrize("name", [n for n in RECORDED if n != "embeddings_base64"])
def test_numbers_are_those_of_the_server(name):
    (reply,) = vllm_reader.objects(vllm_reader.recorded(name))
    found = vectors_of(name)
    rows = [list(array("f", row["embedding"])) for row in reply["data"]]
    assert [list(row) for row in found.vectors] == rows
    counts = reply["usage"]
    assert found.usage == Usage.reported(
        counts["prompt_tokens"], counts["completion_tokens"], total_tokens=counts["total_tokens"]
    )


def test_base64_gives_the_numbers_that_the_server_writes_in_digits():
    as_digits = [list(row) for row in vectors_of("embeddings_batch").vectors]
    assert [list(row) for row in vectors_of("embeddings_base64").vectors] == as_digits


def test_pooling_gives_the_same_vector():
    (reply,) = vllm_reader.objects(vllm_reader.recorded("pooling"))
    vector = list(array("f", reply["data"][0]["data"]))
    assert list(vectors_of("embeddings_single").vectors[0]) == vector


@pytest.mark.parametrize("name", RECORDED)
def test_where_the_bytes_are_cut_makes_no_difference(name):
    recorded = vllm_reader.recorded(name)
    count = len(vllm_reader.objects(recorded)[0]["data"])
    texts = [str(number) for number in range(count)]

    class Seen:
        """The decoder, with its result in a form that can be compared."""

        def __init__(self):
            self.inner = work(*texts).decoder(Head(200, {}))

        def feed(self, data):
            return [self.shown(each) for each in self.inner.feed(data)]

        def finish(self):
            return [self.shown(each) for each in self.inner.finish()]

        def shown(self, result):
            assert isinstance(result, Embeddings)
            return [list(row) for row in result.vectors]

    (rows,) = assert_chunking_invariant(Seen, recorded.body)
    assert len(rows) == count


def test_the_order_is_that_of_the_index():
    rows = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    found = read(json.dumps({"data": rows}).encode(), 2)
    assert [list(row) for row in found.vectors] == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": "AAA"}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}],
    ],
)
def test_vectors_that_do_not_fit_the_texts_are_refused(rows):
    assert isinstance(read(json.dumps({"data": rows}).encode(), 2), ProtocolError)
