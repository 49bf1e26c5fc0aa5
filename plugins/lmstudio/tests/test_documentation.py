"""Every example of LM Studio's documentation: the plugin reads it, or the script serves it."""

from __future__ import annotations

import http.client
import json

import lmstudio_documents
import pytest
from lmstudio_documents import example
from lmstudio_here import lmstudio_config, lmstudio_registry
from scripted_lmstudio import ScriptedLmStudio

from multitap.capabilities.lifecycle import Progress
from multitap.errors import BadRequest
from multitap.framing import SseDecoder
from multitap.plan import chat_request
from multitap.testing import WORLDS, Server, outputs_of, repeat, when
from multitap.testing import json as json_answer
from multitap.work import Backend, HttpReply
from multitap_lmstudio.chat import multitap_chat
from multitap_lmstudio.lifecycle import progress_of

CLAIMED = {
    "models": ("list.", "v0-model"),
    "lifecycle": ("load.", "unload.", "download"),
    "native chat": ("chat-", "events/"),
    "chat": ("tools.", "structured-output.", "v0-chat."),
    "responses": ("responses",),
    "messages": ("messages",),  # read by a client that others wrote: tests/strangers
}


def claimed(by):
    return [name for name in lmstudio_documents.names() if name.startswith(CLAIMED[by])]


def test_every_example_is_claimed_once_and_noted():
    used = sorted(name for by in CLAIMED for name in claimed(by))
    assert used == lmstudio_documents.names()
    assert min(len(claimed(by)) for by in CLAIMED) > 0
    noted = lmstudio_documents.HOME.joinpath("README.md").read_text("utf-8")
    listed = [name for name in used if not name.startswith("events/")]
    assert [name for name in listed if f"`{name}.json`" not in noted] == []


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def ask(request, monkeypatch):
    """One call to a server with these routes: what comes of it, and the bodies that were sent."""
    monkeypatch.setattr("multitap_lmstudio.lifecycle.POLL", 0)

    def call(routes, name, *args, settings=None, **options):
        unknown = json_answer({"error": "Unexpected endpoint or method."})
        with Server(repeat(when(routes, otherwise=unknown))) as server:
            config = lmstudio_config(server.url, **(settings or {}))
            with request.param(config, lmstudio_registry()) as here:
                found = here.call(name, *args, **options)
            return found, [json.loads(sent.body) for sent in server.requests if sent.body]

    return call


# ---- models --------------------------------------------------------------------------------------

LISTED = {"GET /api/v1/models": json_answer(example("list.answer"))}


def test_the_list_of_models(ask):
    models, _ = ask(LISTED, "models")
    gemma, deepseek, nomic = models
    assert [(model.id, model.loaded) for model in models] == [
        ("google/gemma-4-26b-a4b", True),
        ("deepseek-r1", False),
        ("text-embedding-nomic-embed-text-v1.5-embedding", False),
    ]
    assert gemma.capabilities == {"chat", "vision", "tools", "thinking"}
    assert deepseek.capabilities == {"chat", "tools", "thinking"}
    assert nomic.capabilities == {"embedding"}
    assert [m.context_length for m in models] == [4096, 131072, 2048]
    assert [m.size for m in models] == [17990911801, 40492610355, 274290560]
    assert gemma.meta == {
        "display_name": "Gemma 4 26B A4B",
        "publisher": "google",
        "architecture": "gemma4",
        "quantization": "Q4_K_M",
        "parameters": "26B-A4B",
        "format": "gguf",
        "trained_context": "262144",
        "instances": "google/gemma-4-26b-a4b",
    }
    running, _ = ask(LISTED, "running")
    assert [model.id for model in running] == [gemma.id]


def test_the_models_of_version_0(ask):
    listed = example("v0-models.answer")
    models, _ = ask({"GET /api/v0/models": json_answer(listed)}, "models")
    assert [(m.id, m.loaded, m.context_length, m.capabilities) for m in models] == [
        ("qwen2-vl-7b-instruct", False, 32768, {"chat", "vision"}),
        ("meta-llama-3.1-8b-instruct", False, 131072, {"chat"}),
        ("text-embedding-nomic-embed-text-v1.5", False, 2048, {"embedding"}),
    ]
    assert example("v0-model.answer") in listed["data"]


# ---- lifecycle -----------------------------------------------------------------------------------

ORDERS = {name: f"POST /api/v1/models/{name}" for name in ("load", "unload", "download")}


def row(key, *instances):
    loaded = [{"id": name, "config": {}} for name in instances]
    listed = {"models": [{"key": key, "type": "llm", "loaded_instances": loaded}]}
    return {"GET /api/v1/models": json_answer(listed)}


def test_a_load(ask):
    wanted = example("load.request")
    routes = {**row(wanted["model"]), ORDERS["load"]: json_answer(example("load.answer"))}
    settings = {name: wanted[name] for name in ("context_length", "flash_attention")}
    found, (sent,) = ask(routes, "load", f"lmstudio:{wanted['model']}", settings=settings)
    assert (found, {**sent, "echo_load_config": True}) == (None, wanted)


def test_an_unload(ask):
    wanted = example("unload.request")
    name = wanted["instance_id"]
    routes = {**row(name, name), ORDERS["unload"]: json_answer(example("unload.answer"))}
    assert ask(routes, "unload", f"lmstudio:{name}") == (None, [wanted])


def test_a_download(ask):
    begun, done = example("download.answer"), example("download-status.answer")
    status = f"GET /api/v1/models/download/status/{begun['job_id']}"
    routes = {ORDERS["download"]: json_answer(begun), status: json_answer(done)}
    wanted = example("download.request")
    assert ask(routes, "pull", f"lmstudio:{wanted['model']}") == (None, [wanted])
    size = 2279145003
    assert progress_of(begun) == Progress(status="downloading", total=size)
    assert progress_of(done) == Progress(status="completed", completed=size, total=size)


# ---- what the script says in the same places -----------------------------------------------------


@pytest.fixture
def server():
    with ScriptedLmStudio() as found:
        yield found


def raw(server, method, path, body=None):
    """Status, and the bytes of an answer, asked with the standard library alone."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def said(server, *asked):
    return json.loads(raw(server, *asked)[1])


def lacks(made, documented):
    """What the documentation shows and the script leaves out, or has of another type."""
    if isinstance(documented, dict) and isinstance(made, dict):
        return {
            (name, *inner)
            for name, value in documented.items()
            for inner in ([()] if name not in made else lacks(made[name], value))
        }
    same = type(made) is type(documented) or {type(made), type(documented)} == {int, float}
    return set() if same or made is None or documented is None else {(repr(made),)}


OPTIONAL = {"variants", "selected_variant", "num_experts", "parallel", "reasoning"}


def test_the_script_lists_loads_and_downloads_as_is_documented(server):
    path = "/api/v1/models"
    made = {model["type"]: model for model in said(server, "GET", path)["models"][::-1]}
    for shown in example("list.answer")["models"]:
        missing = lacks(made[shown["type"]], shown)
        assert {at[-1] for at in missing} <= OPTIONAL
    loaded = said(server, "POST", f"{path}/load", {**example("load.request"), "model": "second"})
    assert lacks(loaded, example("load.answer")) == {("load_config", "num_experts")}
    assert loaded["load_config"]["context_length"] == 16384
    unloaded = said(server, "POST", f"{path}/unload", {"instance_id": "second"})
    assert unloaded.keys() == example("unload.answer").keys()
    begun = said(server, "POST", f"{path}/download", example("download.request"))
    assert begun.keys() == example("download.answer").keys()
    for _ in range(2):
        done = said(server, "GET", f"{path}/download/status/{begun['job_id']}")
    assert done.keys() == example("download-status.answer").keys()


# ---- the chat that the plugin does not use -------------------------------------------------------

CHAT = "/api/v1/chat"
EXCHANGES = lmstudio_documents.exchanges()


@pytest.mark.parametrize("number", range(len(EXCHANGES)))
def test_a_documented_chat_is_served_as_it_is_documented(server, number):
    asked, shown = EXCHANGES[number]
    assert raw(server, "POST", CHAT, asked) == (200, json.dumps(shown).encode())


def test_the_documented_events_are_served_as_they_are_documented(server):
    asked, _ = EXCHANGES[0]
    _, body = raw(server, "POST", CHAT, {**asked, "stream": True})
    blocks = [block.split("\n") for block in body.decode().split("\n\n")[:-1]]
    told = [json.loads(data.removeprefix("data: ")) for _, data in blocks]
    assert [f"event: {one['type']}" for one in told] == [name for name, _ in blocks]
    assert told == lmstudio_documents.events()
    files = [name for name in lmstudio_documents.names() if name.startswith("events/")]
    assert sorted(f"events/{one['type']}" for one in told) == files
    assert all(example(f"events/{one['type']}")["type"] == one["type"] for one in told)


ALONE = [
    name
    for name in claimed("native chat")
    if name.endswith(".request") and example(name) not in [asked for asked, _ in EXCHANGES]
]


@pytest.mark.parametrize("name", ALONE)
def test_a_request_that_is_shown_without_an_answer_gets_one_of_the_same_form(server, name):
    asked = {**example(name), "model": "tiny"}
    made = said(server, "POST", CHAT, asked)
    missing = lacks(made, example("chat-images.answer"))
    assert missing == ({("response_id",)} if asked.get("store") is False else set())


@pytest.mark.parametrize(("model", "loads"), [("tiny", False), ("second", True)])
def test_events_by_rule_are_of_the_documented_form_and_add_up(server, model, loads):
    asked = {"model": model, "input": "What is 2 plus 2?"}
    _, body = raw(server, "POST", CHAT, {**asked, "stream": True})
    told = outputs_of(SseDecoder(dict, lambda one: [one]), [body])
    for one in told[:-1]:
        assert lacks(one, example(f"events/{one['type']}")) == set()
    assert ("model_load.end" in [one["type"] for one in told]) is loads
    output = told[-1]["result"]["output"]
    for kind in ("reasoning", "message"):
        pieces = "".join(one["content"] for one in told if one["type"] == f"{kind}.delta")
        assert pieces == next(part["content"] for part in output if part["type"] == kind)
    assert said(server, "POST", CHAT, asked)["output"] == output


def test_a_conversation_is_kept_unless_it_is_not_to_be(server):
    first = said(server, "POST", CHAT, {"model": "tiny", "input": "My cat is called Tom."})
    again = {"model": "tiny", "input": "Hi", "previous_response_id": first["response_id"]}
    assert said(server, "POST", CHAT, again)["stats"]["input_tokens"] == 7
    alone = said(server, "POST", CHAT, {"model": "tiny", "input": "Hi", "store": False})
    assert "response_id" not in alone


def test_a_documented_error_is_the_plugins_when_it_comes_as_a_refusal():
    error = example("events/error")["error"]
    refusal = HttpReply(400, {}, json.dumps({"error": error}).encode())
    found = CHATS.chat(chat_request("m", "hi")).explain(refusal)
    assert (type(found), found.message) == (BadRequest, error["message"])


# ---- chat completions ----------------------------------------------------------------------------

CHATS = multitap_chat(Backend(id="box", provider="lmstudio"))


def sent(name):
    """The body that the plugin sends for what a documented request asks."""
    asked = example(name)
    options = {name: asked[name] for name in asked.keys() - {"model", "messages", "stream"}}
    asking = chat_request(asked["model"], messages=asked["messages"], stream=False, **options)
    return asked, CHATS.chat(asking)


def test_tools_are_asked_for_as_is_documented_and_the_answer_is_read(ask):
    asked, exchange = sent("tools.request")
    assert exchange.call.body.value == asked
    answer, _ = ask(
        {"POST /v1/chat/completions": json_answer(example("tools.answer"))},
        "chat",
        messages=asked["messages"],
        tools=asked["tools"],
        model=f"lmstudio:{asked['model']}",
    )
    (call,) = answer.tool_calls
    arguments = {"query": "dell", "category": "electronics", "max_price": 50}
    assert (call.id, call.name, call.arguments) == ("365174485", "search_products", arguments)
    assert (answer.stop_reason, answer.usage.total_tokens, answer.warnings) == ("tool_use", 297, ())


def test_a_form_is_asked_for_as_is_documented():
    asked, exchange = sent("structured-output.request")
    body = exchange.call.body.value
    assert (
        body["response_format"]["json_schema"]["schema"]
        == (asked["response_format"]["json_schema"]["schema"])
    )
    assert body.keys() == asked.keys() - {"stream"}


def test_an_answer_of_version_0_is_read(ask):
    routes = {"POST /v1/chat/completions": json_answer(example("v0-chat.answer"))}
    answer, _ = ask(routes, "chat", "Hi", model="lmstudio:granite-3.0-2b-instruct")
    assert answer.text.startswith("Greetings, I'm a helpful AI")
    assert (answer.stop_reason, answer.usage.output_tokens) == ("complete", 53)


# ---- responses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", claimed("responses"))
def test_a_documented_request_gets_a_response(server, name):
    status, body = raw(server, "POST", "/v1/responses", {**example(name), "model": "tiny"})
    assert status == 200
    if name == "responses-stream.request":
        told = outputs_of(SseDecoder(dict, lambda one: [one["type"]]), [body])
        assert {"response.created", "response.output_text.delta"} <= {*told}
        assert told[-1] == "response.completed"
    else:
        assert json.loads(body)["status"] == "completed"
