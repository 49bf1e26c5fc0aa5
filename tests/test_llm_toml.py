"""``llm.toml`` and ``--llm`` from the file to the wire: what is written decides what is sent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from installed import quiet_environment, standin_registry, write_metadata
from ollama_here import add_ollama
from scripted import Answer, Hold
from scripted_vllm import ScriptedVllm
from server import StandInServer
from vllm_here import add_vllm

from multitap import Runtime, cli
from multitap.config import load_config
from multitap.errors import AuthenticationError, ConfigError, ContextOverflow, DeadlineExceeded
from multitap.testing import CEILING, Server, client_closed, json, request

FILE = """\
[defaults]
provider = "standin"
model = "llama3.2:3b"

[standin]
endpoint = "{standin}"
timeout_ms = 80000

[vllm]
endpoint = "{vllm}"
max_input_tokens = 8192
"""
CHAT = ("chat", "--llm", "provider=vllm", "model=phi3:8b", "hi")


class House:
    """A user's home, a project's folder, and the two servers that their files name."""

    def __init__(self, folder: Path, standin: StandInServer, vllm: StandInServer) -> None:
        self.home, self.project = folder / "home", folder / "project"
        self.project.mkdir(parents=True)
        self.files = {
            "user": self.home / ".config" / "multitap" / "llm.toml",
            "project": self.project / "llm.toml",
        }
        self.files["user"].parent.mkdir(parents=True)
        self.standin, self.vllm = standin, vllm

    def write(self, place: str, text: str) -> Path:
        urls = {"{standin}": self.standin.url, "{vllm}": self.vllm.url}
        for name, url in urls.items():
            text = text.replace(name, url)
        self.files[place].write_text(text, "utf-8")
        return self.files[place]

    def models_asked(self) -> dict[str, list[str]]:
        """The models that each server was asked for."""
        servers = {"standin": self.standin, "vllm": self.vllm}
        return {
            n: [r.json()["model"] for r in s.requests] for n, s in servers.items() if s.requests
        }


@pytest.fixture
def house(tmp_path, monkeypatch):
    environment = quiet_environment(tmp_path / "site", tmp_path / "home")
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, environment[name])
    for name in ("VLLM_API_KEY", "STANDIN_API_KEY", "MULTITAP_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("multitap.config.files.SYSTEM_FILE", tmp_path / "no.toml")
    models = ("llama3.2:3b", "phi3:8b", "tiny")
    with StandInServer(models=models) as standin, StandInServer(models=models) as vllm:
        found = House(tmp_path, standin, vllm)
        monkeypatch.chdir(found.project)
        yield found


def both():
    """A registry of the stand-in and of vLLM's plugin."""
    return add_vllm(standin_registry())


def runtime(*words):
    return Runtime(load_config(overrides=words), registry=both())


def chat(*words, prompt="hi", **options):
    with runtime(*words) as rt:
        return rt.chat(prompt, **options)


# ---- the file ------------------------------------------------------------------------------------


SPECIFIED = FILE.replace("standin", "ollama")


def test_the_very_file_of_the_specification_serves_both_backends(house):
    said = {"message": {"content": "hi"}, "done": True}
    with Server([request, json(said), client_closed]) as ollama, ScriptedVllm() as vllm:
        text = SPECIFIED.replace("{ollama}", ollama.url).replace("{vllm}", vllm.url)
        house.write("user", text)
        with Runtime(load_config(), registry=add_ollama(both())) as rt:
            answers = [rt.chat("hi"), rt.chat("hi", model="vllm:phi3:8b")]
        asked = [server.requests[0].json()["model"] for server in (ollama, vllm)]
    assert [(a.backend, a.text) for a in answers] == [("ollama", "hi"), ("vllm", "Hello!")]
    assert asked == ["llama3.2:3b", "phi3:8b"]


@pytest.mark.parametrize("place", ["project", "user"])
def test_a_file_like_it_serves_both_backends_wherever_it_is(house, place):
    house.write(place, FILE)
    answers = [chat(), chat(model="vllm:phi3:8b")]
    assert [(a.backend, a.text) for a in answers] == [("standin", "hi"), ("vllm", "hi")]
    assert house.models_asked() == {"standin": ["llama3.2:3b"], "vllm": ["phi3:8b"]}
    sections = load_config().sections
    assert (sections["standin"].timeout_ms, sections["vllm"].max_input_tokens) == (80000, 8192)


def test_a_file_in_a_parent_folder_of_the_working_directory_is_the_projects(house, monkeypatch):
    house.write("project", FILE)
    inner = house.project / "src" / "app"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert chat().backend == "standin"


def test_one_line_of_configuration_swaps_the_backend(house):
    house.write("project", FILE)
    before = chat("model=tiny")
    house.write("project", FILE.replace('provider = "standin"', 'provider = "vllm"'))
    after = chat("model=tiny")
    assert [(a.backend, a.text) for a in (before, after)] == [("standin", "hi"), ("vllm", "hi")]
    assert house.models_asked() == {"standin": ["tiny"], "vllm": ["tiny"]}


def test_timeout_ms_is_the_time_of_the_whole_call(house):
    house.write("project", FILE.replace("80000", "300"))
    hold = Hold()
    house.standin.script.append(Answer("It never ends", hold=hold))
    with runtime() as rt, pytest.raises(DeadlineExceeded) as caught, rt.stream("hi") as events:
        list(events)
    assert caught.value.partial.text == "It"
    assert house.standin.connections[0].closed_by_client.wait(CEILING)


def test_max_input_tokens_is_enforced_before_anything_is_sent(house):
    house.write("project", FILE)
    long, longest = "word " * 8000, "x" * 4 * 8192
    with pytest.raises(ContextOverflow) as caught:
        chat(model="vllm:phi3:8b", prompt=long)
    assert (caught.value.limit, caught.value.needed) == (8192, 10000)
    assert house.models_asked() == {}
    chat(model="vllm:phi3:8b", prompt=longest)
    chat(prompt=long)
    assert house.models_asked() == {"standin": ["llama3.2:3b"], "vllm": ["phi3:8b"]}


# ---- what goes before what -----------------------------------------------------------------------


def test_command_line_before_environment_before_file_before_default(house, monkeypatch):
    assert endpoint_of("standin") == "http://127.0.0.1:8080"
    house.write("user", FILE)
    assert house.standin.url == endpoint_of("standin")
    house.write("project", '[defaults]\nmodel = "tiny"\n')
    chat()
    monkeypatch.setenv("MULTITAP_DEFAULTS__MODEL", "phi3:8b")
    chat()
    monkeypatch.setenv("MULTITAP_DEFAULTS__PROVIDER", "vllm")
    chat()
    chat("provider=standin", "model=llama3.2:3b")
    chat(f"standin.endpoint={house.vllm.url}", "provider=standin")
    asked = {"standin": ["tiny", "phi3:8b", "llama3.2:3b"], "vllm": ["phi3:8b", "phi3:8b"]}
    assert asked == house.models_asked()


def endpoint_of(name, *words):
    with runtime(*words) as rt:
        return next(b.endpoint for b in rt.backends() if b.id == name)


# ---- whose key goes where ------------------------------------------------------------------------


def test_the_users_key_goes_to_the_users_endpoint(house):
    house.write("user", FILE + 'api_key = "sesame"\n')
    chat(model="vllm:tiny")
    assert {"Bearer sesame"} == house.vllm.keys


def test_no_key_of_the_user_reaches_an_endpoint_of_a_projects_file(house, monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", "sesame")
    house.write("user", '[vllm]\napi_key = "sesame"\n')
    house.write("project", '[vllm]\nendpoint = "{vllm}"\n')
    chat(model="vllm:tiny")
    assert {None} == house.vllm.keys


def test_a_projects_file_may_not_name_the_users_key_for_another_machine(house, monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", "sesame")
    elsewhere = house.vllm.url.replace("127.0.0.1", "0.0.0.0")  # not known to be this machine
    house.write("project", f'[vllm]\nendpoint = "{elsewhere}"\napi_key = "env:VLLM_API_KEY"\n')
    with pytest.raises(AuthenticationError) as caught:
        chat(model="vllm:tiny")
    assert "llm.toml, line 3" in str(caught.value)
    assert "sesame" not in f"{caught.value!r} {caught.value}"
    assert set() == house.vllm.keys
    house.write("user", f'[vllm]\nendpoint = "{elsewhere}"\napi_key = "env:VLLM_API_KEY"\n')
    house.files["project"].unlink()
    chat(model="vllm:tiny")
    assert {"Bearer sesame"} == house.vllm.keys


def test_a_key_that_stands_beside_the_endpoint_is_the_projects_own(house):
    house.write("user", '[vllm]\napi_key = "sesame"\n')
    house.write("project", '[vllm]\nendpoint = "{vllm}"\napi_key = "theirs"\n')
    chat(model="vllm:tiny")
    assert {"Bearer theirs"} == house.vllm.keys


# ---- what is wrong -------------------------------------------------------------------------------

WRONG = {
    "a misspelt key of a section": (
        FILE.replace("max_input_tokens", "max_input_token"),
        (11, "vllm.max_input_token"),
        "did you mean 'max_input_tokens'?",
    ),
    "a misspelt key of the defaults": (
        FILE.replace("model", "modle"),
        (3, "defaults.modle"),
        "did you mean 'model'?",
    ),
    "a value of the wrong type": (
        FILE.replace("80000", '"80 s"'),
        (7, "standin.timeout_ms"),
        "has to be a whole number, not a text",
    ),
    "a value that the plugin does not take": (
        FILE + 'usage_every_chunk = "often"\n',
        (12, "vllm.usage_every_chunk"),
        "has to be true or false, not a text",
    ),
    "an endpoint that is no URL": (
        FILE.replace("{vllm}", "127.0.0.1:8000"),
        (10, "vllm.endpoint"),
        "has to be a URL such as",
    ),
}


IDS = [name.replace(" ", "-") for name in WRONG]


@pytest.mark.parametrize(("text", "place", "advice"), WRONG.values(), ids=IDS)
def test_what_is_wrong_is_told_with_file_line_key_and_advice(house, text, place, advice):
    line, key = place
    file = house.write("project", text)
    with pytest.raises(ConfigError) as caught:
        chat(model="vllm:tiny")
    error = caught.value
    assert (str(file), line, key) == (error.file, error.line, error.key)
    assert f"{file}, line {line}" in str(error)
    assert advice in str(error)
    assert house.models_asked() == {}


def test_broken_toml_is_told_with_line_and_column(house):
    file = house.write("project", FILE.replace("timeout_ms = 80000", "timeout_ms = "))
    with pytest.raises(ConfigError) as caught:
        chat()
    assert (str(file), 7, 14) == (caught.value.file, caught.value.line, caught.value.column)


def test_a_wrong_word_after_llm_lists_the_keys(house):
    house.write("project", FILE)
    with pytest.raises(ConfigError) as caught:
        chat("modle=phi3:8b")
    assert caught.value.key == "modle"
    assert "did you mean 'model'?" in str(caught.value)
    assert "model, provider, and <section>.<key>" in str(caught.value)


# ---- the command line ----------------------------------------------------------------------------

PROGRAM = "import sys; from multitap.cli import main; sys.exit(main())"


def multitap(house, *words, **variables):
    """The command line in a process of its own, for which the stand-in is installed too."""
    site = house.home / "site"
    if not site.exists():
        site.mkdir()
        write_metadata(site)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=house.project,
        env={**quiet_environment(site, house.home), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_exactly_this_command_line_asks_vllm_for_phi3(house):
    house.write("user", FILE)
    assert multitap(house, *CHAT) == (0, "hi\n", "")
    assert house.models_asked() == {"vllm": ["phi3:8b"]}


def test_in_a_process_too_the_command_line_goes_before_the_environment(house):
    house.write("project", FILE)
    variables = {"MULTITAP_DEFAULTS__MODEL": "tiny"}
    assert multitap(house, "chat", "hi", **variables) == (0, "hi\n", "")
    assert multitap(house, *CHAT, **variables) == (0, "hi\n", "")
    assert house.models_asked() == {"standin": ["tiny"], "vllm": ["phi3:8b"]}


def test_in_a_process_too_wrong_configuration_ends_with_2(house):
    file = house.write("project", FILE.replace("timeout_ms", "timeout"))
    code, out, err = multitap(house, "chat", "hi")
    assert (code, out) == (2, "")
    assert f"{file}, line 7" in err
    assert "did you mean 'timeouts'?" in err


@pytest.fixture
def main(monkeypatch, capsys):
    """The command line in this process: exit code and standard error."""
    monkeypatch.setattr("sys.stdin", None)

    def run(*words):
        code = cli.main(words, registry=both())
        out, err = capsys.readouterr()
        assert out == ""
        return code, err

    return run


@pytest.mark.parametrize(("text", "place", "advice"), WRONG.values(), ids=IDS)
def test_wrong_configuration_ends_the_command_with_2_and_the_place(
    house, main, text, place, advice
):
    file = house.write("project", text)
    code, err = main(*CHAT)
    assert code == 2
    assert f"{file}, line {place[0]}" in err
    assert advice in err
    assert house.models_asked() == {}


def test_a_wrong_word_on_the_command_line_ends_it_with_2_and_the_keys(house, main):
    house.write("project", FILE)
    code, err = main("chat", "--llm", "provider=vllm", "modle=phi3:8b", "hi")
    assert code == 2
    assert "did you mean 'model'?" in err
    assert "model, provider, and <section>.<key>" in err
