import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from multitap.errors import NotSupported, Overloaded
from multitap_llamacpp import loading
from multitap_llamacpp.engine import Engine, Stopped
from multitap_llamacpp.loading import Plan
from multitap_llamacpp.options import Options

MODELS = Path(__file__).with_name("models")


def yes(*_):
    return True


@pytest.fixture
def engine():
    made = Engine()
    yield made
    made.close()


def plan_of(models, name="tiny-embed", role="embedding", **options):
    return Plan.of(models.find(name), role, Options(threads=1, **options))


def test_several_callers_share_one_load(engine, models, monkeypatch):
    begun, go_on, started = threading.Event(), threading.Event(), []

    def read_ahead(plan, progress):
        started.append(plan)
        begun.set()
        return go_on.wait(30) and progress(plan.size)

    monkeypatch.setattr(loading, "read_ahead", read_ahead)
    plan = plan_of(models)

    def use(_):
        with engine.lease(plan, yes) as loaded:
            return loaded

    with ThreadPoolExecutor(4) as pool:
        users = [pool.submit(use, n) for n in range(4)]
        assert begun.wait(30)
        go_on.set()
        found = {id(user.result()) for user in users}
    assert (len(started), len(found)) == (1, 1)


def test_a_caller_who_gives_up_ends_the_load(engine, models, monkeypatch):
    ended = threading.Event()

    def read_ahead(plan, progress):
        while progress(0):
            pass
        ended.set()
        return False

    monkeypatch.setattr(loading, "read_ahead", read_ahead)
    with pytest.raises(Stopped), engine.lease(plan_of(models), lambda *_: False):
        pass
    assert ended.wait(30)
    monkeypatch.undo()
    with engine.lease(plan_of(models), yes) as loaded:
        assert loaded.address.startswith("http://127.0.0.1:")


def test_progress_is_counted_in_bytes(models):
    plan, seen = plan_of(models), []
    assert loading.read_ahead(plan, lambda done: seen.append(done) is None)
    assert plan.size == seen[-1]


def test_unload_waits_for_those_who_use_it_and_refuses_others(engine, models, until):
    plan = plan_of(models)
    with engine.lease(plan, yes):
        gone = threading.Thread(target=engine.unload, args=(plan.path, yes))
        gone.start()
        until(lambda: _refused(engine, plan), "a new lease while it is unloaded")
        assert gone.is_alive()
    gone.join(30)
    assert dict(engine.loaded()) == {}


def _refused(engine, plan):
    try:
        with engine.lease(plan, yes):
            return False
    except Overloaded:
        return True


def test_an_unload_that_is_given_up_leaves_the_model(engine, models):
    plan = plan_of(models)
    with engine.lease(plan, yes):
        with pytest.raises(Stopped):
            engine.unload(plan.path, lambda *_: False)
        with engine.lease(plan, yes) as again:
            assert again.native is not None


def test_the_model_that_was_unused_longest_makes_room(engine, models):
    for name, role in (("tiny-embed", "embedding"), ("tiny-rerank", "rerank")):
        with engine.lease(plan_of(models, name, role, max_loaded=2), yes):
            pass
    with engine.lease(plan_of(models, "tiny-llama", "chat", max_loaded=2), yes):
        assert sorted(p.name for p in engine.loaded()) == ["tiny-llama.gguf", "tiny-rerank.gguf"]


def test_no_room_is_made_where_all_are_used(engine, models):
    with engine.lease(plan_of(models, max_loaded=1), yes):
        other = plan_of(models, "tiny-rerank", "rerank", max_loaded=1)
        with pytest.raises(Overloaded, match="max_loaded"), engine.lease(other, yes):
            pass


def test_a_caller_who_waits_for_a_slot_can_give_up(engine, models):
    with (
        engine.lease(plan_of(models), yes) as loaded,
        loaded.slots(1, yes),
        pytest.raises(Stopped),
        loaded.slots(1, lambda *_: False),
    ):
        pass


def test_a_load_that_fails_says_what_the_library_logged(engine, models, tmp_path):
    path = tmp_path / "odd.gguf"
    source = models.find("tiny-embed").path.read_bytes()
    path.write_bytes(source.replace(b"bert", b"brrt"))
    plan = attrs.evolve(plan_of(models), path=path)
    reason = "unknown model architecture: 'brrt'"
    with pytest.raises(NotSupported, match=reason), engine.lease(plan, yes):
        pass
    assert dict(engine.loaded()) == {}


def test_the_terminal_stays_clean_and_the_process_ends_well(tmp_path):
    program = """
import sys, threading
from multitap.hookspecs import Backend
from multitap.capabilities.chat import ChatRequest
from multitap.messages import Message
from multitap_llamacpp.chat import multitap_chat
settings = {"models_dir": sys.argv[1], "threads": 1}
chat = multitap_chat(Backend(id="l", provider="llamacpp", settings=settings))
request = ChatRequest(model="tiny-llama", messages=(Message("user", "Write."),), think="off",
                      extra={"grammar": 'root ::= "a" root'})
begun = threading.Event()
def emit(items):
    if any(item.type == "text" for item in items):
        begun.set()
    return True
threading.Thread(target=chat.chat(request).run, args=(emit,), daemon=True).start()
assert begun.wait(30)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, str(MODELS)], capture_output=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


def test_a_forked_child_refuses_and_says_what_to_do(tmp_path):
    program = """
import os, sys
from multitap.errors import LocalError
from multitap.hookspecs import Backend
from multitap_llamacpp.lifecycle import multitap_lifecycle
settings = {"models_dir": sys.argv[1], "threads": 1}
backend = Backend(id="l", provider="llamacpp", settings=settings)
load = multitap_lifecycle(backend).load("tiny-embed")
load.run(lambda items: True)
child = os.fork()
if not child:
    try:
        load.run(lambda items: True)
    except LocalError as error:
        os._exit(7 if "spawn" in str(error) else 1)
    os._exit(2)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
load.run(lambda items: True)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, str(MODELS)], capture_output=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
