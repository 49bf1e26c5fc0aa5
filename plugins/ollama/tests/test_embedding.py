"""Embedding: what is sent, and that the vectors are just those of the server."""

from __future__ import annotations

import base64
import json
from array import array

import ollama_reader
import pytest

from multitap.capabilities.embedding import EmbeddingRequest, Embeddings, Vectors
from multitap.errors import BadRequest, ContextOverflow, NotSupported, ProtocolError
from multitap.events import Failed, Usage
from multitap.hookspecs import Backend
from multitap.work import Head, HttpReply, Json
from multitap_ollama.embedding import multitap_embedding
from multitap_ollama.requests import SILENCE


def work(*texts, settings=None, **asked):
    backend = Backend(id="box", provider="ollama", settings=settings or {})
    request = EmbeddingRequest(model="m", texts=texts or ("a",), **asked)
    return multitap_embedding(backend).embed(request)


def read(data, *texts, cuts=(), **asked):
    """The one result, or the error, of a body in these pieces."""
    decoder, out, start = work(*texts, **asked).decoder(Head(200, {})), [], 0
    for cut in (*cuts, len(data)):
        out += decoder.feed(data[start:cut])
        start = cut
    (result,) = [*out, *decoder.finish()]
    return result.error if isinstance(result, Failed) else result


def body(rows, **more):
    return json.dumps({"model": "m", "embeddings": rows, **more}).encode()


# ---- what is sent --------------------------------------------------------------------------------

BARE = {"model": "m", "input": ["a", "b"], "truncate": False}


@pytest.mark.parametrize(
    ("settings", "asked", "added"),
    [
        ({}, {}, {}),
        ({}, {"dimensions": 3}, {"dimensions": 3}),
        ({}, {"input_type": "query"}, {}),
        ({"num_ctx": 64, "keep_alive": "60"}, {}, {"options": {"num_ctx": 64}, "keep_alive": 60}),
    ],
)
def test_the_body(settings, asked, added):
    call = work("a", "b", settings=settings, **asked).call
    assert call.body == Json({**BARE, **added})
    assert (call.method, call.path, call.idempotent) == ("POST", "/api/embed", True)
    assert call.first_byte == SILENCE


@pytest.mark.parametrize("dimensions", [0, -1])
def test_no_dimensions_are_refused_as_ollama_would_give_all(dimensions):
    with pytest.raises(BadRequest):
        work(dimensions=dimensions)


# ---- what comes back -----------------------------------------------------------------------------

ROWS = [[1.0, 0.5], [0.25, -1.0]]


@pytest.mark.parametrize("cuts", [(), (1,), (20, 21), (5, 30, 31)])
def test_vectors_come_in_the_order_of_the_texts(cuts):
    data = body(ROWS, prompt_eval_count=7)
    usage = Usage.reported(7, None, total_tokens=7)
    wanted = Embeddings(vectors=Vectors.from_rows(ROWS), usage=usage, model="m")
    assert read(data, "a", "b", cuts=cuts) == wanted


def test_usage_is_unknown_where_the_server_does_not_count():
    assert read(body(ROWS), "a", "b").usage == Usage()


@pytest.mark.parametrize(
    "data",
    [body(ROWS), body([]), body([[]]), b'{"model": "m"}', body([[1.0], [1.0, 2.0]]), b"[]", b""],
)
def test_anything_but_a_vector_for_each_text_breaks_the_format(data):
    texts = "ab" if data == body([[1.0], [1.0, 2.0]]) else "a"
    assert isinstance(read(data, *texts), ProtocolError)


def test_another_width_than_was_asked_for_is_an_error_that_names_both():
    error = read(body([[1.0, 2.0]]), "a", dimensions=8)
    assert isinstance(error, NotSupported)
    assert "2 dimensions, not 8" in error.message


@pytest.mark.parametrize("text", ["embedding contains NaN or Inf values"])
def test_what_is_no_number_is_an_error_and_not_a_vector(text):
    reply = HttpReply(400, {}, json.dumps({"error": text}).encode())
    error = work().explain(reply)
    assert (type(error), error.kind) == (ProtocolError, "embedding_invalid")


# ---- beside what was recorded --------------------------------------------------------------------

RECORDED = [
    name
    for name in ollama_reader.names("test_embedding")
    if ollama_reader.recorded(name).path == "/api/embed"
]
ANSWERS = [name for name in RECORDED if ollama_reader.recorded(name).status == 200]


def texts_of(recorded):
    texts = json.loads(recorded.request).get("input") or []
    return [texts] if isinstance(texts, str) else texts


@pytest.mark.parametrize("name", ANSWERS)
def test_a_recorded_answer_is_read_as_a_plain_reader_reads_it(name):
    recorded = ollama_reader.recorded(name)
    wanted, texts = json.loads(recorded.body), texts_of(recorded)
    if not texts:  # an order to load the model, which is never sent from here
        assert wanted["embeddings"] == []
        return
    found = read(recorded.body, *texts)
    assert [list(row) for row in found.vectors] == [
        list(array("f", r)) for r in wanted["embeddings"]
    ]
    assert found.usage.input_tokens == wanted["prompt_eval_count"]


@pytest.mark.parametrize("name", ["api_embed_over_error", "api_embed_batch_over_error"])
def test_a_text_that_is_too_long_is_refused_and_not_cut(name):
    recorded = ollama_reader.recorded(name)
    assert json.loads(recorded.request)["truncate"] is work().call.body.value["truncate"]
    answer = HttpReply(recorded.status, recorded.headers, recorded.body)
    assert isinstance(work().explain(answer), ContextOverflow)


def test_the_numbers_are_to_the_last_bit_those_of_base64():
    plain, coded = map(ollama_reader.recorded, ("api_embed_batch", "embeddings_base64_batch"))
    assert texts_of(plain)[:2] == texts_of(coded)
    rows = [base64.b64decode(row["embedding"]) for row in json.loads(coded.body)["data"]]
    vectors = read(plain.body, *texts_of(plain)).vectors
    assert [bytes(row) for row in vectors[:2]] == rows


def test_the_numbers_are_those_of_the_old_path_with_all_its_digits():
    plain, old = map(ollama_reader.recorded, ("api_embed", "api_embeddings"))
    vectors = read(plain.body, *texts_of(plain)).vectors
    assert list(vectors[0]) == json.loads(old.body)["embedding"]
