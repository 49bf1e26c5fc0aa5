"""Several servers share ports and paths: who answers is found out before anybody is named."""

from __future__ import annotations

import json
from contextlib import ExitStack
from itertools import permutations

import pytest
from scripted_servers import SERVERS

from multitap import Runtime, cli
from multitap.errors import BackendError, ProtocolError
from multitap.testing import CEILING, Server, client_closed, repeat, request, respond, send
from multitap.testing import json as json_answer

TITLES = {
    "llamaserver": "llama-server",
    "lmstudio": "LM Studio",
    "ollama": "Ollama",
    "tgi": "TGI",
    "vllm": "vLLM",
}
OWN = {**TITLES, "tgi": "Text Generation Inference"}
"""How a server is called by its own plugin, in front of its version."""
PLUGINS = sorted(SERVERS)
HTML = {"content-type": "text/html", "server": "nginx/1.24.0"}
NOT_FOUND = "<html><head><title>404 Not Found</title></head></html>"
STRANGERS = {
    "an object for every path": repeat(request, json_answer({})),
    "a page for every path": repeat(request, respond(200, HTML, "<html>Welcome</html>")),
    "no path at all": repeat(request, respond(404, HTML, NOT_FOUND)),
    "a gateway without anybody": repeat(request, respond(502, HTML, "<html>Bad Gateway</html>")),
    "no HTTP": [send("SSH-2.0-OpenSSH_9.6\r\n"), client_closed],
}


@pytest.fixture(scope="module")
def endpoints():
    """Where each server is, the strangers included."""
    with ExitStack() as running:
        found = {name: running.enter_context(server()).url for name, server in SERVERS.items()}
        for name, script in STRANGERS.items():
            found[name] = running.enter_context(Server(script)).url
        yield found


def validated(plugin, endpoint):
    """What a plugin says of the server at an endpoint: its name, or the error."""
    with Runtime({plugin: {"endpoint": endpoint}}) as rt:
        try:
            return rt.validate(plugin, timeout=10).server
        except BackendError as error:
            return error


def named(message):
    """The servers that a message says to be the one."""
    return [title for title in TITLES.values() if f"{title} answers" in message]


@pytest.mark.parametrize("plugin", TITLES)
def test_a_plugin_names_its_own_server(plugin, endpoints):
    assert validated(plugin, endpoints[plugin]).startswith(OWN[plugin])


@pytest.mark.parametrize(("plugin", "server"), list(permutations(TITLES, 2)))
def test_at_another_server_its_name_and_its_provider_are_told(plugin, server, endpoints):
    error = validated(plugin, endpoints[server])
    assert (type(error), error.kind) == (ProtocolError, "wrong_server")
    assert error.message == f"{TITLES[server]} answers at this endpoint, not {TITLES[plugin]}"
    assert f'provider = "{server}"' in error.hint


@pytest.mark.parametrize("server", SERVERS)
def test_the_plugin_of_openais_api_takes_all_that_speak_it_and_says_who_it_is(server, endpoints):
    assert validated("openai", endpoints[server]) == TITLES.get(server)


@pytest.mark.parametrize("plugin", TITLES)
def test_a_server_of_openais_api_that_says_nothing_of_itself_is_not_named(plugin, endpoints):
    said = validated(plugin, endpoints["openai"])
    if plugin == "vllm":  # a gateway before vLLM looks the same
        assert said is None
    else:
        assert said.message.startswith(f"What answers at this endpoint is not {TITLES[plugin]}")


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_stranger_is_an_error_that_names_nobody(plugin, stranger, endpoints):
    error = validated(plugin, endpoints[stranger])
    assert isinstance(error, BackendError)
    assert named(error.message) == []
    assert "Set provider" not in error.hint


@pytest.mark.parametrize("stranger", ["an object for every path", "a page for every path"])
@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_status_of_200_proves_nothing(plugin, stranger, endpoints):
    error = validated(plugin, endpoints[stranger])
    assert isinstance(error, ProtocolError)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_gateway_without_its_server_is_not_taken_for_another_server(plugin, endpoints):
    error = validated(plugin, endpoints["a gateway without anybody"])
    assert (error.status, error.kind) != (None, "wrong_server")


# ---- doctor --------------------------------------------------------------------------------------


@pytest.fixture
def doctor(tmp_path, endpoints, capsys, monkeypatch):
    """What doctor finds about each plugin at each server, in one look that may take its time."""
    monkeypatch.setattr("multitap.cli.doctor.asking.SECONDS", CEILING)
    places = {f"{p}-{n}": (p, url) for p in PLUGINS for n, url in enumerate(endpoints.values())}
    text = "".join(
        f'[{name}]\nprovider = "{plugin}"\nendpoint = "{url}"\n'
        for name, (plugin, url) in places.items()
    )
    file = tmp_path / "llm.toml"
    file.write_text(text, "utf-8")
    cli.main(["doctor", "--json", "--config", str(file)])
    findings = json.loads(capsys.readouterr().out)["findings"]
    about = {found["subject"]: found for found in findings if found["subject"] in places}
    servers = list(endpoints)
    return {(p, s): about[f"{p}-{n}"] for p in PLUGINS for n, s in enumerate(servers)}


def test_doctor_tells_the_same_for_all_of_them(doctor):
    for (plugin, server), found in doctor.items():
        right = server == plugin or (server in SERVERS and plugin == "openai")
        if right or (plugin, server) == ("vllm", "openai"):
            assert (found["id"], found["level"]) == ("backend", "ok")
        elif server in TITLES:
            assert found["id"] == "backend-strange"
            assert f"{TITLES[server]} answers at this endpoint" in found["message"]
            assert f'provider = "{server}"' in found["fix"]["text"]
        else:
            assert found["level"] == "error"
            assert named(found["message"]) == []
