"""Rerank: what is sent, and whose score is whose."""

from __future__ import annotations

import json

import pytest
import vllm_reader

from multitap.capabilities.rerank import Ranked, RerankRequest
from multitap.errors import ProtocolError
from multitap.events import Failed, Usage
from multitap.hookspecs import Backend
from multitap.testing import assert_chunking_invariant, outputs_of
from multitap.work import Head, Json
from multitap_vllm.calls import SILENCE
from multitap_vllm.rerank import multitap_rerank

DOCUMENTS = ("the little cat", "a red ball", "a golden key")
RECORDED = ("rerank", "rerank_plain_path", "rerank_v2")


def work(documents=DOCUMENTS, scores=None, **asked):
    request = RerankRequest(model="m", query="cat", documents=documents, **asked)
    settings = {"rerank_scores": scores} if scores else {}
    return multitap_rerank(Backend(id="box", provider="vllm", settings=settings)).rerank(request)


def read(data, **asked):
    (result,) = outputs_of(work(**asked).decoder(Head(200, {})), [data])
    return result.error if isinstance(result, Failed) else result


@pytest.mark.parametrize(
    ("asked", "added"),
    [({}, {}), ({"top_n": 2}, {"top_n": 2}), ({"top_n": 0}, {}), ({"threshold": 0.5}, {})],
)
def test_the_body(asked, added):
    call = work(**asked).call
    body = {"model": "m", "query": "cat", "documents": list(DOCUMENTS)}
    assert call.body == Json({**body, **added})
    assert (call.method, call.path, call.idempotent) == ("POST", "/v1/rerank", True)
    assert call.first_byte == SILENCE


@pytest.mark.parametrize("name", RECORDED)
def test_scores_are_those_that_score_gives_in_the_documents_order(name):
    (scored,) = vllm_reader.objects(vllm_reader.recorded("score"))
    scores = [row["score"] for row in scored["data"]]
    found = read(vllm_reader.recorded(name).body)
    assert {row.index: row.score for row in found.results} == dict(enumerate(scores))
    assert [row.score for row in found.results] == sorted(scores, reverse=True)
    assert found.usage == Usage.reported(21, None, total_tokens=21)


def test_of_the_best_ones_only_as_many_come_as_were_asked_for():
    found = read(vllm_reader.recorded("rerank_top_n").body, top_n=1)
    assert found.results == (Ranked(1, 0.7508835792541504),)


def test_one_pair_scores_the_same_alone():
    (alone,) = vllm_reader.objects(vllm_reader.recorded("score_v1"))
    found = read(vllm_reader.recorded("rerank").body)
    assert alone["data"][0]["score"] == next(r.score for r in found.results if r.index == 0)


def scored(*numbers):
    rows = [{"index": place, "relevance_score": number} for place, number in enumerate(numbers)]
    return json.dumps({"results": rows}).encode()


def test_an_embedders_cosines_become_scores_from_0_to_1():
    (reply,) = vllm_reader.objects(vllm_reader.recorded("score_by_embedding"))
    data = scored(*(row["score"] for row in reply["data"]))
    found = read(data, documents=("a", "b"), scores="cosine")
    assert found.results == (Ranked(0, 1.0), Ranked(1, (1 + 0.768447756767273) / 2))
    opposite = read(scored(-1.0, 1.0000004), documents=("a", "b"), scores="cosine")
    assert opposite.results == (Ranked(0, 0.0), Ranked(1, 1.0))


def test_logits_become_scores_from_0_to_1():
    found = read(scored(0.0, 11.0, -11.0), scores="logit")
    assert [row.score for row in found.results] == pytest.approx([0.5, 1.0, 0.0], abs=1e-4)


@pytest.mark.parametrize(
    ("number", "scores"), [(-0.3, None), (7.2, None), (7.2, "cosine"), (-1.2, "cosine")]
)
def test_a_score_that_cannot_be_is_refused_with_what_to_set(number, scores):
    error = read(scored(0.5, number, 0.5), scores=scores)
    assert (type(error), error.kind) == (ProtocolError, "scores_unknown")
    assert "rerank_scores" in error.hint


@pytest.mark.parametrize("name", [*RECORDED, "right_key"])
def test_where_the_bytes_are_cut_makes_no_difference(name):
    documents = ("cat",) if name == "right_key" else DOCUMENTS
    body = vllm_reader.recorded(name).body
    make = lambda: work(documents).decoder(Head(200, {}))  # noqa: E731
    (found,) = assert_chunking_invariant(make, body)
    assert len(found.results) == len(documents)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"index": 0, "relevance_score": 0.5}],
        [{"index": index, "relevance_score": None} for index in range(3)],
        [{"index": index, "relevance_score": 0.5} for index in (0, 1, 3)],
        [{"index": index, "relevance_score": 0.5} for index in (0, 1, -1)],
        [{"index": index, "relevance_score": 0.5} for index in (0, 1, 1)],
    ],
)
def test_a_ranking_that_does_not_fit_the_documents_is_refused(rows):
    assert isinstance(read(json.dumps({"results": rows}).encode()), ProtocolError)
