"""What the server tells of its models and of itself, and a router that is told what to do."""

from __future__ import annotations

import json

import llamaserver_reader as reader
import msgspec
import pytest
from llamaserver_here import llamaserver_config, llamaserver_registry

from multitap.capabilities.lifecycle import Progress
from multitap.errors import (
    AuthenticationError,
    BackendError,
    BadRequest,
    EngineError,
    ModelNotFound,
    NotSupported,
    Overloaded,
    ProtocolError,
)
from multitap.policy.retry import Loading
from multitap.testing import WORLDS, Server, repeat, respond, when
from multitap.testing import json as json_answer
from multitap_llamaserver.lifecycle import progress_of
from multitap_llamaserver.models import Row

LISTED = json.loads(reader.of_llamaserver("models").body)
PROPS = json.loads(reader.of_llamaserver("props").body)
PYTHONS = json.loads(reader.recorded("llama-cpp-python-0.3.36/models").body)
NOWHERE = json_answer({"error": {"code": 404, "message": "File Not Found"}}, 404)


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def ask(request, monkeypatch):
    """One call to a server of these routes: what comes of it, and what was asked."""
    monkeypatch.setattr("multitap_llamaserver.lifecycle.POLL", 0)

    def call(routes, name, *args, **options):
        with Server(repeat(when(routes, otherwise=NOWHERE))) as server:
            here = request.param(llamaserver_config(server.url), llamaserver_registry())
            with here:
                try:
                    found = here.call(name, *args, **options)
                except BackendError as error:
                    found = error
            asked = [(sent.method, sent.target, sent.body) for sent in server.requests]
        return found, asked

    return call


def refuse(status, message="", kind=""):
    return json_answer({"error": {"code": status, "message": message, "type": kind}}, status)


def purpose(rank, embed):
    """The routes by which a server shows what it was started for."""
    no, yes = refuse(501, "not supported", "not_supported_error"), refuse(400, "must be provided")
    return {"/v1/rerank": yes if rank else no, "/v1/embeddings": yes if embed else no}


def one_model(rank=False, embed=False, **changed):
    props = {**PROPS, **changed}
    routes = {"/v1/models": json_answer(LISTED), "/props": json_answer(props)}
    return {**routes, **purpose(rank, embed)}


# ---- one model -----------------------------------------------------------------------------------


def test_the_recorded_server_is_listed(ask):
    (model,), asked = ask(one_model(), "models")
    assert model.to_dict() == {
        "id": "tiny",
        "ref": "llamaserver:tiny",
        "backend": "llamaserver",
        "capabilities": ["chat", "thinking", "tools"],
        "context_length": 512,
        "size": 1577472,
        "loaded": True,
        "meta": {
            "quantization": "F16",
            "parameters": "787584",
            "trained_context": "2048",
            "slots": "2",
        },
        "sources": {"capabilities": "probed", "context_length": "probed"},
    }
    assert [(method, target) for method, target, _ in asked] == [
        ("GET", "/v1/models"),
        ("GET", "/props"),
        ("POST", "/v1/rerank"),
        ("POST", "/v1/embeddings"),
    ]
    assert [json.loads(body) for _, _, body in asked[2:]] == [{"model": "tiny"}] * 2


@pytest.mark.parametrize(
    ("made", "capabilities"),
    [
        ({"embed": True}, {"embedding"}),
        ({"embed": True, "rank": True}, {"rerank"}),
        (
            {"modalities": {"vision": True, "audio": True}},
            {"audio", "vision", "chat", "thinking", "tools"},
        ),
        ({"chat_template": "", "chat_template_caps": {}}, {"chat"}),
    ],
)
def test_what_a_model_is_for_is_asked(ask, made, capabilities):
    (model,), _ = ask(one_model(**made), "models")
    assert model.capabilities == capabilities


def test_one_that_sleeps_is_not_loaded(ask):
    (model,), _ = ask(one_model(is_sleeping=True), "models")
    assert model.loaded is False


def test_a_description_has_the_chat_template(ask):
    model, _ = ask(one_model(), "describe", "tiny")
    assert model.meta["chat_template"] == PROPS["chat_template"]


def test_a_build_without_props_and_purposes_is_listed_all_the_same(ask):
    (model,), _ = ask({"/v1/models": json_answer(PYTHONS)}, "models")
    assert (model.id, model.capabilities, model.context_length) == ("tiny", None, None)


@pytest.mark.parametrize("call", [("models", "llamaserver"), ("validate",), ("load", "tiny")])
def test_a_key_that_is_refused_ends_every_question(ask, call):
    no = refuse(401, "Invalid API Key", "authentication_error")
    routes = dict.fromkeys(("/v1/models", "/props"), no)
    error, asked = ask(routes, *call)
    assert isinstance(error, AuthenticationError)
    assert len(asked) == 1


def test_a_server_that_still_loads_says_so(ask, monkeypatch):
    monkeypatch.setattr(Loading, "delay", lambda *_: None)  # it would be asked for five minutes
    loading = refuse(503, "Loading model", "unavailable_error")
    error, _ = ask({"/v1/models": loading}, "describe", "tiny")
    assert (type(error), error.kind) == (Overloaded, "model_loading")


@pytest.mark.parametrize("name", ["tiny", "nobody"])
def test_the_one_model_is_loaded_already(ask, name):
    found, asked = ask(one_model(), "load", name)
    assert found is None if name == "tiny" else isinstance(found, ModelNotFound)
    assert {method for method, _, _ in asked} == {"GET"}


@pytest.mark.parametrize("verb", ["pull", "unload", "delete"])
def test_the_other_verbs_want_a_router(ask, verb):
    error, asked = ask(one_model(), verb, "tiny")
    assert isinstance(error, NotSupported)
    assert "router" in error.hint
    assert len(asked) == 1


# ---- a router ------------------------------------------------------------------------------------


def row(name, state="loaded", meta=None, **more):
    status = {"value": state, "args": ["llama-server", "--ctx-size", "4096"], **more}
    return {"id": name, "owned_by": "llamacpp", "status": status, "meta": meta}


class Router:
    """Routes of a router; each look at its list shows the next of these lists."""

    def __init__(self, *lists, **routes):
        self.lists = list(lists)
        self.routes = {
            "/v1/models": self.models,
            "/models": json_answer({"success": True}),
            "/models/load": json_answer({"success": True}),
            "/models/unload": json_answer({"success": True}),
            **{f"/{path}": route for path, route in routes.items()},
        }

    def models(self, connection):
        rows = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        return json_answer({"object": "list", "data": rows})


def orders(asked):
    return [(m, t, json.loads(b) if b else None) for m, t, b in asked if t != "/v1/models"]


def test_only_what_is_loaded_is_asked_more(ask):
    rows = [
        row("a", meta={"n_ctx": 2048}),
        row("b", "unloaded"),
        row("c", "sleeping"),
        row("d", "unloaded", failed=True, exit_code=1),
    ]
    routes = {
        **Router(rows).routes,
        "/props": json_answer(PROPS),
        **purpose(rank=False, embed=False),
    }
    models, asked = ask(routes, "models")
    assert [
        (m.id, m.loaded, m.context_length, m.capabilities and len(m.capabilities)) for m in models
    ] == [
        ("a", True, 2048, 3),
        ("b", False, 4096, None),
        ("c", False, 4096, None),
        ("d", False, 4096, None),
    ]
    assert [m.meta["state"] for m in models] == ["loaded", "unloaded", "sleeping", "unloaded"]
    assert models[3].problem == "It failed to load (exit code 1)"
    query = "?model=a&autoload=false"
    assert orders(asked) == [
        ("GET", f"/props{query}", None),
        ("POST", f"/v1/rerank{query}", {"model": "a"}),
        ("POST", f"/v1/embeddings{query}", {"model": "a"}),
    ]


def test_what_runs_is_what_is_loaded(ask):
    rows = [row("a"), row("b", "unloaded"), row("c", "sleeping")]
    routes = {**Router(rows).routes, **purpose(rank=True, embed=True)}
    models, _ = ask(routes, "running")
    assert [(model.id, model.capabilities) for model in models] == [("a", {"rerank"})]


def test_a_load_is_over_when_the_model_is_loaded(ask):
    states = ("unloaded", "loading", "loading", "loaded")
    found, asked = ask(Router(*([row("a", state)] for state in states)).routes, "load", "a")
    assert found is None
    assert orders(asked) == [("POST", "/models/load", {"model": "a"})]
    assert len(asked) == 5


@pytest.mark.parametrize("state", ["loaded", "sleeping", "loading"])
def test_one_that_runs_is_not_loaded_again(ask, state):
    found, asked = ask(Router([row("a", state)], [row("a")]).routes, "load", "a")
    assert found is None
    assert orders(asked) == []


def test_a_load_that_fails_says_so(ask):
    lists = [row("a", "unloaded")], [row("a", "unloaded", failed=True, exit_code=134)]
    error, _ = ask(Router(*lists).routes, "load", "a")
    assert (type(error), error.kind, error.model) == (EngineError, "load_failed", "a")
    assert "134" in error.message


@pytest.mark.parametrize(
    ("verb", "states", "message"),
    [
        ("load", ["unloaded", "loading", "loaded"], "model is already running"),
        ("unload", ["loaded", "unloaded"], "model is not running"),
    ],
)
def test_who_is_not_the_first_to_order_it_has_what_was_wanted(ask, verb, states, message):
    order = {f"models/{verb}": refuse(400, message)}
    found, asked = ask(Router(*([row("a", state)] for state in states), **order).routes, verb, "a")
    assert found is None
    assert len(orders(asked)) == 1


@pytest.mark.parametrize(("verb", "state"), [("load", "unloaded"), ("unload", "loaded")])
def test_an_order_that_is_refused_is_an_error(ask, verb, state):
    order = {f"models/{verb}": refuse(400, "no room")}
    error, asked = ask(Router([row("a", state)], **order).routes, verb, "a")
    assert (type(error), error.message) == (BadRequest, "no room")
    assert len(orders(asked)) == 1


def test_an_unload_is_over_when_the_memory_is_free(ask):
    lists = ([row("a", state)] for state in ("loaded", "loaded", "unloaded"))
    found, asked = ask(Router(*lists).routes, "unload", "a")
    assert found is None
    assert orders(asked) == [("POST", "/models/unload", {"model": "a"})]
    assert len(asked) == 4  # it was looked at again until it was free
    assert ask(Router([row("a", "unloaded")]).routes, "unload", "a")[0] is None


def test_a_pull_tells_the_bytes_of_each_file(ask):
    def downloading(done):
        return row("a/b", "downloading", progress={"x.gguf": {"done": done, "total": 20}})

    lists = [], [downloading(5)], [downloading(20)], [row("a/b", "unloaded")]
    here, asked = ask(Router(*lists).routes, "pull", "a/b")
    assert here is None
    assert orders(asked) == [("POST", "/models", {"model": "a/b"})]


@pytest.mark.parametrize("place", ["status", "row"])
def test_the_steps_of_a_pull(place):
    told = {"x.gguf": {"done": 5, "total": 20}}
    data = row("a", "downloading", **({"progress": told} if place == "status" else {}))
    found = msgspec.convert({**data, **({"progress": told} if place == "row" else {})}, Row)
    assert progress_of(found) == [
        Progress(status="downloading", completed=5, total=20, digest="x.gguf")
    ]


def test_a_pull_that_fails_leaves_no_model(ask):
    lists = [row("c")], [row("a", "downloading"), row("c")], [row("c")]
    error, _ = ask(Router(*lists).routes, "pull", "a")
    assert (type(error), error.kind) == (EngineError, "download_failed")


@pytest.mark.parametrize(
    ("message", "result"),
    [
        ("model 'a' already exists", type(None)),
        ("model validation failed, unable to download", ModelNotFound),
    ],
)
def test_a_pull_that_is_refused(ask, message, result):
    routes = Router([row("a", "unloaded")], models=refuse(400, message)).routes
    found, _ = ask(routes, "pull", "a")
    assert type(found) is result


def test_a_name_is_written_as_a_query_wants_it(ask):
    found, asked = ask(Router([row("a/b:Q4 K", "unloaded")]).routes, "delete", "a/b:Q4 K")
    assert found is None
    assert orders(asked) == [("DELETE", "/models?model=a%2Fb%3AQ4%20K", None)]


@pytest.mark.parametrize("verb", ["load", "unload", "delete", "describe"])
def test_a_model_that_is_not_there(ask, verb):
    error, _ = ask(Router([row("a")]).routes, verb, "nobody")
    assert isinstance(error, ModelNotFound)
    assert "a" in error.message


# ---- who answers ---------------------------------------------------------------------------------


def test_a_router_says_that_it_is_one(ask):
    props = json_answer({"role": "router", "build_info": "b9999-abc", "max_instances": 4})
    found, _ = ask({**Router([row("tiny"), row("b")]).routes, "/props": props}, "validate")
    assert (found.server, found.models) == ("llama-server b9999-abc router", 2)


def owned(owner, name="m"):
    return json_answer({"object": "list", "data": [{"id": name, "owned_by": owner}]})


FASTAPI = json_answer({"detail": "Not Found"}, 404)
OTHERS = {
    "TGI": ({"/v1/models": owned("acme/m", "acme/m"), "/props": respond(404)}, "tgi"),
    "vLLM": ({"/v1/models": owned("vllm"), "/props": FASTAPI}, "vllm"),
    "Ollama": ({"/v1/models": owned("library"), "/props": respond(404, {}, "404")}, "ollama"),
    "LM Studio": (
        {
            "/v1/models": owned("organization_owner"),
            "/props": json_answer({"error": "Unexpected endpoint or method. (GET /props)"}),
        },
        "lmstudio",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_server_at_this_port_is_named(ask, name):
    routes, provider = OTHERS[name]
    error, _ = ask(routes, "validate")
    assert (type(error), error.kind) == (ProtocolError, "wrong_server")
    assert error.message.startswith(f"{name} answers")
    assert f'provider = "{provider}"' in error.hint


@pytest.mark.parametrize("page", [respond(200, {}, "<html>"), respond(404), owned(None)])
def test_something_else_is_not_guessed_at(ask, page):
    error, _ = ask({"/props": page, "/v1/models": page}, "validate")
    assert (type(error), error.kind) == (ProtocolError, "wrong_server")
    assert "is not llama-server" in error.message
