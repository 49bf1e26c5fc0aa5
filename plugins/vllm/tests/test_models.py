"""Catalog and provider: what a server has, what it can do, and whether the key is good."""

from __future__ import annotations

import json

import pytest
import vllm_reader
from scripted_vllm import MODELS, ScriptedVllm
from vllm_here import vllm_config, vllm_registry

from multitap.capabilities.catalog import Model
from multitap.errors import AuthenticationError, ModelNotFound, ProtocolError, ProviderDown
from multitap.hookspecs import Backend
from multitap.testing import WORLDS, Server, repeat, request, respond
from multitap.testing import json as json_answer
from multitap.work import HttpReply, Out
from multitap_vllm.catalog import multitap_catalog
from multitap_vllm.provider import multitap_provider

BACKEND = Backend(id="vllm", provider="vllm")
HEAR = "/v1/audio/transcriptions"
CHAT = ("/v1/embeddings", "/v1/rerank", HEAR)  # what a generating model has no route for
POOLING = ("/v1/chat/completions", HEAR)


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes runtimes in blocking code, or on an event loop."""
    return request.param


def ask(world, server, method, *args, **settings):
    with world(vllm_config(server.url, **settings), vllm_registry()) as here:
        return here.call(method, *args)


def run(work, answers):
    """What an operation gives for these recorded answers, by path."""
    steps, found, sent = work.steps(), [], []
    reply = None
    while True:
        try:
            step = steps.send(reply)
        except StopIteration:
            return found, sent
        while not isinstance(step, Out):
            sent.append(f"{step.method} {step.path}")
            recorded = answers[step.path]
            answer = HttpReply(recorded.status, recorded.headers, recorded.body)
            try:
                step = (
                    steps.send(answer) if answer.status < 400 else steps.throw(work.explain(answer))
                )
            except StopIteration:
                return found, sent
        found += step.items
        reply = None


def recorded(**names):
    answers = {"/is_sleeping": vllm_reader.recorded("error_unknown_path")}
    paths = {"models": "/v1/models", "version": "/version", "chat": "/v1/chat/completions"}
    paths |= {"embedding": "/v1/embeddings", "rerank": "/v1/rerank", "transcription": HEAR}
    return answers | {paths[key]: vllm_reader.recorded(name) for key, name in names.items()}


THERE, MISSING = "error_wrong_method", "error_unknown_path"


@pytest.mark.parametrize(
    ("list_", "routes", "capabilities"),
    [
        ("models", (THERE, MISSING, MISSING, MISSING), {"chat", "tokenize"}),
        ("models", (MISSING, MISSING, MISSING, THERE), {"transcription", "tokenize"}),
        ("embed_models", (MISSING, THERE, THERE, MISSING), {"embedding", "rerank", "tokenize"}),
        ("rerank_models", (MISSING, MISSING, THERE, MISSING), {"rerank", "tokenize"}),
        ("models", (MISSING,) * 4, None),
    ],
)
def test_a_recorded_list_and_the_routes_that_are_there(list_, routes, capabilities):
    names = ("chat", "embedding", "rerank", "transcription")
    answers = recorded(models=list_, **dict(zip(names, routes, strict=True)))
    found, sent = run(multitap_catalog(BACKEND).models(), answers)
    (row,) = json.loads(vllm_reader.recorded(list_).body)["data"]
    facts = ["context_length", *(["capabilities"] if capabilities else [])]
    assert found == [
        Model(
            id=row["id"],
            capabilities=capabilities if capabilities is None else frozenset(capabilities),
            context_length=row["max_model_len"],
            loaded=True,
            meta={"root": row["root"]},
            sources=dict.fromkeys(facts, "probed"),
        )
    ]
    assert sent == [
        "GET /v1/models",
        "GET /v1/chat/completions",
        "GET /v1/embeddings",
        "GET /v1/rerank",
        f"GET {HEAR}",
        "GET /is_sleeping",
    ]


def test_the_recorded_version():
    answers = recorded(models="models", version="version")
    ((found,), sent) = run(multitap_provider(BACKEND).validate("tiny"), answers)
    assert (found.server, found.models) == ("vLLM 0.32.0", 1)
    assert sent == ["GET /version", "GET /v1/models"]


def test_a_key_that_is_missing_is_said_by_the_list():
    answers = recorded(models="models_no_key", version="version")
    with pytest.raises(AuthenticationError):
        run(multitap_provider(BACKEND).validate(None), answers)


@pytest.mark.parametrize(
    ("without", "capabilities"),
    [
        ((), {"chat", "embedding", "rerank", "transcription", "tokenize"}),
        (CHAT, {"chat", "tokenize"}),
        (POOLING, {"embedding", "rerank", "tokenize"}),
    ],
)
def test_models_and_what_they_can_do(world, without, capabilities):
    with ScriptedVllm(without=without) as server:
        found = ask(world, server, "models")
    assert [model.ref for model in found] == [f"vllm:{name}" for name in MODELS]
    assert {frozenset(capabilities)} == {model.capabilities for model in found}
    assert {(1000, True)} == {(model.context_length, model.loaded) for model in found}


def test_a_lora_has_the_context_of_its_base(world):
    rows = [
        {"id": "base", "root": "org/base", "parent": None, "max_model_len": 64},
        {"id": "lora", "root": "/loras/a", "parent": "base", "max_model_len": None},
        {"id": "stray", "root": "/loras/b", "parent": "gone", "max_model_len": None},
        {"id": None},
    ]
    with Server(repeat(request, json_answer({"data": rows}))) as server:
        found = {model.id: model for model in ask(world, server, "models")}
    assert {name: model.context_length for name, model in found.items()} == {
        "base": 64,
        "lora": 64,
        "stray": None,
    }
    assert found["lora"].meta["parent"] == "base"
    assert "context_length" not in found["stray"].sources


def test_one_model_can_be_described_and_another_is_not_there(world):
    with ScriptedVllm() as server:
        assert ask(world, server, "describe", "vllm:tiny").context_length == 1000
        with pytest.raises(ModelNotFound) as caught:
            ask(world, server, "describe", "vllm:huge")
    assert (caught.value.backend, caught.value.model) == ("vllm", "huge")


def test_another_kind_of_server_is_named(world):
    other = repeat(request, respond(404, {}, "404 page not found"))
    with Server(other) as server, pytest.raises(ProtocolError, match="not found"):
        ask(world, server, "validate", "vllm")


# ---- is the endpoint right, is the key good? -----------------------------------------------------


def test_server_and_key_are_proved(world):
    with ScriptedVllm(key="sesame") as server:
        found = ask(world, server, "validate", "vllm", api_key="sesame")
        assert (found.server, found.models) == ("vLLM 0.32.0", len(MODELS))
        with pytest.raises(AuthenticationError) as caught:
            ask(world, server, "validate", "vllm", api_key="hush-canary-wrong")
    assert caught.value.status == 401
    assert "hush-canary-wrong" not in f"{caught.value} {caught.value!r}"


def test_where_the_version_is_not_let_through_the_key_is_proved_all_the_same(world):
    with ScriptedVllm(key="sesame", without=("/version",)) as server:
        found = ask(world, server, "validate", "vllm", api_key="sesame")
    assert (found.server, found.models) == (None, len(MODELS))


def test_a_server_that_breaks_is_no_good_endpoint(world):
    with Server(repeat(request, respond(500, {}, ""))) as server, pytest.raises(ProviderDown):
        ask(world, server, "validate", "vllm")


@pytest.mark.parametrize(
    ("name", "owner", "title"),
    [("tiny", "llamacpp", "llama-server"), ("tiny", "tiny", "TGI"), ("m", "library", "Ollama")],
)
def test_another_server_at_the_endpoint_is_named(name, owner, title):
    bodies = {"/version": {}, "/v1/models": {"data": [{"id": name, "owned_by": owner}]}}
    answers = {path: HttpReply(200, {}, json.dumps(body).encode()) for path, body in bodies.items()}
    with pytest.raises(ProtocolError, match=f"{title} answers at this endpoint, not vLLM"):
        run(multitap_provider(BACKEND).validate(None), answers)
