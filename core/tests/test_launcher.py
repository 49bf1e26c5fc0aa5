"""Servers that are started, waited for and ended: none of their processes is ever left."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest
from command_line import run_here, valid
from silent_interrupt import silent_interrupt

from multitap import AsyncRuntime, Runtime
from multitap.capabilities.launcher import Container, Process, options_as_flags
from multitap.dialects.openai.listing import ModelsListing
from multitap.engine import kept
from multitap.errors import (
    AuthenticationError,
    ConfigError,
    EngineError,
    LocalError,
    NotSupported,
    PluginError,
    Timeout,
)
from multitap.hookspecs import hookimpl
from multitap.manifest import KeyInfo, ProviderInfo
from multitap.registry import Registry

HERE = Path(__file__).parent
SHARED = f"{HERE}:{HERE.parents[1] / 'tests'}"  # what this file imports from
CEILING = 30.0  # seconds that anything may take before a test is called stuck
INFO = ProviderInfo(name="stand", title="stand", key=KeyInfo(variable="STAND_KEY"))


@attrs.frozen
class Stand:
    """The model's name is the mode of the server."""

    notes: Path
    asked: list = attrs.field(factory=list)

    @hookimpl
    def multitap_launcher(self, backend):
        return self

    @hookimpl
    def multitap_catalog(self, backend):
        return ModelsListing(backend)

    def launch(self, request, /):
        self.asked.append(request)
        if request.model == "raising":
            raise RuntimeError("oh")
        if request.model == "nothing":
            return None
        if request.container:
            return Container(
                image=f"stand:{request.tag}",
                argv=("--model", request.model, *options_as_flags(request.options)),
                port=8000,
                environ={"COLOUR": "blue"},
                gpus="all",
                volumes={"~/here": "/there", "kept": "/cache"},
                shm_size="1g",
            )
        script = [str(HERE / "launched_server.py"), request.model, str(request.port)]
        argv = (sys.executable, *script, str(self.notes))
        return Process(argv=argv, install="Install it.", model="tiny")


def registry_of(plugin):
    registry = Registry(allow=())
    registry.add(plugin, "stand", ["launcher", "catalog"], info=INFO)
    return registry


@pytest.fixture
def plugin(tmp_path):
    return Stand(tmp_path)


@pytest.fixture
def rt(plugin):
    with Runtime({}, registry=registry_of(plugin)) as runtime:
        yield runtime


def waited(check):
    """Ask until it is so; ``False`` after the ceiling."""
    give_up = time.monotonic() + CEILING
    while not check():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.01)
    return True


def pid_of(notes, name="server"):
    assert waited((notes / name).exists)
    return int((notes / name).read_text())


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


# ---- a good start, and a good end ----------------------------------------------------------------


def test_a_server_is_there_for_the_length_of_the_block(rt, tmp_path):
    with rt.launch("stand:plain") as server:
        assert server.ref == f"{server.backend}:tiny"
        assert server.url.startswith("http://127.0.0.1:")
        assert server.running
        assert [model.ref for model in rt.models(server.backend)] == [server.ref]
        assert rt.resolve(server.ref).ref == server.ref
        assert rt.resolve(f"{server.backend}:").model == "tiny"
        assert server.backend in {backend.id for backend in rt.backends()}
        assert waited(lambda: "loading the weights" in server.log)
    assert not server.running
    assert is_gone(pid_of(tmp_path))
    with pytest.raises(ConfigError, match="no backend"):
        rt.models(server.backend)


def test_an_async_runtime_does_the_same(plugin, tmp_path):
    async def main():
        async with (
            AsyncRuntime({}, registry=registry_of(plugin)) as rt,
            rt.launch("stand:plain") as server,
        ):
            models = [model.ref for model in await rt.models(server.backend)]
            return models == [server.ref] and server.running

    assert asyncio.run(main())
    assert is_gone(pid_of(tmp_path))


def test_the_log_comes_as_it_is_written_until_the_server_is_ready(rt, tmp_path):
    seen = []
    with rt.launch_stream("stand:slow") as server:
        for step in server:
            seen.append(step.status)
            if step.status == "loading the weights":
                (tmp_path / "go").touch()
        assert len(rt.models(server.backend)) == 1
    assert seen[0].startswith("starting ")
    assert "loading the weights" in seen
    assert is_gone(pid_of(tmp_path))


def test_the_log_comes_on_an_event_loop_too(plugin, tmp_path):
    async def main():
        (tmp_path / "go").touch()
        async with (
            AsyncRuntime({}, registry=registry_of(plugin)) as rt,
            rt.launch_stream("stand:slow") as server,
        ):
            return [step.type async for step in server]

    assert set(asyncio.run(main())) == {"loading"}


def test_two_servers_at_once_do_not_meet(rt, tmp_path):
    with rt.launch("stand:plain") as one, rt.launch("stand:plain") as other:
        assert one.backend != other.backend
        assert one.url != other.url
        assert [len(rt.models(s.backend)) for s in (one, other)] == [1, 1]
        one.close()
        assert waited(lambda: not one.running)
        assert len(rt.models(other.backend)) == 1


def test_threads_can_launch_at_once(rt):
    def launched(_):
        with rt.launch("stand:plain") as server:
            return [model.ref for model in rt.models(server.backend)] == [server.ref]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(launched, range(4)))
    assert [backend.id for backend in rt.backends()] == ["stand"]


def test_a_launched_server_is_never_the_default_backend(rt):
    before = rt.resolve("small").backend
    with rt.launch("stand:plain"):
        assert rt.resolve("small").backend == before


def test_settings_stay_and_a_key_for_another_server_does_not(plugin, tmp_path):
    config = {"stand": {"endpoint": "https://gpu.example", "api_key": "theirs", "timeout_ms": 9000}}
    with Runtime(config, registry=registry_of(plugin)) as rt, rt.launch("stand:plain") as server:
        section = rt._parts.sections[server.backend]
        assert (section.api_key, section.timeout_ms) == (None, 9000)
        assert section.endpoint == server.url


def test_the_key_in_the_providers_variable_is_the_servers_too(rt, monkeypatch):
    monkeypatch.setenv("STAND_KEY", "of-this-machine")
    with rt.launch("stand:key") as server:
        assert len(rt.models(server.backend)) == 1
        assert "of-this-machine" not in repr(server)


def test_an_application_can_name_the_executable_and_the_port(rt, plugin, tmp_path):
    runs = ["/usr/bin/env", "COLOUR=red", sys.executable]
    with rt.launch("stand:plain", executable=runs) as server:
        port = plugin.asked[-1].port
        assert server.url.endswith(f":{port}")
    with rt.launch("stand:plain", port=port) as again:
        assert again.url == server.url


# ---- a start that fails --------------------------------------------------------------------------


def test_what_ends_before_it_is_ready_tells_the_end_of_its_log(rt, tmp_path):
    with (
        pytest.raises(EngineError, match="Error: no such model") as caught,
        rt.launch("stand:failing"),
    ):
        pass
    assert caught.value.kind == "launch_failed"
    assert "exit code 3" in caught.value.message
    assert caught.value.backend.startswith("stand-")
    assert [b.id for b in rt.backends()] == ["stand"]


def test_a_failure_reaches_who_reads_the_log(plugin):
    async def main():
        async with (
            AsyncRuntime({}, registry=registry_of(plugin)) as rt,
            rt.launch_stream("stand:failing") as server,
        ):
            return [step async for step in server]

    with pytest.raises(EngineError, match="no such model"):
        asyncio.run(main())


def test_an_executable_that_is_not_there_says_what_to_install(rt):
    with (
        pytest.raises(LocalError, match=r"no-such-thing cannot be run.* Install it\."),
        rt.launch("stand:plain", executable="no-such-thing"),
    ):
        pass


def test_what_is_never_ready_is_ended(rt, tmp_path):
    with (
        pytest.raises(Timeout, match="loading the weights") as caught,
        rt.launch("stand:slow", timeout=1),
    ):
        pass
    assert caught.value.kind == "launch_timeout"
    assert is_gone(pid_of(tmp_path))


def test_a_server_that_refuses_the_key_is_not_waited_for(rt, monkeypatch, tmp_path):
    monkeypatch.setenv("STAND_KEY", "right")
    with (
        pytest.raises(AuthenticationError),
        rt.launch("stand:key", executable=["/usr/bin/env", "STAND_KEY=other", sys.executable]),
    ):
        pass
    assert is_gone(pid_of(tmp_path))


def test_what_a_plugin_gets_wrong_names_it(rt):
    for mode, said in (("raising", "RuntimeError: oh"), ("nothing", "no Process")):
        with pytest.raises(PluginError, match=said):
            rt.launch(f"stand:{mode}")


WRONG = [
    {"container": "lxc"},
    {"pull": "often"},
    {"port": 70000},
    {"timeout": "long"},
    {"grace": -1},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_wrong_argument_is_told_before_anything_is_started(rt, wrong, plugin):
    with pytest.raises(ConfigError):
        rt.launch("stand:plain", **wrong)
    assert plugin.asked == []


def test_a_provider_without_a_launcher_says_so(rt, plugin):
    rt._parts.registry.add(plugin, "other", ["catalog"])
    with pytest.raises(NotSupported, match="launcher"):
        rt.launch("other:tiny")


def test_another_system_is_told_that_it_cannot_be_done(rt, monkeypatch):
    server = rt.launch("stand:plain")
    monkeypatch.setattr(kept.os, "name", "nt")
    with pytest.raises(NotSupported, match="process groups"):
        server.__enter__()


# ---- an end that is forced -----------------------------------------------------------------------


def test_a_close_from_another_thread_ends_the_wait_and_the_server(rt, tmp_path):
    server = rt.launch("stand:slow")
    closing = threading.Thread(target=lambda: (pid_of(tmp_path), server.close()))
    closing.start()
    with pytest.raises(LocalError, match="stopped before it was ready"), server:
        pass
    closing.join(CEILING)
    assert is_gone(pid_of(tmp_path))


def test_a_cancelled_task_leaves_no_process(plugin, tmp_path):
    async def main():
        async with AsyncRuntime({}, registry=registry_of(plugin)) as rt:

            async def launch():
                async with rt.launch("stand:slow"):
                    pass

            task = asyncio.create_task(launch())
            await asyncio.to_thread(pid_of, tmp_path)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return task.cancelled() and is_gone(pid_of(tmp_path))

    assert asyncio.run(main())


def test_an_error_in_the_block_ends_the_server(rt, tmp_path):
    with pytest.raises(ZeroDivisionError), rt.launch("stand:plain"):
        1 / 0  # noqa: B018
    assert is_gone(pid_of(tmp_path))


def test_the_end_of_the_runtime_ends_its_servers(plugin, tmp_path):
    with Runtime({}, registry=registry_of(plugin)) as rt:
        server = rt.launch("stand:plain").__enter__()
        assert server.running
    assert waited(lambda: is_gone(pid_of(tmp_path)))


def test_a_server_that_is_forgotten_ends_with_a_warning(rt, tmp_path):
    def forget():
        rt.launch("stand:plain").__enter__()
        gc.collect()

    with pytest.warns(ResourceWarning, match="was not closed"):
        forget()
    assert waited(lambda: is_gone(pid_of(tmp_path)))


def test_what_is_deaf_to_sigterm_is_killed(rt, tmp_path):
    with rt.launch("stand:deaf", grace=0.2):
        pass
    assert is_gone(pid_of(tmp_path))


def test_a_keeper_that_is_killed_itself_is_told_of(rt, tmp_path):
    server = rt.launch("stand:plain").__enter__()
    os.kill(server._kept._process.pid, signal.SIGKILL)
    with pytest.raises(LocalError, match="may still be there: its keeper was killed"):
        server.__exit__(None, None, None)
    os.kill(pid_of(tmp_path), signal.SIGKILL)


def children(notes):
    """On Linux also the one that has left the group."""
    return ["server", "child", *(["away"] if sys.platform == "linux" else [])]


def test_children_end_with_their_server(rt, tmp_path):
    with rt.launch("stand:family", grace=0.2):
        pids = [pid_of(tmp_path, name) for name in children(tmp_path)]
        assert not any(map(is_gone, pids))
    assert all(map(is_gone, pids))


def test_children_of_a_server_that_died_end_too(rt, tmp_path):
    with rt.launch("stand:family", grace=0.2) as server:
        os.kill(pid_of(tmp_path), signal.SIGKILL)
        assert waited(lambda: not server.running)
    assert all(is_gone(pid_of(tmp_path, name)) for name in children(tmp_path))


APPLICATION = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1].split(":")
import test_launcher as t
rt = t.Runtime({}, registry=t.registry_of(t.Stand(Path(sys.argv[3]))))
with rt.launch(f"stand:{sys.argv[2]}", grace=0.2):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("mode", ["slow", "family"])
def test_a_killed_application_leaves_no_process(mode, tmp_path):
    """The first one is killed while it waits, the second one when the server is ready."""
    command = [sys.executable, "-c", APPLICATION, SHARED, mode, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as application:
        names = ["server"] if mode == "slow" else children(tmp_path)
        pids = [pid_of(tmp_path, name) for name in names]
        if mode == "family":
            assert application.stdout.readline() == b"ready\n"
        application.kill()
    assert all(waited(lambda pid=pid: is_gone(pid)) for pid in pids)


def test_a_forked_child_does_not_keep_its_parents_server(rt, tmp_path):
    """Else the server would outlive a parent that is killed."""
    with rt.launch("stand:plain") as server:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(writer)
            os.read(reader, 1)  # lives as long as its parent lets it
            os._exit(0)
        os.close(reader)
        server.close()
        assert waited(lambda: is_gone(pid_of(tmp_path)))
        os.close(writer)
        os.waitpid(child, 0)


# ---- containers ----------------------------------------------------------------------------------


@pytest.fixture(params=["docker", "podman"])
def engine(request, tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / request.param
    lines = ["#!" + sys.executable, "import sys", f"sys.path[:0] = {SHARED.split(':')!r}"]
    program.write_text("\n".join([*lines, "import container_engine", ""]))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("NOTES", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    return request.param


def calls(notes):
    return [json.loads(line) for line in (notes / "calls").read_text().splitlines()]


def test_a_container_is_asked_for_run_and_removed(rt, engine, tmp_path, monkeypatch):
    monkeypatch.setenv("STAND_KEY", "never-in-a-list-of-processes")
    options = {"container": engine, "tag": "v2", "pull": "always", "options": {"seed": 0}}
    with rt.launch("stand:any", **options) as server:
        assert len(rt.models(server.backend)) == 1
        assert "Unable to find image locally, pulling" in server.log
        port = server.url.rpartition(":")[2]
    info, run, remove = calls(tmp_path)
    name = run[run.index("--name") + 1]
    gpus = ["--gpus", "all"] if engine == "docker" else ["--device", "nvidia.com/gpu=all"]
    assert info == [engine, "info"]
    assert run == [
        *(engine, "run", "--rm", "--name", name, "--pull", "always"),
        *("--publish", f"127.0.0.1:{port}:8000", "--env", "STAND_KEY", "--env", "COLOUR"),
        *("--shm-size", "1g", *gpus, "--volume", f"{tmp_path}/here:/there"),
        *("--volume", "kept:/cache", "stand:v2", "--model", "any", "--seed", "0"),
    ]
    assert remove == [engine, "rm", "--force", name]
    passed = json.loads((tmp_path / "environ").read_text())
    assert passed == {"STAND_KEY": "never-in-a-list-of-processes", "COLOUR": "blue"}
    assert is_gone(pid_of(tmp_path))


def test_an_engine_that_does_not_answer_is_asked_and_not_believed(rt, engine, tmp_path):
    (tmp_path / "down").touch()
    with (
        pytest.raises(LocalError, match=f"(?s){engine} does not answer.*Cannot connect"),
        rt.launch("stand:any", container=engine),
    ):
        pass
    assert [call[1] for call in calls(tmp_path)] == ["info"]


def test_an_engine_that_is_not_there_says_where_it_is_to_be_had(rt, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(LocalError, match=r"docker cannot be run.*docs\.docker\.com"),
        rt.launch("stand:any", container="docker"),
    ):
        pass


@pytest.mark.parametrize("mode", ["failing", "slow"])
def test_a_container_is_removed_when_its_start_fails(rt, engine, mode, tmp_path, monkeypatch):
    monkeypatch.setenv("MODE", mode)
    expected = EngineError if mode == "failing" else Timeout
    with (
        pytest.raises(expected, match="loading the weights"),
        rt.launch("stand:any", container=engine, timeout=CEILING if mode == "failing" else 1),
    ):
        pass
    assert [call[1] for call in calls(tmp_path)] == ["info", "run", "rm"]
    assert is_gone(pid_of(tmp_path))


def test_a_container_is_removed_when_the_launch_is_cancelled(plugin, engine, tmp_path, monkeypatch):
    monkeypatch.setenv("MODE", "slow")

    async def main():
        async with AsyncRuntime({}, registry=registry_of(plugin)) as rt:

            async def launch():
                async with rt.launch("stand:any", container=engine):
                    pass

            task = asyncio.create_task(launch())
            await asyncio.to_thread(pid_of, tmp_path)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert [call[1] for call in calls(tmp_path)] == ["info", "run", "rm"]
    assert is_gone(pid_of(tmp_path))


def test_options_are_flags():
    given = {"max_len": 8, "eager": True, "off": False, "none": None, "many": ["a", 2], "temp": 0}
    found = ("--max-len", "8", "--eager", "--many", "a", "2", "--temp", "0")
    assert options_as_flags(given) == found


# ---- on the command line -------------------------------------------------------------------------

COMMAND = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1].split(":")
import test_launcher as t
from multitap.cli import main
plugins = t.registry_of(t.Stand(Path(sys.argv[2])))
sys.exit(main(sys.argv[3:], registry=plugins))
"""


def launch_command(folder, *words):
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, SHARED, str(folder), "launch", "stand:plain", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MULTITAP_CONFIG": os.devnull},
    )


@pytest.mark.parametrize("ending", ["ctrl-c", "by itself"])
def test_the_command_prints_the_address_and_serves_until_it_is_interrupted(ending, tmp_path):
    with launch_command(tmp_path) as command:
        address = command.stdout.readline()
        server = pid_of(tmp_path)
        if ending == "ctrl-c":
            command.send_signal(signal.SIGINT)
        else:
            os.kill(server, signal.SIGKILL)
        rest, said = command.communicate(timeout=CEILING)
    assert address.startswith("http://127.0.0.1:")
    assert rest == ""
    assert "multitap: loading the weights\n" in said
    assert command.returncode == (130 if ending == "ctrl-c" else 1)
    assert ("ended by itself" in said) == (ending == "by itself")
    assert is_gone(server)


def test_ctrl_c_just_before_the_end_is_waited_for_is_not_lost(rt):
    with (
        rt.launch("stand:plain") as server,
        pytest.raises(KeyboardInterrupt),
        silent_interrupt(kept.Kept.wait) as ended,
    ):
        server.wait()
    assert ended == [True]


@pytest.mark.parametrize("ending", ["ctrl-c", "by itself"])
def test_the_command_tells_a_program_in_lines_of_json(ending, tmp_path):
    with launch_command(tmp_path, "--json") as command:
        lines = [valid("launch", command.stdout.readline())]
        while lines[-1]["type"] != "ready":
            lines.append(valid("launch", command.stdout.readline()))
        server = pid_of(tmp_path)
        if ending == "ctrl-c":
            command.send_signal(signal.SIGINT)
        else:
            os.kill(server, signal.SIGKILL)
        rest, said = command.communicate(timeout=CEILING)
    assert {"type": "loading", "status": "loading the weights"} in lines
    ready = lines[-1]
    assert (ready["backend"], ready["model"]) == ("stand", "tiny")
    assert ready["endpoint"].startswith("http://127.0.0.1:")
    assert "multitap: loading the weights" not in said
    if ending == "ctrl-c":
        assert (rest, command.returncode) == ("", 130)
    else:
        assert "ended by itself" in valid("error", rest)["error"]["message"]
        assert command.returncode == 1
    assert is_gone(server)


def test_a_server_that_does_not_start_is_an_object_with_its_error(plugin):
    ran = run_here("launch", "stand:failing", "--json", plugins=registry_of(plugin))
    *steps, last = ran.out.splitlines()
    assert all(valid("launch", step)["type"] == "loading" for step in steps)
    assert "no such model" in valid("error", last)["error"]["message"]
    assert ran.code == 1


def test_the_command_tells_why_a_server_does_not_start(plugin):
    ran = run_here("launch", "stand:failing", plugins=registry_of(plugin))
    assert (ran.code, ran.out) == (1, "")
    assert "Error: no such model" in ran.err


def test_options_of_the_command_reach_the_launcher(plugin, tmp_path):
    words = ["--option", "max_len=8", "--option", "eager=true", "--option", "graphs=false"]
    words += ["--tool-parser", "hermes", "--executable", str(tmp_path / "nothing")]
    ran = run_here("launch", "stand:plain", *words, plugins=registry_of(plugin))
    assert (ran.code, "Install it." in ran.err) == (1, True)
    (asked,) = plugin.asked
    assert asked.options == {"max_len": "8", "eager": True, "graphs": False}
    assert asked.tool_parser == "hermes"
    assert run_here("launch", "stand:plain", "--option", "x", plugins=registry_of(plugin)).code == 2
