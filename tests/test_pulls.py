"""A download is the same whoever does it: its bytes, its stall, its failure, and its end.

Ollama tells of it in lines; LM Studio and a router of llama-server are asked how far it is.
"""

from __future__ import annotations

import pytest

from multitap.capabilities.lifecycle import Progress
from multitap.errors import BackendError, EngineError, ModelNotFound, ProtocolError, Timeout
from multitap.policy.pull import Pull
from multitap.testing import WORLDS, Server, json, ndjson, repeat, request, send, when

PLUGINS = ("llamaserver", "lmstudio", "ollama")
ASKED = {"llamaserver": "/v1/models", "lmstudio": "/api/v1/models/download/status/1"}
FILE = "model.gguf"
ENDLESS = "endless"  # the last step again and again


def server(plugin, *steps):
    """A server of a download with these steps: bytes and their total, then ``done`` or ``failed``
    or ``ENDLESS``.
    """
    *told, end = steps
    return Server(TELLING[plugin](told, end))


def llamaserver(told, end):
    states = [row("downloading", done, total) for done, total in told]
    after = {"done": [row("unloaded")], "failed": [], ENDLESS: states[-1:]}[end]
    lists = iter([[], *([state] for state in states)])
    routes = {
        "POST /models": json({"success": True}),
        "GET /v1/models": lambda _: json({"data": next(lists, after)}),
    }
    return repeat(when(routes))


def row(state, done=0, total=0):
    files = {FILE: {"done": done, "total": total}}
    return {"id": "tiny", "status": {"value": state, "progress": files}}


def lmstudio(told, end):
    jobs = [job("downloading", done, total) for done, total in told]
    after = {"done": job("completed"), "failed": job("failed"), ENDLESS: jobs[-1]}[end]
    states = iter(jobs)
    routes = {
        "POST /api/v1/models/download": json(job("downloading")),
        f"GET {ASKED['lmstudio']}": lambda _: json(next(states, after)),
    }
    return repeat(when(routes))


def job(status, done=None, total=None):
    counts = {"downloaded_bytes": done, "total_size_bytes": total}
    known = {name: value for name, value in counts.items() if value is not None}
    return {"job_id": "1", "status": status, **known}


def ollama(told, end):
    lines = [
        {"status": "pulling", "digest": FILE, "completed": done, "total": total}
        for done, total in told
    ]
    again = b'{"status":"pulling","digest":"model.gguf","completed":%d,"total":%d}\n' % told[-1]
    after = {
        "done": {"status": "success"},
        "failed": {"error": "max retries exceeded: EOF"},
        ENDLESS: repeat(send(b"%x\r\n%s\r\n" % (len(again), again))),
    }
    return repeat(request, ndjson([*lines, after[end]]))


TELLING = {"llamaserver": llamaserver, "lmstudio": lmstudio, "ollama": ollama}


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request, monkeypatch):
    """Makes runtimes whose pulls wait for nothing."""
    monkeypatch.setattr("multitap_lmstudio.lifecycle.POLL", 0)
    monkeypatch.setattr("multitap_llamaserver.lifecycle.POLL", 0)
    monkeypatch.setattr("multitap.runtime.management.Pull", lambda: Pull(draw=lambda: 0.0))
    made = []

    def make(plugin, one):
        made.append(request.param({plugin: {"endpoint": one.url}}))
        return made[-1]

    yield make
    for here in made:
        here.close()


def refused(status, error):
    return json({"error": error}, status)


def counted(steps):
    return [(step.completed, step.total) for step in steps if step.total is not None]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_bytes_are_counted_until_it_is_done(world, plugin):
    with server(plugin, (5, 20), (15, 20), "done") as one:
        steps, _ = world(plugin, one).items("pull_stream", f"{plugin}:tiny")
    assert counted(steps)[:2] == [(5, 20), (15, 20)]
    assert isinstance(steps[-1], Progress)


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("told", [[(25, 20)], [(5, 20), (15, 10)], [(15, 20), (5, 20)], [(5, 0)]])
def test_a_size_that_is_a_lie_is_shown_as_it_is_and_spoils_nothing(world, plugin, told):
    with server(plugin, *told, "done") as one:
        steps, _ = world(plugin, one).items("pull_stream", f"{plugin}:tiny")
    assert counted(steps)[: len(told)] == told


@pytest.mark.parametrize("plugin", PLUGINS)
def test_one_that_brings_nothing_new_stalls(world, monkeypatch, plugin):
    monkeypatch.setattr("multitap.policy.pull.STALL", 0.02)
    with server(plugin, (5, 20), ENDLESS) as one, pytest.raises(Timeout) as caught:
        world(plugin, one).call("pull", f"{plugin}:tiny")
    assert (caught.value.kind, caught.value.backend) == ("pull_stalled", plugin)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_failure_in_the_midst_is_of_a_type_and_has_a_next_step(world, plugin):
    with server(plugin, (5, 20), "failed") as one, pytest.raises(BackendError) as caught:
        world(plugin, one).call("pull", f"{plugin}:tiny")
    assert caught.value.backend == plugin
    assert caught.value.hint
    if plugin in ASKED:
        assert (type(caught.value), caught.value.kind) == (EngineError, "download_failed")


MISSING = {
    "llamaserver": {
        "GET /v1/models": json({"data": []}),
        "POST /models": refused(400, {"message": "model validation failed, unable to download"}),
    },
    "lmstudio": {
        "POST /api/v1/models/download": refused(
            *(404, {"message": 'Model "tiny" not found.', "code": "model_not_found"})
        )
    },
    "ollama": {
        "POST /api/pull": ndjson(
            [
                {"status": "pulling manifest"},
                {"error": "pull model manifest: file does not exist"},
            ]
        )
    },
}


@pytest.mark.parametrize("plugin", PLUGINS)
def test_what_is_not_there_is_asked_for_once(world, plugin):
    with (
        Server(repeat(when(MISSING[plugin]))) as one,
        pytest.raises(ModelNotFound) as caught,
    ):
        world(plugin, one).call("pull", f"{plugin}:tiny")
    assert (caught.value.backend, caught.value.model) == (plugin, "tiny")
    assert caught.value.hint
    assert len([sent for sent in one.requests if sent.method == "POST"]) == 1


@pytest.mark.parametrize("plugin", ASKED)
def test_leaving_ends_the_asking(world, plugin):
    with server(plugin, (5, 20), ENDLESS) as one:
        here, asked = world(plugin, one), []
        for _ in range(2):
            here.items("pull_stream", f"{plugin}:tiny", after=lambda seen, _: len(seen) < 3)
            asked.append(len(one.requests))
    assert asked[1] == 2 * asked[0]


def test_a_job_that_has_no_name_cannot_be_asked_for(world):
    nameless = json({"status": "downloading", "total_size_bytes": 20})
    with (
        Server(repeat(when({"POST /api/v1/models/download": nameless}))) as one,
        pytest.raises(ProtocolError, match="job_id"),
    ):
        world("lmstudio", one).call("pull", "lmstudio:tiny")
    assert len(one.requests) == 1
