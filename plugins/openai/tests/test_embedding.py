"""Embeddings: what is asked for, and vectors as the recordings have them."""

from __future__ import annotations

import base64
import json
import struct
from array import array

import openai_reader
import pytest
from openai_here import openai_config, openai_registry
from scripted_openai import embed, refuse

from multitap.capabilities.embedding import EmbeddingRequest
from multitap.errors import BadRequest, NotSupported, ProtocolError, RateLimited
from multitap.events import Failed, Usage
from multitap.testing import WORLDS, Server, assert_chunking_invariant, repeat, when
from multitap.work import Backend, Head
from multitap_openai.embedding import multitap_embedding

HEAD = Head(200, {"content-type": "application/json"})


def model(**settings):
    endpoint = settings.pop("endpoint", "http://127.0.0.1:11434")
    backend = Backend(id="b", provider="openai", endpoint=endpoint, settings=settings)
    return multitap_embedding(backend)


def asked(*texts, **options):
    return EmbeddingRequest(model="nomic", texts=texts or ("a",), **options)


def read(body, request):
    data = json.dumps(body).encode()
    decoder = model().embed(request).decoder(HEAD)
    return [*decoder.feed(data), *decoder.finish()][-1]


@pytest.mark.parametrize("name", openai_reader.names("test_embedding"))
def test_vectors_are_those_of_the_recording_and_in_order(name):
    recorded = openai_reader.recorded(name)
    (said,) = openai_reader.objects(recorded)
    texts = ["x"] * len(said["data"])
    exchange = model().embed(asked(*texts))
    (found,) = assert_chunking_invariant(lambda: exchange.decoder(HEAD), recorded.body)
    assert [array("f", row) for row in found.vectors] == [
        numbers(row["embedding"]) for row in said["data"]
    ]
    usage = said["usage"]
    assert (found.usage.input_tokens, found.usage.source) == (usage["prompt_tokens"], "reported")
    assert found.model == said["model"]


def numbers(embedding):
    if isinstance(embedding, str):
        data = base64.b64decode(embedding)
        return array("f", struct.unpack(f"<{len(data) // 4}f", data))
    return array("f", embedding)


def test_numbers_and_base64_are_the_same_vectors():
    one, other = (
        read(openai_reader.objects(openai_reader.recorded(name))[0], asked("a", "b")).vectors
        for name in ("embeddings_batch", "embeddings_base64")
    )
    assert one == other


@pytest.mark.parametrize(
    ("settings", "options", "sent"),
    [
        ({}, {}, {"encoding_format": "float"}),
        ({"encoding": "base64"}, {}, {"encoding_format": "base64"}),
        ({"endpoint": "https://api.openai.com"}, {}, {"encoding_format": "base64"}),
        ({}, {"dimensions": 3}, {"encoding_format": "float", "dimensions": 3}),
    ],
)
def test_what_is_sent(settings, options, sent):
    call = model(**settings).embed(asked("a", "b", **options)).call
    assert (call.method, call.path, call.idempotent) == ("POST", "/v1/embeddings", True)
    assert call.body.value == {"model": "nomic", "input": ["a", "b"], **sent}


def row(index, *values):
    return {"index": index, "embedding": list(values)}


def test_rows_are_put_in_the_order_of_the_texts():
    found = read({"data": [row(1, 2.0), row(0, 1.0)]}, asked("a", "b"))
    assert [list(vector) for vector in found.vectors] == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "data",
    [
        [],
        [row(0, 1.0)],
        [row(0, 1.0), row(0, 2.0)],
        [row(0, 1.0), row(2, 2.0)],
        [row(0, 1.0), row(1, 1.0, 2.0)],
        [row(0, 1.0), {"index": 1, "embedding": "?"}],
        [row(0, 1.0), {"index": 1, "embedding": "eHh4"}],
        [row(0, 1.0), {"index": 1, "embedding": "AADAfw=="}],
        [row(0, 1.0), {"index": 1, "embedding": "AACA*Pw=="}],
    ],
)
def test_vectors_that_are_not_those_of_the_texts_are_a_protocol_error(data):
    failed = read({"data": data}, asked("a", "b"))
    assert isinstance(failed, Failed)
    assert (type(failed.error), failed.error.kind) == (ProtocolError, "embedding_invalid")


def test_an_error_with_status_200_is_that_error():
    failed = read({"error": {"message": "slow down", "code": 429}}, asked("a"))
    assert isinstance(failed.error, RateLimited)


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        ({"prompt_tokens": 3, "total_tokens": 3}, Usage.reported(3, None, total_tokens=3)),
        ({"prompt_tokens": 0, "total_tokens": 0}, Usage()),  # no text is without tokens
        (None, Usage()),
    ],
)
def test_a_server_that_says_0_does_not_count(said, usage):
    assert read({"data": [row(0, 1.0)], "usage": said}, asked("a")).usage == usage


def test_dimensions_that_the_model_does_not_have_are_not_supported():
    failed = read({"data": [row(0, 1.0, 2.0)]}, asked("a", dimensions=1))
    assert isinstance(failed.error, NotSupported)


def test_no_dimensions_are_refused_before_any_request():
    with pytest.raises(BadRequest, match="0 dimensions"):
        model().embed(asked("a", dimensions=0))


def test_openai_alone_has_a_limit_that_is_known():
    assert model(endpoint="https://api.openai.com").most_texts == 2048
    assert model().most_texts is None


@pytest.mark.parametrize("world", WORLDS, ids=["sync", "async"])
def test_more_texts_than_a_server_takes_are_sent_in_batches(world):
    sizes = []

    def limited(connection):
        sizes.append(len(connection.request.json()["input"]))
        if sizes[-1] > 3:
            told = "array too long. Expected an array with maximum length 3, but got one of 8"
            return refuse(400, f"Invalid 'input': {told}.", "array_above_max_length")
        return embed(connection)

    texts = ["x" * size for size in range(1, 9)]
    with (
        Server(repeat(when({"POST /v1/embeddings": limited}))) as server,
        world(openai_config(server.url), openai_registry()) as here,
    ):
        found = here.call("embed", texts, model="openai:text-embedding-3-small")
    assert [row[0] for row in found.vectors] == [float(size) for size in range(1, 9)]
    assert (sizes[0], sorted(sizes[1:])) == (8, [2, 3, 3])
    assert isinstance(found.attempts[0].error, BadRequest)
    assert found.usage == Usage.reported(8, None, total_tokens=8)
