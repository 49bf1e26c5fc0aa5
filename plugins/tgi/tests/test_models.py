"""The catalog, and what a server says of itself, by what was recorded."""

from __future__ import annotations

import json

import pytest
import tgi_reader
from tgi_here import tgi_config, tgi_registry

from multitap.errors import AuthenticationError, ModelNotFound, ProtocolError, ProviderDown
from multitap.testing import WORLDS, Recording, Server, repeat, respond, when
from multitap.testing import json as json_answer

MODEL = "acme/tiny-llama"
NAMES = tgi_reader.names("test_models")


def answer(name):
    return Recording.load(tgi_reader.RECORDINGS / f"{name}.json").answer()


def routes(**paths):
    """A server that answers these paths as was recorded, and no other."""
    given = {"health": "health", "info": "info", "tokenize": "tokenize", **paths}
    methods = {"health": "GET /health", "info": "GET /info", "tokenize": "POST /tokenize"}
    known = {methods.get(n, n): answer(r) if isinstance(r, str) else r for n, r in given.items()}
    return Server(repeat(when(known, otherwise=respond(404))))


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def call(request):
    def ask(server, *words, **options):
        with request.param(tgi_config(server.url), tgi_registry()) as here:
            return here.call(*words, **options)

    return ask


def test_the_model_is_listed_with_its_context(call):
    with routes() as server:
        (model,) = call(server, "models")
    plain = json.loads(tgi_reader.recorded("info").body)
    assert (model.ref, model.context_length) == (f"tgi:{MODEL}", plain["max_total_tokens"])
    assert model.meta == {"max_input_tokens": str(plain["max_input_tokens"])}
    assert (model.loaded, model.max_output_tokens) == (True, None)
    assert model.capabilities >= {"chat", "tools", "structured_output"}
    assert "vision" not in model.capabilities


def test_a_model_that_sees_says_so(call):
    facts = {"model_id": "m", "model_pipeline_tag": "image-text-to-text", "model_sha": "abc"}
    with routes(info=json_answer(facts)) as server:
        (model,) = call(server, "models")
    assert "vision" in model.capabilities
    assert model.meta == {"revision": "abc", "pipeline": "image-text-to-text"}


@pytest.mark.parametrize("name", [MODEL, "tgi"])
def test_a_model_is_described_by_its_name_or_as_tgi(call, name):
    with routes() as server:
        model = call(server, "describe", f"tgi:{name}")
    assert (model.id, model.context_length) == (name, 1024)


def test_trap_5_behind_v1_alone_the_list_gives_the_name_and_no_time(call):
    with routes(**{"info": respond(404), "GET /v1/models": "models"}) as server:
        (model,) = call(server, "models")
    plain = json.loads(tgi_reader.recorded("models").body)
    assert [model.id] == [entry["id"] for entry in plain["data"]]
    assert (model.context_length, model.modified_at) == (None, None)


def test_neither_path_is_another_server(call):
    with routes(info=respond(404)) as server, pytest.raises(ProtocolError):
        call(server, "describe", "tgi:m")


@pytest.mark.parametrize("name", [n for n in NAMES if n.endswith(("info", "info_no_key"))])
def test_every_recorded_info_is_read(call, name):
    with routes(info=name) as server:
        (model,) = call(server, "models")
    plain = json.loads(tgi_reader.recorded(name).body)
    assert (model.id, model.context_length) == (plain["model_id"], plain["max_total_tokens"])


@pytest.mark.parametrize("name", [n for n in NAMES if "models" in n])
def test_every_recorded_list_is_read(call, name):
    with routes(**{"info": respond(404), "GET /v1/models": name}) as server:
        assert [model.id for model in call(server, "models")] == [MODEL]


# ---- validation ----------------------------------------------------------------------------------


def test_a_server_that_is_well_says_who_it_is(call):
    with routes() as server:
        found = call(server, "validate", "tgi")
        paths = [request.path for request in server.requests]
    assert (found.server, found.models) == (
        "Text Generation Inference 3.3.6-dev0",
        1,
    )
    assert {"/health", "/info", "/tokenize"} <= set(paths)


def test_trap_info_answers_with_a_dead_shard_so_health_is_asked(call):
    assert tgi_reader.recorded("dead_info").status == 200
    dead = routes(health="dead_health", info="dead_info")
    with dead as server, pytest.raises(ProviderDown) as caught:
        call(server, "validate", "tgi")
    assert caught.value.kind == "unhealthy"


def test_trap_the_list_wants_no_key_so_a_path_that_does_proves_it(call):
    assert tgi_reader.recorded("models_no_key").status == 200
    with routes(tokenize="tokenize_no_key") as server, pytest.raises(AuthenticationError):
        call(server, "validate", "tgi")


def test_a_model_that_is_named_must_be_the_one_that_runs(call):
    with routes() as server:
        assert call(server, "validate", "tgi", model=MODEL).models == 1
        with pytest.raises(ModelNotFound):
            call(server, "validate", "tgi", model="other")


@pytest.mark.parametrize("name", [n for n in NAMES if "health" in n and n != "head_health"])
def test_every_recorded_health_is_read(call, name):
    with routes(health=name) as server:
        if tgi_reader.recorded(name).status == 200:
            assert call(server, "validate", "tgi").models == 1
        else:
            with pytest.raises(ProviderDown):
                call(server, "validate", "tgi")
