"""Vectors and rankings of Text Embeddings Inference: what it is asked, says and refuses."""

from __future__ import annotations

import json as plain_json

import pytest
from scripted_tei import LONGEST, MODEL, MOST, WIDTH, ScriptedTei, tokens, vector_of
from scripted_tgi import ScriptedTgi
from tgi_here import tgi_config, tgi_registry

from multitap.errors import (
    AuthenticationError,
    BadRequest,
    ConfigError,
    ContextOverflow,
    EngineError,
    NotSupported,
    Overloaded,
    ProtocolError,
    ProviderDown,
)
from multitap.testing import WORLDS, Server, json, repeat, request
from multitap.work import HttpReply
from multitap_tgi.tei import TEI_MEANINGS, explain_tei

TEXTS = ["the little cat sat", "a red ball", "Zürich — 東京"]
DOCUMENTS = ["a red ball", "the little cat sat", "nothing"]


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def at(request):
    """Opens a runtime for a server, and closes it."""
    opened = []

    def make(server, **section):
        opened.append(request.param(tgi_config(server.url, **section), tgi_registry()))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def embedder():
    with ScriptedTei() as server:
        yield server


@pytest.fixture
def reranker():
    with ScriptedTei("reranker") as server:
        yield server


def rows_of(found):
    return [list(row) for row in found.vectors]


def sizes(server, field):
    return [len(sent.json()[field]) for sent in server.requests if sent.method == "POST"]


# ---- vectors -------------------------------------------------------------------------------------


def test_every_text_has_its_vector_and_nothing_is_cut(embedder, at):
    found = at(embedder).call("embed", TEXTS)
    assert rows_of(found) == [pytest.approx(vector_of(text)) for text in TEXTS]
    assert found.usage.input_tokens == sum(map(tokens, TEXTS))
    assert (found.usage.source, found.warnings) == ("reported", ())
    (sent,) = embedder.requests
    assert (sent.method, sent.path) == ("POST", "/embed")
    assert sent.json() == {"inputs": TEXTS, "truncate": False}


def test_fewer_dimensions_and_more_than_there_are(embedder, at):
    here = at(embedder)
    assert here.call("embed", TEXTS, dimensions=2).vectors.width == 2
    assert embedder.requests[-1].json()["dimensions"] == 2
    with pytest.raises(NotSupported) as caught:
        here.call("embed", TEXTS, dimensions=WIDTH + 1)
    assert (caught.value.kind, caught.value.status) == ("dimensions_unsupported", 422)
    asked = len(embedder.requests)
    with pytest.raises(BadRequest, match="0 dimensions"):
        here.call("embed", TEXTS, dimensions=0)
    assert len(embedder.requests) == asked


def test_a_server_that_passes_over_the_dimensions_is_found_out(at):
    server = Server(repeat(request, json([[1.0, 2.0]])))
    with server, pytest.raises(NotSupported, match="2 dimensions, not 1"):
        at(server).call("embed", "hi", dimensions=1)


def test_what_is_not_heard_is_told(embedder, at):
    (notice,) = at(embedder).call("embed", TEXTS, input_type="query").warnings
    assert (notice.code, notice.option) == ("unsupported_option", "input_type")


@pytest.mark.parametrize("texts", [[], ["fine", ""]])
def test_no_text_is_refused_before_anything_is_sent(embedder, at, texts):
    with pytest.raises(ConfigError):
        at(embedder).call("embed", texts)
    assert embedder.requests == []


def test_the_text_that_is_too_long_is_named(embedder, at):
    with pytest.raises(ContextOverflow) as caught:
        at(embedder).call("embed", ["short", "much " * LONGEST])
    error = caught.value
    assert (error.limit, error.needed, error.texts) == (LONGEST, LONGEST + 2, range(1, 2))
    assert "Shorten the text" in error.hint


def test_it_is_learned_how_many_texts_are_taken_at_once(embedder, at):
    here, texts = at(embedder), [f"text {n}" for n in range(10)]
    found = here.call("embed", texts)
    assert rows_of(found) == [pytest.approx(vector_of(text)) for text in texts]
    assert found.usage.input_tokens == sum(map(tokens, texts))
    first = sizes(embedder, "inputs")
    assert (first[0], max(first[1:]), sum(first[1:])) == (10, MOST, 10)
    here.call("embed", texts)
    assert max(sizes(embedder, "inputs")[len(first) :]) == MOST


def test_a_request_of_too_many_bytes_is_sent_in_parts(at):
    with ScriptedTei(payload=100) as server:
        found = at(server).call("embed", ["x" * 50, "y" * 50])
    assert len(found.vectors) == 2
    assert sizes(server, "inputs") == [2, 1, 1]


def test_a_count_that_is_not_said_is_unknown(at):
    with Server(repeat(request, json([[1.0]]))) as server:
        usage = at(server).call("embed", "hi").usage
    assert (usage.input_tokens, usage.source) == (None, "unknown")


@pytest.mark.parametrize("body", [[[1.0, None]], [[1.0], [2.0]], [], {"error": "no"}, [[]]])
def test_what_is_no_vector_for_each_text_is_refused(at, body):
    with Server(repeat(request, json(body))) as server, pytest.raises(ProtocolError):
        at(server).call("embed", "hi")


# ---- rankings ------------------------------------------------------------------------------------


def test_documents_come_in_order_of_relevance(reranker, at):
    found = at(reranker).call("rerank", "little cat", DOCUMENTS)
    assert [(one.index, one.score) for one in found.results] == [(1, 1.0), (0, 0.0), (2, 0.0)]
    assert found.usage.input_tokens == sum(tokens(f"little cat {text}") for text in DOCUMENTS)
    (sent,) = reranker.requests
    body = {"query": "little cat", "texts": DOCUMENTS, "truncate": False}
    assert (sent.path, sent.json()) == ("/rerank", body)


def test_more_documents_than_are_taken_at_once_are_ranked_in_parts(reranker, at):
    documents = [f"document {n}" for n in range(9)] + ["document 4 cat"]
    found = at(reranker).call("rerank", "cat 4", documents, top_n=2)
    assert [(one.index, one.score) for one in found.results] == [(9, 1.0), (4, 0.5)]
    assert [sent.path for sent in reranker.requests][:2] == ["/rerank", "/info"]
    assert sizes(reranker, "texts") == [10, MOST, MOST, 2]
    count = sum(tokens(f"cat 4 {text}") for text in documents)
    assert found.usage.input_tokens == count


def test_no_document_is_refused_before_anything_is_sent(reranker, at):
    with pytest.raises(ConfigError):
        at(reranker).call("rerank", "cat", [])
    assert reranker.requests == []


def test_a_document_that_is_too_long_is_not_cut(reranker, at):
    with pytest.raises(ContextOverflow) as caught:
        at(reranker).call("rerank", "cat", ["much " * LONGEST])
    assert caught.value.limit == LONGEST


@pytest.mark.parametrize(
    "rows",
    [
        [{"index": 0, "score": 0.5}],
        [{"index": 0, "score": 0.5}, {"index": 0, "score": 0.4}],
        [{"index": 0, "score": 0.5}, {"index": 2, "score": 0.4}],
        [{"index": 0, "score": 5.0}, {"index": 1, "score": 0.4}],
        [{"index": 0, "score": None}, {"index": 1, "score": 0.4}],
    ],
)
def test_what_is_no_ranking_is_refused(at, rows):
    with Server(repeat(request, json(rows))) as server, pytest.raises(ProtocolError):
        at(server).call("rerank", "cat", ["a", "b"])


# ---- who answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [("embed", "hi"), ("rerank", "cat", ["a"])], ids=["embed", "rank"])
def test_tgi_itself_has_none_of_it_and_it_is_said_what_to_do(at, call):
    with ScriptedTgi() as server, pytest.raises(NotSupported) as caught:
        at(server).call(*call)
    assert (caught.value.backend, caught.value.kind) == ("tgi", "not_tei")
    assert 'provider = "tgi"' in str(caught.value)


def test_a_model_that_is_made_for_something_else_says_so(embedder, reranker, at):
    with pytest.raises(NotSupported, match="not an embedding model"):
        at(reranker).call("embed", "hi")
    with pytest.raises(NotSupported, match="not a re-ranker model"):
        at(embedder).call("rerank", "cat", ["a"])


@pytest.mark.parametrize(
    ("kind", "can"),
    [
        ("embedding", {"embedding", "tokenize"}),
        ("reranker", {"rerank", "tokenize"}),
        ("classifier", {"tokenize"}),
    ],
)
def test_the_model_is_listed_with_what_it_can(at, kind, can):
    with ScriptedTei(kind) as server:
        here = at(server)
        (model,) = here.call("models")
        found = here.call("validate", "tgi")
    assert (model.id, model.capabilities, model.context_length) == (MODEL, can, LONGEST)
    assert model.meta == {"revision": "abc", "most_texts": str(MOST)}
    assert found.server == "Text Embeddings Inference 1.9.3"


def test_the_key_is_wanted(at):
    with ScriptedTei(key="sesame") as server:
        assert at(server, api_key="sesame").call("embed", "hi").vectors.width == WIDTH
        for call in (("embed", "hi"), ("models", "tgi"), ("validate", "tgi")):
            with pytest.raises(AuthenticationError):
                at(server, api_key="wrong").call(*call)


def test_tokens_come_without_what_stands_around_them(embedder, at):
    here = at(embedder)
    assert here.call("tokenize", "Zürich is near").pieces == ("Zürich".encode(), b" is", b" near")
    assert here.call("tokenize", "a b", special=True).ids == (101, 0, 1, 102)


# ---- what it says, by the sources of its router --------------------------------------------------

DIMENSIONS = "`dimensions` should be smaller than the maximum embedding dimension."
SAID = {
    "Input validation error: `inputs` must have less than 512 tokens. Given: 600": ContextOverflow,
    "Input validation error: `inputs` must have less than 128000 characters. Given: 200000": (
        ContextOverflow
    ),
    f"Input validation error: {DIMENSIONS}": NotSupported,
    "Input validation error: `dimensions` should be positive": BadRequest,
    "Input validation error: `inputs` cannot be empty": BadRequest,
    "batch size 33 > maximum allowed batch size 32": BadRequest,
    "tokenizer error unk_token": BadRequest,
    "Backend error: Model is not an embedding model": NotSupported,
    "Backend error: `normalize` is not available for SPLADE models": NotSupported,
    "Backend error: model is not a re-ranker model": NotSupported,
    "Backend error: Model is not a classifier model": NotSupported,
    "Model is overloaded": Overloaded,
    "Backend error: cublas failed": EngineError,
    "unhealthy": ProviderDown,
}
PLAIN = {
    "Failed to buffer the request body: length limit exceeded": BadRequest,
    "Failed to deserialize the JSON body into the target type: missing field `inputs`": BadRequest,
}


@pytest.mark.parametrize("text", [*SAID, *PLAIN])
def test_every_refusal_has_its_class_and_a_next_step(text):
    body = text if text in PLAIN else plain_json.dumps({"error": text, "error_type": "Backend"})
    error = explain_tei(HttpReply(422, {}, body.encode()))
    assert (type(error), error.message) == ({**SAID, **PLAIN}[text], text)
    assert error.hint.endswith(".")


def test_no_row_of_the_table_is_without_a_text():
    texts = [*SAID, *PLAIN]
    used = {next(row for row in TEI_MEANINGS if row.says.match(text)) for text in texts}
    assert used == set(TEI_MEANINGS)
