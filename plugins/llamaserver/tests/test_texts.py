"""Embedding, rerank and tokens: what is sent, and that the numbers are just those of the server."""

from __future__ import annotations

import json
import math
from array import array

import llamaserver_reader as reader
import pytest

from multitap.capabilities.embedding import EmbeddingRequest
from multitap.capabilities.rerank import Ranked, RerankRequest, sigmoid
from multitap.capabilities.tokenize import DetokenizeRequest, TokenizeRequest
from multitap.errors import NotSupported, ProtocolError
from multitap.events import Failed
from multitap.hookspecs import Backend
from multitap.testing import assert_chunking_invariant
from multitap.work import Head, Json
from multitap_llamaserver.embedding import multitap_embedding
from multitap_llamaserver.rerank import multitap_rerank
from multitap_llamaserver.tokenize import multitap_tokenize

BACKEND = Backend(id="box", provider="llamaserver")


def embed(*texts, **asked):
    return multitap_embedding(BACKEND).embed(EmbeddingRequest(model="m", texts=texts, **asked))


def rerank(*documents):
    request = RerankRequest(model="m", query="cat", documents=documents)
    return multitap_rerank(BACKEND).rerank(request)


def tokenize(text, **asked):
    return multitap_tokenize(BACKEND).tokenize(TokenizeRequest(model="m", text=text, **asked))


def detokenize(*ids):
    return multitap_tokenize(BACKEND).detokenize(DetokenizeRequest(model="m", ids=ids))


def read(work, body):
    """The one result, or the error, wherever the body is cut."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    (result,) = assert_chunking_invariant(lambda: work.decoder(Head(200, {})), data)
    return result.error if isinstance(result, Failed) else result


of_both = pytest.mark.parametrize("server", [reader.OWN, reader.IN_PYTHON])


def said(server, name):
    """What one of the servers answered."""
    return json.loads(reader.recorded(f"{server}/{name}").body)


SENT = {
    "texts": (
        embed("a", "b"),
        "/v1/embeddings",
        {"model": "m", "input": ["a", "b"], "encoding_format": "base64"},
    ),
    "documents": (
        rerank("a", "b"),
        "/v1/rerank",
        {"model": "m", "query": "cat", "documents": ["a", "b"]},
    ),
    "a text to split": (
        tokenize("hi"),
        "/tokenize",
        {
            "model": "m",
            "content": "hi",
            "add_special": False,
            "parse_special": False,
            "with_pieces": True,
        },
    ),
    "tokens to join": (detokenize(1, 2), "/detokenize", {"model": "m", "tokens": [1, 2]}),
}


@pytest.mark.parametrize("name", SENT)
def test_the_body(name):
    work, path, body = SENT[name]
    assert work.call.body == Json(body)
    assert (work.call.method, work.call.path, work.call.idempotent) == ("POST", path, True)


# ---- embedding -----------------------------------------------------------------------------------


def recorded(path, status=200):
    found = [reader.recorded(name) for name in reader.names("test_texts")]
    return [r.name for r in found if r.path == path and r.status == status]


@pytest.mark.parametrize("name", recorded("/v1/embeddings"))
def test_recorded_vectors_are_read_as_a_plain_reader_reads_them(name):
    answer = json.loads(reader.recorded(name).body)
    texts = [str(row["index"]) for row in answer["data"]]
    found = read(embed(*texts), answer)
    rows = [list(array("f", reader.numbers(row["embedding"]))) for row in answer["data"]]
    assert [list(row) for row in found.vectors] == rows
    assert found.usage.input_tokens == answer["usage"]["prompt_tokens"]


@of_both
def test_base64_holds_the_numbers_that_are_written_in_digits_otherwise(server):
    found = [read(embed("0", "1"), said(server, f"embeddings_{n}")) for n in ("base64", "batch")]
    assert found[0].vectors == found[1].vectors
    assert len(found[0].vectors) == 2


@of_both
@pytest.mark.parametrize(
    ("name", "native"),
    [
        ("embeddings_single", "native_embedding"),
        ("embeddings_batch", "native_embeddings_batch"),
    ],
)
def test_they_are_those_of_the_native_route(server, name, native):
    answer, own = said(server, name), said(server, native)
    assert [row["embedding"] for row in answer["data"]] == [row["embedding"][0] for row in own]


@of_both
def test_dimensions_are_ignored_by_the_server_and_so_refused(server):
    recorded = reader.recorded(f"{server}/embeddings_dimensions")
    asked = json.loads(recorded.request)["dimensions"]
    error = read(embed("the little cat sat", dimensions=asked), recorded.body)
    assert isinstance(error, NotSupported)
    assert f"64 dimensions, not {asked}" in error.message


# ---- rerank --------------------------------------------------------------------------------------

RANKINGS = [
    name
    for path in ("/v1/rerank", "/rerank", "/v1/reranking", "/reranking")
    for name in recorded(path)
    if "documents" in json.loads(reader.recorded(name).request)
    and "top_n" not in json.loads(reader.recorded(name).request)
]


@pytest.mark.parametrize("name", RANKINGS)
def test_recorded_logits_become_scores_in_the_same_order(name):
    recorded = reader.recorded(name)
    found = read(rerank(*json.loads(recorded.request)["documents"]), recorded.body)
    answer = json.loads(recorded.body)
    assert [(row.index, row.score) for row in found.results] == [
        (row["index"], pytest.approx(1 / (1 + math.exp(-row["relevance_score"]))))
        for row in answer["results"]
    ]
    assert found.usage.input_tokens == answer["usage"]["prompt_tokens"]


@of_both
def test_the_form_of_tei_has_the_same_logits(server):
    own, tei = said(server, "rerank"), said(server, "rerank_tei")
    assert [row["relevance_score"] for row in own["results"]] == [row["score"] for row in tei]


@of_both
def test_half_of_the_documents_is_no_ranking(server):
    best = said(server, "rerank_top_n")
    assert isinstance(read(rerank("a", "b", "c"), best), ProtocolError)
    twice = {"results": [{"index": 0, "relevance_score": 1.0}] * 2}
    assert isinstance(read(rerank("a", "b"), twice), ProtocolError)


def test_a_logit_of_nothing_is_half():
    body = {"results": [{"index": 0, "relevance_score": 0.0}]}
    assert read(rerank("a"), body).results == (Ranked(0, 0.5),)
    assert sigmoid(-1e9) == 0.0


# ---- tokens --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", recorded("/tokenize"))
def test_recorded_tokens(name):
    recorded = reader.recorded(name)
    answer, asked = json.loads(recorded.body)["tokens"], json.loads(recorded.request)
    found = read(tokenize(asked["content"]), recorded.body)
    if "with_pieces" in asked:
        assert found.ids == tuple(token["id"] for token in answer)
        assert b"".join(found.pieces).decode() == asked["content"]
    else:
        assert (found.ids, found.pieces) == (tuple(answer), None)


@pytest.mark.parametrize("name", recorded("/detokenize"))
def test_recorded_texts_of_tokens(name):
    recorded = reader.recorded(name)
    found = read(detokenize(*json.loads(recorded.request)["tokens"]), recorded.body)
    assert found.text == json.loads(recorded.body)["content"] == "IJK"


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank", "/tokenize", "/detokenize"])
def test_both_servers_are_heard_on_every_path(path):
    assert {name.partition("/")[0] for name in recorded(path)} == {reader.OWN, reader.IN_PYTHON}


def test_half_a_character_is_bytes():
    tokens = [
        {"id": 1, "piece": "a"},
        {"id": 2, "piece": [240, 159]},
        {"id": 3, "piece": [166, 138]},
    ]
    found = read(tokenize("a🦊"), {"tokens": tokens})
    assert (found.ids, b"".join(found.pieces).decode()) == ((1, 2, 3), "a🦊")


@pytest.mark.parametrize("work", [tokenize("a"), detokenize(1)], ids=["split", "join"])
def test_an_answer_without_the_thing_is_no_answer(work):
    assert isinstance(read(work, {"error": None}), ProtocolError)
