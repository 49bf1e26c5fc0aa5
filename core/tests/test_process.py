"""Processes: a fork, other loops and threads, and an end in the middle of everything.

Each test is a program of its own, so that what it leaves behind is its own as well.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import multitap

CEILING = 60
FOLDERS = [Path(__file__).parent, Path(multitap.__file__).parents[1]]


def run(program, code=0, arguments=()):
    """Run a program with the tools of these tests; it ends in time, says nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", TOOLS + textwrap.dedent(program), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, FOLDERS)), "MULTITAP_CONFIG": ""},
        capture_output=True,
        text=True,
        timeout=CEILING,
    )
    assert (done.stderr, done.returncode) == ("", code)
    return done.stdout


TOOLS = """
import asyncio, gc, os, sys, threading, time, warnings
import letters
from multitap import AsyncRuntime, Runtime
from multitap.errors import ConfigError, LocalError
from multitap.events import Text
from multitap.testing import CEILING, Server, client_closed, hold, repeat, request, respond, send

ANSWER = respond(200, {}, "Hi.")
go = threading.Event()
HELD = [request, send("HTTP/1.1 200 OK\\r\\ncontent-length: 3\\r\\n\\r\\nH"), hold(go), send("i.")]
SERVING = repeat(request, ANSWER)

def config(server):
    return {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": server.url}}

def fork():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there are threads: the server's
        return os.fork()

def is_well(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def over_http():
    return letters.registry(acme=letters.OverHttp())
"""


# ---- fork ----------------------------------------------------------------------------------------


@pytest.mark.fault("F11")
def test_a_forked_child_calls_over_connections_of_its_own_and_the_parent_goes_on():
    program = """
        with Server([HELD, client_closed], SERVING) as server:
            rt = Runtime(config(server), registry=over_http())
            stream = rt.stream("hi")
            assert next(stream) == Text("H")
            assert rt.chat("hi").text == "Hi"
            child = fork()
            if not child:
                os._exit(0 if rt.chat("hi").text == rt.chat("hi").text == "Hi" else 1)
            assert is_well(child)
            assert rt.chat("hi").text == "Hi"
            go.set()
            assert [event.type for event in stream] == ["text", "stop"]
            rt.close()
            print([len(each.requests) for each in server.connections])
    """
    assert run(program) == "[1, 2, 2]\n"


@pytest.mark.fault("F11")
def test_a_forked_child_of_a_loop_begins_a_loop_of_its_own():
    program = """
        async def child(rt):
            assert (await rt.chat("hi")).text == (await rt.chat("hi")).text == "Hi"

        def in_child(rt):
            asyncio.events._set_running_loop(None)  # as the child of a server does that forks
            asyncio.run(child(rt))
            os._exit(0)

        async def main(server):
            rt = AsyncRuntime(config(server), registry=over_http())
            async with rt.stream("hi") as stream:
                assert await anext(stream) == Text("H")
                assert (await rt.chat("hi")).text == "Hi"
                child = fork()
                if not child:
                    in_child(rt)
                assert await asyncio.to_thread(is_well, child)
                assert (await rt.chat("hi")).text == "Hi"
                go.set()
                assert [event.type async for event in stream] == ["text", "stop"]
            rt.close()
            print([len(each.requests) for each in server.connections])

        with Server([HELD, client_closed], SERVING) as server:
            asyncio.run(main(server))
    """
    assert run(program) == "[1, 2, 2]\n"


@pytest.mark.fault("F11")
def test_locks_that_another_thread_held_are_free_in_the_child():
    program = """
        with Server(SERVING) as server:
            rt = Runtime(config(server), registry=over_http())
            rt.chat("hi")
            stop = threading.Event()
            def busy():
                while not stop.is_set():
                    rt.chat("hi"); rt.capabilities()
            threads = [threading.Thread(target=busy) for _ in range(3)]
            for thread in threads:
                thread.start()
            children = []
            for _ in range(10):
                if not (child := fork()):
                    os._exit(0 if rt.chat("hi").text == "Hi" and rt.capabilities() else 1)
                children.append(child)
            print(all(map(is_well, children)))
            stop.set()
            for thread in threads:
                thread.join()
            rt.close()
    """
    assert run(program) == "True\n"


@pytest.mark.fault("F11")
@pytest.mark.parametrize("work", ["http", "local"])
def test_a_parents_open_stream_raises_in_the_child(work):
    program = """
        typist = letters.Typist("H~i.")
        registry = over_http() if sys.argv[1] == "http" else letters.registry(acme=typist)
        with Server([HELD, client_closed]) as server:
            rt = Runtime(config(server), registry=registry)
            stream = rt.stream("hi")
            assert next(stream) == Text("H")
            child = fork()
            if not child:
                for _ in range(2):
                    try:
                        next(stream)
                    except LocalError as error:
                        assert "opened before a fork" in str(error)
                    else:
                        os._exit(1)
                stream.close()
                os._exit(0)
            print(is_well(child))
            go.set()
            typist.go_on.set()
            assert "".join(event.content for event in stream if event.type == "text") == "i"
            rt.close()
    """
    assert run(program, arguments=[work]) == "True\n"


@pytest.mark.fault("F11")
@pytest.mark.parametrize("work", ["http", "local"])
def test_a_parents_open_stream_of_a_loop_raises_in_the_child(work):
    program = """
        async def in_child(stream):
            try:
                await anext(stream)
            except LocalError as error:
                assert "opened before a fork" in str(error)
                stream.close()
                os._exit(0)

        async def main(server, registry):
            rt = AsyncRuntime(config(server), registry=registry)
            async with rt.stream("hi") as stream:
                assert await anext(stream) == Text("H")
                if not (child := fork()):
                    asyncio.events._set_running_loop(None)
                    asyncio.run(in_child(stream))
                print(await asyncio.to_thread(is_well, child))
                go.set()
                typist.go_on.set()
                said = [event.content async for event in stream if event.type == "text"]
                assert "".join(said) == "i"
            rt.close()

        typist = letters.Typist("H~i.")
        registry = over_http() if sys.argv[1] == "http" else letters.registry(acme=typist)
        with Server([HELD, client_closed]) as server:
            asyncio.run(main(server, registry))
    """
    assert run(program, arguments=[work]) == "True\n"


# ---- loops and threads ---------------------------------------------------------------------------


@pytest.mark.fault("F12")
def test_each_loop_has_connections_of_its_own_and_a_closed_one_is_no_harm():
    program = """
        async def ask(rt):
            return (await rt.chat("hi")).text + (await rt.chat("hi")).text

        with Server(SERVING) as server:
            rt = AsyncRuntime(config(server), registry=over_http())
            said = [asyncio.run(ask(rt)) for _ in range(3)]
            gc.collect()
            rt.close()
            rt.close()
            print(said, [len(each.requests) for each in server.connections])
    """
    assert run(program) == "['HiHi', 'HiHi', 'HiHi'] [2, 2, 2]\n"


@pytest.mark.fault("F12")
def test_two_loops_in_two_threads_at_once():
    program = """
        async def ask(rt):
            return [(await rt.chat("hi")).text for _ in range(20)]

        with Server(SERVING) as server:
            rt, said = AsyncRuntime(config(server), registry=over_http()), []
            threads = [
                threading.Thread(target=lambda: said.append(asyncio.run(ask(rt)))) for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(CEILING)
            rt.close()
            print(said == [["Hi"] * 20] * 4)
    """
    assert run(program) == "True\n"


@pytest.mark.fault("F12")
@pytest.mark.parametrize("work", ["http", "local"])
def test_a_runtime_is_closed_from_another_thread(work):
    program = """
        async def main(rt):
            async with rt.stream("hi") as stream:
                assert await anext(stream) == Text("H")
                closer = threading.Thread(target=rt.close)
                closer.start()
                print([event async for event in stream], stream.answer.stop_reason)
                closer.join(CEILING)

        typist = letters.Typist("H~i.")
        registry = over_http() if sys.argv[1] == "http" else letters.registry(acme=typist)
        with Server([HELD, client_closed]) as server:
            asyncio.run(main(AsyncRuntime(config(server), registry=registry)))
            if sys.argv[1] == "http":
                go.set()
                server.connection(0).closed_by_client.wait(CEILING)
            else:
                assert typist.stopped.wait(CEILING)
    """
    assert run(program, arguments=[work]) == "[] cancelled\n"


@pytest.mark.fault("F12")
def test_a_stream_whose_loop_is_closed_is_closed_without_a_word():
    program = """
        async def begin(rt):
            stream = rt.stream("hi")
            await stream.__aenter__()
            assert await anext(stream) == Text("H")
            return stream

        with Server([HELD, client_closed]) as server:
            rt = AsyncRuntime(config(server), registry=over_http())
            loop = asyncio.new_event_loop()
            stream = loop.run_until_complete(begin(rt))
            loop.close()
            warnings.simplefilter("ignore", ResourceWarning)  # a transport that the loop left open
            stream.close()
            rt.close()
            del stream, loop
            gc.collect()
            go.set()
            print("closed")
    """
    assert run(program) == "closed\n"


# ---- the end of the process ----------------------------------------------------------------------

ENDS = {
    "sync over HTTP": "hold_sync(over_http())",
    "sync in this process": "hold_sync(letters.registry(acme=letters.Typist('H~')))",
    "async over HTTP": "hold_async(over_http())",
    "async in this process": "hold_async(letters.registry(acme=letters.Typist('H~')))",
}
HOLDS = """
kept = []
server = Server([HELD, client_closed]).__enter__()

def hold_sync(registry):
    rt = Runtime(config(server), registry=registry)
    stream = rt.stream("hi")
    assert next(stream) == Text("H")
    kept.extend([rt, stream])

def hold_async(registry):
    async def main():
        rt = AsyncRuntime(config(server), registry=registry)
        stream = rt.stream("hi")
        await stream.__aenter__()
        assert await anext(stream) == Text("H")
        kept.extend([rt, stream])
        {end}
    asyncio.run(main())

warnings.simplefilter("ignore", ResourceWarning)  # of what is forgotten
"""


@pytest.mark.fault("F12")
@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize(("end", "code"), [("pass", 0), ("sys.exit(7)", 7)])
def test_a_process_ends_in_the_middle_of_an_answer(kind, end, code):
    """With the exit code that it was given, without a word, and without waiting for the answer."""
    assert run(HOLDS.replace("{end}", end) + f"{ENDS[kind]}\n{end}\n", code) == ""
