"""Sleep and wake, and adapters that come and go; what a server was not started for is refused."""

from __future__ import annotations

import pytest
from scripted_vllm import MODELS, ScriptedVllm
from vllm_here import vllm_config, vllm_registry

from multitap.errors import BadRequest, ModelNotFound, NotSupported
from multitap.testing import WORLDS, Server, repeat, when
from multitap.testing import json as json_answer

SLEEP = ("/is_sleeping", "/sleep", "/wake_up")
ADAPT = ("/v1/load_lora_adapter", "/v1/unload_lora_adapter")
STYLE = "vllm:style=/adapters/style"


@pytest.fixture
def server():
    with ScriptedVllm() as one:
        yield one


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes runtimes in blocking code, or on an event loop."""
    made = []

    def make(server):
        made.append(request.param(vllm_config(server.url), vllm_registry()))
        return made[-1]

    yield make
    for here in made:
        here.close()


def orders(server):
    return [(asked.target, asked.json() if asked.body else None) for asked in posts(server)]


def posts(server):
    return [asked for asked in server.requests if asked.method == "POST"]


# ---- sleep ---------------------------------------------------------------------------------------


def test_unload_puts_the_model_to_sleep_and_load_wakes_it(world, server):
    here = world(server)
    here.call("unload", "vllm:tiny")
    assert server.asleep
    here.call("load", "vllm:tiny")
    assert not server.asleep
    assert orders(server) == [("/sleep?level=1", None), ("/wake_up", None)]


@pytest.mark.parametrize(("verb", "asleep"), [("load", False), ("unload", True)])
def test_what_is_so_already_is_left_alone(world, server, verb, asleep):
    server.asleep = asleep
    world(server).call(verb, "vllm:tiny")
    assert orders(server) == []


@pytest.mark.parametrize("asleep", [True, False])
def test_what_runs_is_what_is_awake(world, server, asleep):
    server.asleep = asleep
    here = world(server)
    assert [model.id for model in here.call("running")] == ([] if asleep else list(MODELS))
    assert {not asleep} == {model.loaded for model in here.call("models")}


def test_a_server_that_cannot_sleep_is_awake_and_says_what_would_let_it(world):
    with ScriptedVllm(without=SLEEP) as server:
        here = world(server)
        here.call("load", "vllm:tiny")
        assert len(here.call("running")) == len(MODELS)
        with pytest.raises(NotSupported) as caught:
            here.call("unload", "vllm:tiny")
    assert caught.value.message == "This vLLM was not started with /sleep"
    assert "VLLM_SERVER_DEV_MODE=1" in caught.value.hint
    assert "--enable-sleep-mode" in caught.value.hint


# ---- adapters ------------------------------------------------------------------------------------


def test_an_adapter_is_a_model_until_it_is_unloaded(world, server):
    here = world(server)
    here.call("load", STYLE)
    assert server.adapters == {"style": "/adapters/style"}
    (style,) = (model for model in here.call("running") if model.id == "style")
    assert style.meta == {"parent": "tiny", "root": "/adapters/style"}
    assert here.call("chat", "hi", model="vllm:style").model == "style"
    here.call("unload", "vllm:style")
    assert server.adapters == {}


def test_an_adapter_that_is_there_is_loaded_again_only_from_another_path(world, server):
    here = world(server)
    for path in ("style", "style", "other"):
        here.call("load", f"vllm:style=/adapters/{path}")
    asked = [body["lora_path"] for _, body in orders(server)]
    assert asked == ["/adapters/style", "/adapters/other"]


def test_an_adapter_that_is_not_loaded_is_no_error_to_unload(world, server):
    world(server).call("unload", STYLE)
    assert orders(server) == []


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_a_name_that_the_server_has_not_is_not_found(world, server, verb):
    with pytest.raises(ModelNotFound) as caught:
        world(server).call(verb, "vllm:style")
    assert "vllm:NAME=PATH" in caught.value.hint
    assert orders(server) == []


def test_a_path_without_an_adapter_is_not_found(world, server):
    with pytest.raises(ModelNotFound, match="No adapter found for /nowhere"):
        world(server).call("load", "vllm:style=/nowhere")


def test_a_server_that_takes_no_adapters_says_what_would_let_it(world):
    with ScriptedVllm(without=ADAPT) as server:
        server.adapters = {"old": "/adapters/old"}
        here = world(server)
        for verb, name in (("load", STYLE), ("unload", "vllm:old")):
            with pytest.raises(NotSupported) as caught:
                here.call(verb, name)
            assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1" in caught.value.hint


def test_a_server_without_adapters_at_all_names_the_flag(world):
    message = "Call to add_lora method failed: LoRA is not enabled. Use --enable-lora to enable"
    error = {"message": message, "type": "InternalServerError", "param": None, "code": 500}
    routes = {
        "GET /v1/models": json_answer({"data": []}),
        "POST /v1/load_lora_adapter": json_answer({"error": error}, 500),
    }
    with Server(repeat(when(routes))) as server, pytest.raises(NotSupported) as caught:
        world(server).call("load", STYLE)
    assert (caught.value.kind, caught.value.hint) == (
        "adapters_disabled",
        "Start vLLM with --enable-lora.",
    )


@pytest.mark.parametrize(
    ("lora", "model"), [({"style": 1, "law": 0}, "style"), ({"style": 0}, "tiny"), ({}, "tiny")]
)
def test_a_chat_names_its_adapter(world, server, lora, model):
    server.adapters = {"style": "/adapters/style"}
    world(server).call("chat", "hi", extra={"lora": lora})
    ((_, body),) = orders(server)
    assert (body["model"], "lora" in body) == (model, False)


@pytest.mark.parametrize("lora", [{"style": 0.5}, {"style": 1, "law": 1}])
def test_part_of_an_adapter_or_several_are_refused(world, server, lora):
    with pytest.raises(BadRequest) as caught:
        world(server).call("chat", "hi", extra={"lora": lora})
    assert caught.value.kind == "adapter_scale"
    assert orders(server) == []


# ---- what it never does --------------------------------------------------------------------------


def test_a_model_comes_with_the_start(world, server):
    with pytest.raises(NotSupported, match="downloads no model") as caught:
        world(server).call("pull", "vllm:org/other")
    assert "`vllm serve org/other`" in caught.value.hint
