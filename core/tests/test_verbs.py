"""Embedding and reranking through both runtimes; the names of features and types of models."""

from __future__ import annotations

import httpx
import letters
import pytest

from multitap.capabilities import CAPABILITIES
from multitap.capabilities.catalog import FEATURES, MODEL_TYPES
from multitap.capabilities.embedding import Embeddings, Vectors
from multitap.capabilities.moderation import Judgement
from multitap.capabilities.rerank import Ranked, Ranking
from multitap.errors import ProtocolError
from multitap.events import AudioData
from multitap.hookspecs import hookimpl
from multitap.runtime import Runtime
from multitap.testing import WORLDS, Server, close, request
from multitap.work import LocalExchange

SCORES = (0.2, 0.9, 0.5, 0.9, 0.1)


class Ranker:
    """Keeps what it was asked; embeds a text as its length, ranks by ``SCORES`` in any order."""

    def __init__(self):
        self.asked = []
        self.indices = (4, 2, 0, 3, 1)

    @hookimpl
    def multitap_embedding(self, backend):
        return self

    @hookimpl
    def multitap_rerank(self, backend):
        return self

    def embed(self, request):
        self.asked.append(request)
        rows = Vectors.from_rows([[float(len(text))] for text in request.texts])
        return LocalExchange(lambda emit: emit([Embeddings(vectors=rows)]))

    def rerank(self, request):
        self.asked.append(request)
        found = Ranking(results=tuple(Ranked(i, SCORES[i % 5]) for i in self.indices))
        return LocalExchange(lambda emit: emit([found]))


@pytest.fixture
def plugin():
    return Ranker()


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(plugin, request):
    one = request.param({"defaults": {"model": "acme:tiny"}}, letters.registry(acme=plugin))
    yield one
    one.close()


def test_vectors_are_in_the_order_of_the_texts(world):
    vectors = world.call("embed", ["ccc", "a", "bb"]).vectors
    assert [row[0] for row in vectors] == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("kind", ["document", "query", None])
def test_the_input_type_reaches_the_backend(world, plugin, kind):
    world.call("embed", "a", input_type=kind, dimensions=1)
    assert (plugin.asked[0].input_type, plugin.asked[0].dimensions) == (kind, 1)


DOCUMENTS = ["d0", "d1", "d2", "d3", "d4"]


@pytest.mark.parametrize(
    ("options", "indices"),
    [
        ({}, [1, 3, 2, 0, 4]),
        ({"top_n": 2}, [1, 3]),
        ({"threshold": 0.5}, [1, 3, 2]),
        ({"threshold": 0.5, "top_n": 1}, [1]),
        ({"threshold": 0.95}, []),
        ({"top_n": 9}, [1, 3, 2, 0, 4]),
    ],
)
def test_documents_are_sorted_and_cut_once_by_threshold_and_number(world, plugin, options, indices):
    results = world.call("rerank", "query", DOCUMENTS, **options).results
    assert [ranked.index for ranked in results] == indices
    assert [ranked.score for ranked in results] == [SCORES[i] for i in indices]
    asked = plugin.asked[0]
    assert (asked.top_n, asked.threshold) == (options.get("top_n"), options.get("threshold"))
    assert asked.documents == tuple(DOCUMENTS)


@pytest.mark.parametrize("strange", [5, -1])
def test_an_index_refers_to_what_was_sent(world, plugin, strange):
    plugin.indices = (0, strange)
    with pytest.raises(ProtocolError, match=f"document {strange}"):
        world.call("rerank", "query", DOCUMENTS)


def test_every_feature_has_one_name_and_every_type_one_capability():
    features = "tool-call multi-tool-call agent-thought vision stream-tool-call document video"
    assert set(FEATURES) == {*features.split(), "audio", "structured-output", "polling"}
    assert len(set(FEATURES.values())) == len(FEATURES)
    types = {"llm", "text-embedding", "rerank", "speech2text", "moderation", "tts"}
    assert set(MODEL_TYPES) == types
    assert len(set(MODEL_TYPES.values())) == len(MODEL_TYPES)
    assert set(MODEL_TYPES.values()) <= set(CAPABILITIES)


def test_a_judgement_is_a_flag_with_reasons():
    judged = Judgement(flagged=True, categories={"hate": True}, scores={"hate": 0.9})
    assert bool(judged)
    assert not Judgement(flagged=False)
    assert judged.scores == {"hate": 0.9}


def test_a_sound_says_its_type_and_sample_rate():
    piece = AudioData(b"\0", "audio/pcm", sample_rate=24_000)
    assert AudioData.from_dict(piece.to_dict()) == piece


def test_a_handle_of_a_model_asks_nobody():
    with Server([request, close]) as server:
        config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": server.url}}
        with Runtime(config, registry=letters.registry(acme=letters.OverHttp())) as rt:
            assert rt.model("acme:tiny").ref == "acme:tiny"
            assert rt.resolve("acme:other").model == "other"
            assert [backend.id for backend in rt.backends()] == ["acme"]
        assert server.connections == []


def test_one_injected_client_lists_and_chats():
    paths = []

    def answer(request):
        paths.append(request.url.path)
        return httpx.Response(200, content=b"tiny" if request.method == "GET" else b"a.")

    config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": "http://acme.example"}}
    client = httpx.Client(transport=httpx.MockTransport(answer))
    with Runtime(config, registry=letters.registry(acme=letters.OverHttp()), http=client) as rt:
        assert [model.ref for model in rt.models("ACME")] == ["acme:tiny"]
        assert rt.chat("hi").text == "a"
    assert paths == ["/models", "/chat"]


@pytest.mark.parametrize("score", [7.2, -0.1])
def test_a_score_that_is_not_from_0_to_1_is_no_score(world, plugin, score, monkeypatch):
    monkeypatch.setitem(globals(), "SCORES", (0.5, score, 0.5, 0.5, 0.5))
    with pytest.raises(ProtocolError, match=r"Document 1 is scored .*, which is not from 0 to 1"):
        world.call("rerank", "who", DOCUMENTS)
