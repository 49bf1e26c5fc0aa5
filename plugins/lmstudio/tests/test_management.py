"""Models, and who answers: LM Studio's own API through sockets, in both worlds."""

from __future__ import annotations

import json

import pytest
from lmstudio_here import lmstudio_config, lmstudio_registry

from multitap.capabilities.lifecycle import Progress
from multitap.errors import (
    AuthenticationError,
    BackendError,
    BadRequest,
    EngineError,
    ModelNotFound,
    NotSupported,
    ProtocolError,
)
from multitap.testing import WORLDS, Server, repeat, respond, when
from multitap.testing import json as json_answer
from multitap_lmstudio.lifecycle import progress_of


def unexpected(connection):
    asked = connection.request
    return json_answer({"error": f"Unexpected endpoint or method. ({asked.method} {asked.path})"})


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def ask(request, monkeypatch):
    """One call to an LM Studio with these routes: what comes of it, and what was asked."""
    monkeypatch.setattr("multitap_lmstudio.lifecycle.POLL", 0)

    def call(routes, name, *args, settings=None, otherwise=unexpected, **options):
        with Server(repeat(when(routes, otherwise=otherwise))) as server:
            config = lmstudio_config(server.url, **(settings or {}))
            with request.param(config, lmstudio_registry()) as here:
                try:
                    found = here.call(name, *args, **options)
                except BackendError as error:
                    found = error
            asked = [(sent.method, sent.target, sent.body) for sent in server.requests]
        return found, [(m, t, json.loads(b) if b else None) for m, t, b in asked]

    return call


def instance(name, context=4096):
    return {"id": name, "config": {"context_length": context, "flash_attention": True}}


LLM = {
    "type": "llm",
    "publisher": "acme",
    "key": "acme/m",
    "display_name": "Acme M",
    "architecture": "qwen3",
    "quantization": {"name": "Q4_K_M", "bits_per_weight": 4},
    "size_bytes": 2_500_000_000,
    "params_string": "4B",
    "loaded_instances": [instance("acme/m"), instance("acme/m:2", 512)],
    "max_context_length": 32768,
    "format": "gguf",
    "capabilities": {
        "vision": True,
        "trained_for_tool_use": True,
        "reasoning": {"allowed_options": ["off", "on"], "default": "on"},
    },
}
EMBEDDER = {
    "type": "embedding",
    "key": "nomic",
    "quantization": None,
    "params_string": None,
    "loaded_instances": [],
    "max_context_length": 2048,
    "format": "gguf",
}
LISTED = {"GET /api/v1/models": json_answer({"models": [LLM, EMBEDDER, {"key": 5}]})}
ORDERS = ("/api/v1/models/load", "/api/v1/models/unload")


def test_what_is_downloaded_is_listed(ask):
    models, asked = ask(LISTED, "models")
    assert [model.to_dict() for model in models] == [
        {
            "id": "acme/m",
            "ref": "lmstudio:acme/m",
            "backend": "lmstudio",
            "capabilities": ["chat", "thinking", "tools", "vision"],
            "context_length": 4096,
            "size": 2_500_000_000,
            "loaded": True,
            "meta": {
                "display_name": "Acme M",
                "publisher": "acme",
                "architecture": "qwen3",
                "quantization": "Q4_K_M",
                "parameters": "4B",
                "format": "gguf",
                "trained_context": "32768",
                "instances": "acme/m, acme/m:2",
            },
            "sources": {"capabilities": "probed", "context_length": "probed"},
        },
        {
            "id": "nomic",
            "ref": "lmstudio:nomic",
            "backend": "lmstudio",
            "capabilities": ["embedding"],
            "context_length": 2048,
            "loaded": False,
            "meta": {"format": "gguf", "trained_context": "2048"},
            "sources": {"capabilities": "probed", "context_length": "probed"},
        },
    ]
    assert asked == [("GET", "/api/v1/models", None)]


def test_an_older_app_is_listed_by_its_own_api(ask):
    rows = [
        {"id": "a", "type": "llm", "state": "not-loaded", "max_context_length": 4096},
        {"id": "v", "type": "vlm", "state": "loaded", "loaded_context_length": 512},
        {"id": "e", "type": "embeddings", "arch": "bert", "quantization": "F16"},
        {"id": "t", "type": "llm", "capabilities": ["tool_use"]},
    ]
    models, asked = ask({"/api/v0/models": json_answer({"data": rows})}, "models")
    assert [(m.id, m.loaded, m.context_length, sorted(m.capabilities)) for m in models] == [
        ("a", False, 4096, ["chat"]),
        ("v", True, 512, ["chat", "vision"]),
        ("e", None, None, ["embedding"]),
        ("t", None, None, ["chat", "tools"]),
    ]
    assert [target for _, target, _ in asked] == ["/api/v1/models", "/api/v0/models"]


@pytest.mark.parametrize("name", ["acme/m", "acme/m:2"])
def test_a_model_is_described_by_its_name_or_that_of_an_instance(ask, name):
    assert ask(LISTED, "describe", name)[0].id == "acme/m"


@pytest.mark.parametrize("verb", ["describe", "load", "unload"])
def test_a_model_that_is_not_there(ask, verb):
    error, _ = ask(LISTED, verb, "nobody")
    assert (type(error), error.model) == (ModelNotFound, "nobody")
    assert "multitap pull lmstudio:nobody" in error.hint


def test_what_runs_is_what_has_an_instance(ask):
    models, _ = ask(LISTED, "running")
    assert [(model.id, model.context_length) for model in models] == [("acme/m", 4096)]


# ---- load and unload -----------------------------------------------------------------------------

LOADED = {"type": "embedding", "instance_id": "nomic", "load_time_seconds": 1.5, "status": "loaded"}


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({}, {}),
        (
            {"context_length": 512, "flash_attention": False},
            {"context_length": 512, "flash_attention": False},
        ),
        *(({name: 8}, {name: 8}) for name in ("eval_batch_size", "num_experts")),
        ({"offload_kv_cache_to_gpu": True}, {"offload_kv_cache_to_gpu": True}),
    ],
)
def test_a_model_is_loaded_as_the_section_says(ask, settings, sent):
    routes = {**LISTED, ORDERS[0]: json_answer(LOADED)}
    found, asked = ask(routes, "load", "nomic", settings=settings)
    assert found is None
    assert asked[-1] == ("POST", ORDERS[0], {"model": "nomic", **sent})


def test_one_that_is_loaded_is_not_loaded_twice(ask):
    found, asked = ask(LISTED, "load", "acme/m")
    assert (found, len(asked)) == (None, 1)


def test_a_load_that_does_not_say_that_it_is_done_is_not(ask):
    routes = {**LISTED, ORDERS[0]: json_answer({"status": "failed"})}
    error, _ = ask(routes, "load", "nomic")
    assert (type(error), error.kind, error.model) == (EngineError, "load_failed", "nomic")


@pytest.mark.parametrize(
    ("name", "freed"),
    [("acme/m", ["acme/m"]), ("acme/m:2", ["acme/m:2"]), ("nomic", [])],
)
def test_an_unload_frees_the_instance_that_is_meant(ask, name, freed):
    routes = {**LISTED, ORDERS[1]: json_answer({"instance_id": "x"})}
    found, asked = ask(routes, "unload", name)
    assert found is None
    assert asked[1:] == [("POST", ORDERS[1], {"instance_id": each}) for each in freed]


def test_an_instance_that_was_freed_meanwhile_is_free(ask):
    gone = json_answer({"error": {"message": "No such instance", "code": "model_not_found"}}, 404)
    found, asked = ask({**LISTED, ORDERS[1]: gone}, "unload", "acme/m:2")
    assert (found, len(asked)) == (None, 2)
    error, _ = ask({**LISTED, ORDERS[1]: json_answer({"error": "busy"}, 400)}, "unload", "acme/m:2")
    assert isinstance(error, BadRequest)


def test_every_instance_of_a_model_is_freed(ask):
    row = {**LLM, "loaded_instances": [instance("first"), instance("second")]}
    routes = {"/api/v1/models": json_answer({"models": [row]}), ORDERS[1]: json_answer({})}
    _, asked = ask(routes, "unload", "acme/m")
    assert [body["instance_id"] for _, _, body in asked[1:]] == ["first", "second"]


# ---- download ------------------------------------------------------------------------------------

STATUS = "/api/v1/models/download/status/job%201"
JOB = {"job_id": "job 1", "status": "downloading", "total_size_bytes": 20}


class Download:
    """The routes of a download whose status is asked until the last of these."""

    def __init__(self, *states, first=JOB):
        self.states = list(states)
        self.routes = {"/api/v1/models/download": json_answer(first), STATUS: self.status}

    def status(self, connection):
        return json_answer(self.states.pop(0))


def test_a_download_is_asked_until_it_is_complete(ask):
    states = [{**JOB, "downloaded_bytes": 5}, {**JOB, "status": "paused"}]
    found, asked = ask(Download(*states, {"status": "completed"}).routes, "pull", "acme/new")
    assert found is None
    assert asked == [
        ("POST", "/api/v1/models/download", {"model": "acme/new"}),
        *[("GET", STATUS, None)] * 3,
    ]


@pytest.mark.parametrize(
    ("job", "step"),
    [
        (JOB, Progress(status="downloading", total=20)),
        ({**JOB, "downloaded_bytes": 5}, Progress(status="downloading", completed=5, total=20)),
        ({**JOB, "status": "completed"}, Progress(status="completed", completed=20, total=20)),
        ({"status": "already_downloaded"}, Progress(status="already_downloaded")),
    ],
)
def test_the_bytes_of_a_download(job, step):
    assert progress_of(job) == step


def test_what_is_there_is_not_downloaded(ask):
    first = {"status": "already_downloaded"}
    found, asked = ask(Download(first=first).routes, "pull", "acme/m")
    assert (found, len(asked)) == (None, 1)


def test_a_download_that_fails_says_so(ask):
    error, _ = ask(Download({"job_id": "job 1", "status": "failed"}).routes, "pull", "acme/new")
    assert (type(error), error.kind, error.model) == (EngineError, "download_failed", "acme/new")


@pytest.mark.parametrize(
    ("call", "model"), [("pull", "new"), ("load", "m"), ("unload", "m"), ("running", "lmstudio")]
)
def test_an_app_that_is_too_old_says_so(ask, call, model):
    error, _ = ask({}, call, model)
    assert isinstance(error, NotSupported)
    assert "0.4" in error.hint


@pytest.mark.parametrize("verb", ["delete"])
def test_there_is_no_route_to_delete(ask, verb):
    error, asked = ask(LISTED, verb, "acme/m")
    assert (type(error), asked) == (NotSupported, [])


# ---- errors of the native API --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "cls"),
    [
        ({"type": "model_not_found", "message": "No such model"}, ModelNotFound),
        ({"type": "internal_error", "message": "engine stopped"}, EngineError),
        ({"type": "not_implemented", "message": "Not yet"}, NotSupported),
    ],
)
def test_an_error_with_status_200_is_one(ask, error, cls):
    found, _ = ask({"/api/v1/models": json_answer({"error": error})}, "running", "lmstudio")
    assert type(found) is cls


@pytest.mark.parametrize("body", ["<html>", "[]", '{"data": []}'])
def test_an_answer_that_is_no_list_is_a_broken_format(ask, body):
    routes = {"/api/v1/models": respond(200, {"content-type": "text/html"}, body)}
    error, _ = ask(routes, "models", "lmstudio")
    assert isinstance(error, ProtocolError)


def test_a_token_that_is_refused(ask):
    no = json_answer({"error": {"message": "Invalid token"}}, 401)
    for call in (("models", "lmstudio"), ("validate",), ("load", "acme/m")):
        error, asked = ask({"/api/v1/models": no}, *call)
        assert (type(error), len(asked)) == (AuthenticationError, 1)


# ---- who answers ---------------------------------------------------------------------------------


def test_it_says_who_it_is(ask):
    found, _ = ask(LISTED, "validate", model="lmstudio:nomic")
    assert (found.server, found.models) == ("LM Studio", 2)


def test_the_model_that_is_named_must_be_there(ask):
    assert isinstance(ask(LISTED, "validate", model="lmstudio:nobody")[0], ModelNotFound)


def owned(owner, name="m"):
    return json_answer({"object": "list", "data": [{"id": name, "owned_by": owner}]})


NOT_FOUND = respond(404, {}, "404 page not found")
OTHERS = {
    "Ollama": ("library", "m", "ollama"),
    "vLLM": ("vllm", "m", "vllm"),
    "llama-server": ("llamacpp", "m", "llamaserver"),
    "TGI": ("acme/m", "acme/m", "tgi"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_server_at_this_port_is_named(ask, name):
    owner, model, provider = OTHERS[name]
    routes = {"/v1/models": owned(owner, model)}
    error, _ = ask(routes, "validate", otherwise=NOT_FOUND)
    assert (type(error), error.kind) == (ProtocolError, "wrong_server")
    assert error.message.startswith(f"{name} answers")
    assert f'provider = "{provider}"' in error.hint


def test_a_page_is_not_guessed_at(ask):
    page = respond(200, {"content-type": "text/html"}, "<html>")
    error, _ = ask({}, "validate", otherwise=page)
    assert (type(error), error.kind) == (ProtocolError, "wrong_server")
    assert "is not LM Studio" in error.message
