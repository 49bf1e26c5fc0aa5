"""Models and their management through sockets, blocking and on an event loop."""

from __future__ import annotations

import hashlib
import json
import random
import re

import ollama_reader
import pytest
from ollama_here import ollama_config, ollama_registry

from multitap.capabilities.lifecycle import Progress
from multitap.errors import BackendError, ModelNotFound, ProtocolError, ProviderDown, Timeout
from multitap.policy.pull import Pull
from multitap.testing import (
    WORLDS,
    Gate,
    Recording,
    Server,
    client_closed,
    close,
    hold,
    ndjson,
    repeat,
    request,
    reset,
    respond,
    send,
    when,
)

PULLS = [
    name
    for name in ollama_reader.names("test_management")
    if name.startswith("pull") and ollama_reader.recorded(name).path == "/api/pull"
]
WHOLE = [n for n in PULLS if ollama_reader.recorded(n).whole]
DIGEST = "sha256:" + "0" * 64


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def here(request, monkeypatch):
    """Makes a runtime of this plugin at one server."""
    monkeypatch.setattr("multitap.runtime.management.Pull", lambda: Pull(draw=lambda: 0.0))
    opened = []

    def make(server, **settings):
        url = server if isinstance(server, str) else server.url
        opened.append(request.param(ollama_config(url, **settings), ollama_registry()))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def recorded(name):
    return Recording.load(ollama_reader.RECORDINGS / f"{name}.json")


def layer(done, total=1000):
    facts = {"status": f"pulling {DIGEST[7:19]}", "digest": DIGEST, "total": total}
    return {**facts, "completed": done} if done else facts


# ---- pull ----------------------------------------------------------------------------------------


def wanted_of(name):
    lines = ollama_reader.objects(ollama_reader.recorded(name).body)
    steps = [{**({"completed": 0} if "total" in x else {}), **x} for x in lines if "status" in x]
    return steps, next((line["error"] for line in lines if "error" in line), None)


@pytest.mark.parametrize("name", WHOLE)
def test_a_recorded_pull_is_read_however_it_arrives(here, name):
    recording, (steps, error) = recorded(name), wanted_of(name)
    chance = random.Random(name)
    cuts = sorted(chance.sample(range(1, len(recording.response)), 3))
    with Server([repeat(request, recording.answer(cuts))]) as server:
        runtime = here(server)
        if error is None:
            seen, _ = runtime.items("pull_stream", "ollama:tiny")
            assert [step.to_dict() for step in seen] == steps
        else:
            with pytest.raises(BackendError, match=re.escape(error)):
                runtime.call("pull", "ollama:tiny")


def test_a_pull_asks_for_the_model_by_its_name(here):
    with Server([request, recorded("pull").answer(), client_closed]) as server:
        here(server).call("pull", "ollama:library/tiny:latest")
        assert server.requests[0].json() == {"model": "library/tiny:latest"}
    with Server([request, recorded("pull").answer(), client_closed]) as server:
        here(server, insecure=True).call("pull", "ollama:tiny")
        assert server.requests[0].json() == {"model": "tiny", "insecure": True}


@pytest.mark.parametrize("cut", [close, reset], ids=["close", "reset"])
def test_a_pull_that_breaks_off_goes_on_where_it_was(here, cut):
    first = [request, ndjson([{"status": "pulling manifest"}, layer(0), layer(400), cut])]
    then = [request, ndjson([layer(500), layer(1000), {"status": "success"}]), client_closed]
    with Server(first, then) as server:
        seen, stream = here(server).items("pull_stream", "ollama:tiny")
    assert [step.completed for step in seen if step.digest] == [0, 400, 500, 1000]
    assert seen[-1] == Progress(status="success")
    assert [attempt.error is None for attempt in stream.outcome.attempts] == [False, True]
    assert any("trying again" in step.status for step in seen)


def test_a_server_that_dies_within_a_pull(here):
    with Server([request, ndjson([layer(400), reset])]) as server:
        with pytest.raises(BackendError) as caught:
            here(server).call("pull", "ollama:tiny")
        assert len(server.requests) == len(caught.value.attempts) == 6  # one that brought bytes
    assert (caught.value.backend, caught.value.model) == ("ollama", "tiny")


def test_a_pull_that_repeats_its_last_line_stalls(here, monkeypatch):
    monkeypatch.setattr("multitap.policy.pull.STALL", 0.05)
    text = json.dumps(layer(400)).encode() + b"\n"
    again = repeat(send(b"%x\r\n%s\r\n" % (len(text), text)))
    with Server([request, ndjson([layer(400), again])]) as server, pytest.raises(Timeout) as caught:
        here(server).call("pull", "ollama:tiny")
    assert caught.value.kind == "pull_stalled"


def test_a_pull_that_falls_silent_stalls(here, monkeypatch):
    monkeypatch.setattr("multitap.policy.pull.STALL", 0.05)
    with Server([request, ndjson([layer(0), client_closed])]) as server:
        with pytest.raises(Timeout) as caught:
            here(server).call("pull", "ollama:tiny")
        assert len(server.requests) == 5
    assert (caught.value.kind, len(caught.value.attempts)) == ("pull_stalled", 5)


def test_verifying_in_silence_is_no_stall(here, monkeypatch):
    monkeypatch.setattr("multitap.policy.pull.STALL", 0.0)
    seen_it = Gate()
    lines = [{"status": "verifying sha256 digest"}, hold(seen_it), {"status": "success"}]
    with Server([request, ndjson(lines), client_closed]) as server:
        seen, stream = here(server).items(
            "pull_stream", "ollama:tiny", after=lambda seen, _: seen_it.open() or True
        )
    assert (seen[-1].status, len(stream.outcome.attempts)) == ("success", 1)


def test_leaving_early_cancels_the_pull_at_the_server(here):
    with Server([request, ndjson([layer(400), client_closed])]) as server:
        seen, _ = here(server).items("pull_stream", "ollama:tiny", after=lambda seen, _: False)
        server.wait_until(lambda: server.connections[0].closed)
    assert len(seen) == 1


def test_a_missing_model_is_asked_for_once(here):
    with Server([request, recorded("pull_missing").answer(), client_closed]) as server:
        with pytest.raises(ModelNotFound) as caught:
            here(server).call("pull", "ollama:nothing")
        assert len(server.requests) == 1
    assert "ollama.com/search" in str(caught.value)


def test_a_damaged_download_is_told_and_the_next_pull_may_cure_it(here):
    names = ("pull_corrupt", "pull_after_corrupt")
    scripts = [[request, recorded(name).answer(), client_closed] for name in names]
    with Server(*scripts) as server:
        runtime = here(server)
        with pytest.raises(ProtocolError) as caught:
            runtime.call("pull", "ollama:tiny")
        runtime.call("pull", "ollama:tiny")
    assert caught.value.kind == "hash_mismatch"
    assert "again" in caught.value.hint


# ---- the catalog ---------------------------------------------------------------------------------


def catalog_server():
    def answer(name):
        return recorded(name).answer()

    routes = {
        "GET /api/tags": answer("tags"),
        "GET /api/ps": answer("ps_loaded"),
        "POST /api/show": answer("show_native"),
        "GET /api/version": answer("version"),
    }
    return Server([repeat(when(routes))])


def test_the_models_of_a_server(here):
    rows = json.loads(recorded("tags").body)["models"]
    with catalog_server() as server:
        found = here(server).call("models", "ollama")
        assert len(server.requests) == len(rows) + 2
        assert len(server.connections) == 1
    assert [model.ref for model in found] == [f"ollama:{row['name']}" for row in rows]
    assert {frozenset(model.capabilities) for model in found} == {
        frozenset({"chat", "tools", "thinking"})
    }
    assert {model.id for model in found if model.loaded} >= {"tiny-system:latest"}


def test_a_model_is_described(here):
    with catalog_server() as server:
        model = here(server).call("describe", "ollama:tiny-native")
        assert [sent.path for sent in server.requests] == ["/api/show"]
    assert (model.ref, model.context_length) == ("ollama:tiny-native", 2048)
    with Server([request, recorded("show_unknown").answer(), client_closed]) as server:
        runtime = here(server)
        with pytest.raises(ModelNotFound, match="nothing"):
            runtime.call("describe", "ollama:nothing")


def test_what_runs(here):
    rows = json.loads(recorded("ps_loaded").body)["models"]
    with catalog_server() as server:
        found = here(server).call("running")
    assert [(m.ref, m.context_length) for m in found] == [
        (f"ollama:{row['name']}", row["context_length"]) for row in rows
    ]


def test_a_server_is_validated(here):
    rows = json.loads(recorded("tags").body)["models"]
    with catalog_server() as server:
        found = here(server).call("validate", "ollama")
    assert (found.server, found.models) == ("Ollama 0.33.0-rc2", len(rows))
    with pytest.raises(ProviderDown):
        here("http://127.0.0.1:1").call("validate", "ollama")


# ---- orders --------------------------------------------------------------------------------------


def test_a_copy_and_its_deletion(here):
    answers = [request, recorded("copy").answer(), request, recorded("delete").answer()]
    with Server([*answers, client_closed]) as server:
        runtime = here(server)
        runtime.call("copy", "ollama:tiny", "tiny-copy")
        runtime.call("delete", "ollama:tiny-copy")
        sent = [(r.method, r.path, r.json()) for r in server.requests]
    assert sent == [
        ("POST", "/api/copy", {"source": "tiny", "destination": "tiny-copy"}),
        ("DELETE", "/api/delete", {"model": "tiny-copy"}),
    ]


@pytest.mark.parametrize(
    ("verb", "names", "name"),
    [
        ("delete", ["ollama:nothing"], "delete_again"),
        ("copy", ["ollama:nothing", "other"], "copy_unknown"),
        ("load", ["ollama:nothing"], "api_chat_load_unknown"),
    ],
)
def test_an_order_about_a_model_that_is_not_there(here, verb, names, name):
    with Server([request, recorded(name).answer(), client_closed]) as server:
        with pytest.raises(ModelNotFound):
            here(server).call(verb, *names)
        assert len(server.requests) == 1


def test_a_deletion_whose_answer_is_lost_is_not_repeated(here):
    with Server([request, close]) as server:
        with pytest.raises(ProviderDown):
            here(server).call("delete", "ollama:tiny")
        assert len(server.requests) == 1


def test_a_model_is_loaded_and_unloaded(here):
    answers = [recorded("api_chat_load").answer(), recorded("api_chat_unload").answer()]
    with Server([request, answers[0], request, answers[1], client_closed]) as server:
        runtime = here(server, keep_alive="5m", num_ctx=512)
        runtime.call("load", "ollama:tiny-native")
        runtime.call("unload", "ollama:tiny-native")
        sent = [r.json() for r in server.requests]
    assert sent[0]["messages"] == sent[1]["messages"] == []
    assert (sent[0]["keep_alive"], sent[0]["options"]) == ("5m", {"num_ctx": 512})
    assert sent[1]["keep_alive"] == 0


# ---- create --------------------------------------------------------------------------------------


def test_a_model_is_made_of_a_file(here, tmp_path):
    content = bytes(range(256)) * 4096
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    (tmp_path / "mine.gguf").write_bytes(content)
    routes = {
        f"HEAD /api/blobs/{digest}": respond(404, {}, b""),
        f"POST /api/blobs/{digest}": recorded("blob_upload").answer(),
        "/api/create": recorded("create_stream").answer(),
    }
    with Server([repeat(when(routes))]) as server:
        files = {"mine.gguf": tmp_path / "mine.gguf"}
        here(server).call("create", "ollama:mine", files=files, system="Be brief.")
        sent = server.requests
    assert [r.method for r in sent] == ["HEAD", "POST", "POST"]
    assert sent[1].body == content
    assert sent[2].json() == {
        "model": "mine",
        "files": {"mine.gguf": digest},
        "system": "Be brief.",
    }


def test_a_model_is_made_of_another(here):
    with Server([request, recorded("create_from_stream").answer(), client_closed]) as server:
        here(server).call("create", "ollama:mine", source="ollama:tiny", parameters={"seed": 7})
        assert server.requests[0].json() == {
            "model": "mine",
            "from": "tiny",
            "parameters": {"seed": 7},
        }
