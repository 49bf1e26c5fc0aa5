"""A zoo of broken plugins: each is named, leaves nothing, and is taken once it is repaired."""

from __future__ import annotations

import asyncio
import builtins
import contextvars
import locale
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import importlib_metadata  # noqa: F401 - it adds a finder of its own to sys.meta_path
import pytest
from wheels import CHAT, unpack, write_wheel

import multitap
from multitap import cli
from multitap.errors import ConfigError, NotSupported, PluginError
from multitap.hookspecs import Backend
from multitap.registry import Registry
from multitap.registry.loading import hooks

GOOD = Backend(id="good", provider="acme-good")
BAD = Backend(id="bad", provider="acme-bad")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on ``sys.path`` with one healthy plugin in it."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    install(folder, "dist-good", "acme-good", {"acme_good.py": CHAT}, "acme_good")
    yield folder
    for name in [name for name in sys.modules if name.startswith("acme")]:
        del sys.modules[name]


def install(folder, name, provider, files, module, groups=("chat",)):
    entries = {group: {provider: module} for group in groups}
    unpack(write_wheel(folder.parent, name, entries, files), folder)


def install_bad(folder, files, module="acme_bad.chat", **more):
    """The culprit: a package, whose module is what the entry point names."""
    if isinstance(files, str):
        files = {"acme_bad/__init__.py": "", "acme_bad/chat.py": files}
    install(folder, "dist-bad", "acme-bad", files, module, **more)


def state_of_the_process():
    """All that a plugin must not leave changed."""
    return {
        "environment": dict(os.environ),
        "working directory": Path.cwd(),
        "sys.path": (id(sys.path), list(sys.path)),
        "sys.meta_path": (id(sys.meta_path), list(sys.meta_path)),
        "sys.path_hooks": list(sys.path_hooks),
        "sys.argv": list(sys.argv),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "hooks": (sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook),
        "recursion": sys.getrecursionlimit(),
        "signals": {n: signal.getsignal(n) for n in signal.valid_signals()},
        "warnings": (list(warnings.filters), warnings.showwarning),
        "root logger": (logging.root.level, list(logging.root.handlers)),
        "socket timeout": socket.getdefaulttimeout(),
        "policy of event loops": asyncio.get_event_loop_policy(),
        "locale": locale.setlocale(locale.LC_ALL),
        "modules": {name for name in sys.modules if name.startswith("acme")},
    }


def rows(registry):
    return {
        (r.capability, r.provider, r.distribution): r.state
        for r in registry.entries()
        if r.provider.startswith("acme")
    }


def assert_named(error):
    """The culprit is named, with what to do about it."""
    assert error.distribution == "dist-bad"
    assert "dist-bad" in error.message
    assert "pip install --upgrade dist-bad" in error.hint
    assert "pip uninstall dist-bad" in error.hint


HOOK = CHAT.replace("return Chat(backend)", "{}")
ENDLESS = "def endless():\n    return endless()\n"
TELEPATHY = CHAT + "\n@hookimpl\ndef multitap_telepathy(backend): ...\n"

ZOO = {
    "raises": ("raise ValueError('no reason')", "ValueError: no reason"),
    "exits": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "ends a generator": ("raise GeneratorExit", "GeneratorExit"),
    "stops an iteration": ("raise StopIteration", "StopIteration"),
    "raises what cannot be shown": (
        "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd",
        "Odd",
    ),
    "no Python": ("def (", "SyntaxError"),
    "null bytes": ("x = 1\0", "(SyntaxError|ValueError)"),
    "needs a missing module": ("import acme_not_there", "No module named 'acme_not_there'"),
    "never ends at import": (ENDLESS + "endless()", "RecursionError"),
    "an attribute that is missing": ("from os import acme", "ImportError: cannot import name"),
    "imports itself in a circle": (
        {
            "acme_bad/__init__.py": "",
            "acme_bad/chat.py": "from acme_bad.other import x\ny = 1\n",
            "acme_bad/other.py": "from acme_bad.chat import y\nx = 1\n",
        },
        "ImportError: cannot import name",
    ),
    "has no hook": ("x = 1", "has no multitap_chat"),
    "forgot the mark": (CHAT.replace("@hookimpl", ""), "has no multitap_chat.*@hookimpl"),
    "misspells its hook": (CHAT.replace("multitap_chat", "multitap_chatt"), "multitap_chatt"),
    "has a hook of another world": (TELEPATHY, "multitap_telepathy, which is no hook"),
    "misspells an argument": (
        CHAT.replace("(backend):\n    return", "(bckend):\n    return"),
        "bck",
    ),
    "wants an argument more": (CHAT.replace("t(backend):\n    r", "t(backend, x):\n    r"), "'x'"),
    "has a coroutine for a hook": (CHAT.replace("def multitap", "async def multitap"), "coroutine"),
    "has a generator for a hook": (HOOK.format("yield Chat(backend)"), "a generator"),
    "returns None": (HOOK.format("Chat(backend)"), "returned None"),
    "returns something else": (HOOK.format("return 7"), "no method chat"),
    "lacks a method": (CHAT.replace("def chat(", "def chatter("), "has no method chat"),
    "has a narrow method": (CHAT.replace("(self, request)", "(self)"), "must take 1 argument"),
    "returns a class": (HOOK.format("return Chat"), "must take 1 argument"),
    "raises in its hook": (HOOK.format("raise ValueError('so')"), "ValueError: so"),
    "exits in its hook": (HOOK.format("raise SystemExit(4)"), "SystemExit: 4"),
    "interrupts in its hook": (HOOK.format("raise KeyboardInterrupt"), "KeyboardInterrupt"),
    "never ends in its hook": (ENDLESS + HOOK.format("return endless()"), "RecursionError"),
    "registers half, and dies": (
        CHAT.replace("multitap_chat(backend)", "multitap_chat(backend, more)")
        + "\n@hookimpl\ndef multitap_embedding(backend): ...\n",
        "'more'",
    ),
    "raises while it is looked at": (
        CHAT + "\ndef __dir__(): raise SystemExit('do not look')\n",
        "SystemExit: do not look",
    ),
}


@pytest.mark.fault("G1")
@pytest.mark.fault("G2")
@pytest.mark.fault("G8")
@pytest.mark.parametrize("kind", ZOO)
def test_who_is_broken_is_named_leaves_nothing_and_is_taken_when_repaired(kind, site):
    files, reason = ZOO[kind]
    install_bad(site, files)
    registry = Registry(environ={})
    registry.build("chat", GOOD)
    before = state_of_the_process()

    with pytest.raises(PluginError, match=f"(?s){reason}") as caught:
        registry.build("chat", BAD)

    assert_named(caught.value)
    assert state_of_the_process() == before
    assert rows(registry)["chat", "acme-bad", "dist-bad"] == "quarantined"
    assert rows(registry)["chat", "acme-good", "dist-good"] == "loaded"
    assert [p.__name__ for p in registry._workshop._loader._manager.get_plugins()] == ["acme_good"]
    assert registry.failures["chat", "acme-bad"].distribution == "dist-bad"
    assert "Traceback" in registry.failures["chat", "acme-bad"].traceback
    assert registry.build("chat", Backend(id="other", provider="acme-good"))

    (site / "acme_bad/chat.py").write_text(CHAT)
    registry.reload()

    assert type(registry.build("chat", BAD)).__module__ == "acme_bad.chat"
    assert registry.failures == {}


MESS = """
import asyncio, locale, logging, os, signal, socket, sys, threading, warnings
import acme_bad.inner, acme_other
os.environ["ACME_LEFT"] = "1"
os.environ["HOME"] = "/nowhere"
os.environ.pop("PATH")
os.chdir("/")
logging.root.setLevel("DEBUG"); logging.root.addHandler(logging.NullHandler())
socket.setdefaulttimeout(1.5)
asyncio.set_event_loop_policy(type("Policy", (asyncio.DefaultEventLoopPolicy,), {})())
sys.path.append("/nowhere"); sys.path = ["/"] + sys.path
sys.meta_path.insert(0, type("Finder", (), {"find_spec": lambda *a, **k: None})())
sys.path_hooks.append(print)
sys.argv[:] = ["acme"]
sys.stdout = sys.stderr = open(os.devnull, "w")
sys.excepthook = sys.unraisablehook = sys.displayhook = threading.excepthook = print
sys.setrecursionlimit(sys.getrecursionlimit() + 1000)
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
warnings.simplefilter("ignore"); warnings.showwarning = print
locale.setlocale(locale.LC_ALL, "C" if locale.setlocale(locale.LC_ALL) != "C" else "C.UTF-8")
"""
MESSES = {
    "at import": MESS + "1 / 0",
    "in the hook": HOOK.format("mess(); 1 / 0") + "\ndef mess():\n" + textwrap.indent(MESS, "    "),
    "without a hook": MESS,
}


@pytest.mark.fault("G9")
@pytest.mark.parametrize("when", MESSES)
@pytest.mark.parametrize("where", ["the main thread", "another thread"])
def test_what_a_broken_plugin_changed_is_put_back(when, where, site, monkeypatch):
    monkeypatch.setenv("PATH", "/bin")
    files = {
        "acme_bad/__init__.py": "",
        "acme_bad/inner.py": "",
        "acme_bad/chat.py": MESSES[when],
        "acme_other/__init__.py": "",
    }
    install_bad(site, files)
    registry, before, outcomes = Registry(environ={}), state_of_the_process(), []

    def build():
        with pytest.raises(PluginError) as caught:
            registry.build("chat", BAD)
        outcomes.append(caught.value)

    if where == "the main thread":
        build()
    else:
        thread = threading.Thread(target=build)
        thread.start()
        thread.join(30)

    after = state_of_the_process()
    assert {name: after[name] for name in before if after[name] != before[name]} == {}
    assert_named(outcomes[0])


def test_a_healthy_plugin_keeps_what_it_changed(site, monkeypatch):
    monkeypatch.setenv("ACME_KEPT", "")
    code = "import os, acme_good\nos.environ['ACME_KEPT'] = 'yes'\n" + CHAT
    install_bad(site, code)

    Registry(environ={}).build("chat", BAD)

    assert os.environ["ACME_KEPT"] == "yes"
    assert {"acme_bad.chat", "acme_good"} <= sys.modules.keys()


def test_a_module_that_was_there_before_stays(site):
    """Here the entry point names a module that is Python's own."""
    install_bad(site, {}, module="string")
    import string

    with pytest.raises(PluginError, match="string has no multitap_chat"):
        Registry(environ={}).build("chat", BAD)

    assert sys.modules["string"] is string


def test_a_plugin_that_hides_a_module_of_python_harms_itself_alone(site):
    """It puts its own folder first, and so its ``queue.py`` before that of Python."""
    code = "import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\n" + CHAT
    files = {
        "acme_bad/__init__.py": "",
        "acme_bad/acme_queue.py": "raise ImportError('the wrong one')",
        "acme_bad/chat.py": code + "import acme_queue\n",
    }
    install_bad(site, files)
    before = state_of_the_process()

    with pytest.raises(PluginError, match="the wrong one"):
        Registry(environ={}).build("chat", BAD)

    assert state_of_the_process() == before


def test_a_hook_that_fails_for_one_backend_is_not_held_against_the_others(site):
    install_bad(site, HOOK.format("return {'a': Chat(backend)}[backend.id]"))
    registry = Registry(environ={})
    first = registry.build("chat", Backend(id="a", provider="acme-bad"))

    with pytest.raises(PluginError, match="KeyError"):
        registry.build("chat", Backend(id="b", provider="acme-bad"))

    assert registry.build("chat", Backend(id="a", provider="acme-bad")) is first
    assert rows(registry)["chat", "acme-bad", "dist-bad"] == "loaded"


def test_an_error_of_ours_from_a_hook_quarantines_nothing(site):
    refusal = "from multitap.errors import ConfigError; raise ConfigError('no region')"
    install_bad(site, HOOK.format(refusal))
    registry = Registry(environ={})

    with pytest.raises(ConfigError, match="no region"):
        registry.build("chat", BAD)

    assert rows(registry)["chat", "acme-bad", "dist-bad"] == "loaded"


# ---- what is not its own -------------------------------------------------------------------------

INTRUDES = """
import asyncio, os, signal, socket
os.environ["ACME_KEPT"] = "yes"
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
asyncio.set_event_loop_policy(type("Policy", (asyncio.DefaultEventLoopPolicy,), {})())
"""


@pytest.mark.fault("G9")
def test_signals_and_the_policy_of_loops_are_the_applications(site, monkeypatch, caplog):
    monkeypatch.setenv("ACME_KEPT", "")
    install_bad(site, INTRUDES + CHAT)
    before = state_of_the_process()
    with caplog.at_level(logging.INFO, logger="multitap"):
        assert Registry(environ={}).build("chat", BAD)

    after = state_of_the_process()
    assert [name for name in before if after[name] != before[name]] == ["environment", "modules"]
    assert caplog.messages == [
        "dist-bad changed signals and the policy of event loops of this process; put back",
        "dist-bad changed the environment of this process",
    ]


# ---- hooks that take their time ------------------------------------------------------------------


@pytest.fixture
def gate(monkeypatch):
    """What stuck hooks of plugins wait for; they are given up at once, and let go at the end."""
    monkeypatch.setattr(hooks, "PATIENCE", 0.05)
    monkeypatch.setattr(hooks, "_stuck", {})
    monkeypatch.setattr(builtins, "acme_gate", gate := threading.Event(), raising=False)
    yield gate
    gate.set()
    for thread in running():
        thread.join(30)


def running():
    return [thread for thread in threading.enumerate() if thread.name == "multitap-hook"]


STUCK = "\n    import builtins; builtins.acme_gate.wait(30); "


@pytest.mark.fault("G7")
def test_a_hook_that_never_returns_is_given_up_and_quarantined(site, gate):
    install_bad(site, HOOK.format(f"{STUCK}return Chat(1)"))
    registry = Registry(environ={})

    for _ in range(3):
        with pytest.raises(PluginError, match=r"multitap_chat did not return within 0\.05 s") as e:
            registry.build("chat", BAD)
        assert_named(e.value)

    assert len(running()) == 1
    assert rows(registry)["chat", "acme-bad", "dist-bad"] == "quarantined"
    assert registry.build("chat", GOOD)


@pytest.mark.fault("G7")
def test_one_that_works_for_some_backends_leaves_four_threads_behind_at_most(site, gate):
    install_bad(
        site,
        HOOK.format(
            f"{STUCK[:-30]}builtins.acme_gate.wait(30 * (backend.id != 'bad')); return Chat(1)"
        ),
    )
    registry = Registry(environ={})
    first = registry.build("chat", BAD)

    def reason(number):
        with pytest.raises(PluginError) as caught:
            registry.build("chat", Backend(id=f"box-{number}", provider="acme-bad"))
        return caught.value.message

    said = [reason(number) for number in range(6)]
    assert [
        ("did not return" in text, "4 calls of its hooks never returned" in text) for text in said
    ] == [(True, False)] * 4 + [(False, True)] * 2
    assert len(running()) == 4
    assert registry.build("chat", BAD) is first
    assert registry.build("chat", GOOD)

    gate.set()
    for thread in running():
        thread.join(30)
    assert registry.build("chat", Backend(id="box-9", provider="acme-bad"))


@pytest.mark.fault("G7")
@pytest.mark.fault("G10")
def test_a_hook_that_imports_is_waited_for(site, gate, monkeypatch):
    files = {
        "acme_bad/__init__.py": "",
        "acme_bad/slow.py": "import builtins\nassert builtins.acme_gate.wait(30)\n",
        "acme_bad/chat.py": HOOK.format("import acme_bad.slow; return Chat(backend)"),
    }
    install_bad(site, files)
    imports, looks = hooks._imports, []

    def look(thread):
        looks.append(imports(thread))
        if len(looks) == 2:
            gate.set()
        return looks[-1]

    monkeypatch.setattr(hooks, "_imports", look)
    assert Registry(environ={}).build("chat", BAD)
    assert looks[:2] == [True, True]


@pytest.mark.fault("G7")
def test_an_import_that_does_not_return_is_told_of_while_it_lasts(site, gate, monkeypatch):
    """It cannot be given up; whatever else there is goes on."""
    monkeypatch.setattr(hooks, "STUCK_IMPORT", 0.01)
    said, told, built = [], threading.Event(), []

    def warn(text, *facts):
        said.append(text % facts)
        told.set()

    monkeypatch.setattr(hooks._log, "warning", warn)
    install_bad(site, f"import builtins\nbuiltins.acme_gate.wait(30)\n{CHAT}")
    registry = Registry(environ={})
    user = threading.Thread(target=lambda: built.append(registry.build("chat", BAD)))
    user.start()
    assert told.wait(10)
    assert (registry.build("chat", GOOD) is not None, built) == (True, [])
    gate.set()
    user.join(10)
    assert len(built) == 1
    assert said[0].startswith("Importing acme_bad.chat of dist-bad has not come to an end in 0.01")


@pytest.mark.fault("G2")
@pytest.mark.fault("G7")
def test_ctrl_c_while_a_hook_is_waited_for_is_the_users(site, gate, monkeypatch):
    monkeypatch.setattr(hooks, "PATIENCE", 30)
    kill = "import builtins, os, signal; os.kill(os.getpid(), signal.SIGINT)"
    install_bad(site, HOOK.format(f"{kill}; builtins.acme_gate.wait(30); return Chat(1)"))
    registry = Registry(environ={})

    with pytest.raises(KeyboardInterrupt):
        registry.build("chat", BAD)

    assert registry.failures == {}


def test_a_hook_runs_as_if_in_the_thread_that_calls_it(site, monkeypatch):
    """It sees the caller's context, and one that needs itself is told, not left to wait."""
    known = contextvars.ContextVar("known", default="no")
    known.set("yes")
    monkeypatch.setattr(builtins, "acme_known", known, raising=False)
    install_bad(site, HOOK.format("import builtins; return builtins.acme_build(backend)"))
    registry, seen = Registry(environ={}), []

    def build(backend):
        seen.append(known.get())
        return registry.build("chat", backend)

    monkeypatch.setattr(builtins, "acme_build", build, raising=False)
    with pytest.raises(PluginError, match="chat of bad is needed in order to load itself"):
        registry.build("chat", BAD)
    assert seen == ["yes"]


@pytest.mark.fault("G6")
def test_a_slow_hook_is_warned_of_once(site, monkeypatch, caplog):
    monkeypatch.setattr(hooks, "SLOW_HOOK", -1)
    install_bad(site, CHAT)
    registry = Registry(environ={})
    for name in ("a", "b"):
        registry.build("chat", Backend(id=name, provider="acme-bad"))

    [message] = caplog.messages
    assert message.startswith("multitap_chat of acme_bad.chat took 0.0 s; who calls it waits")


@pytest.mark.fault("G10")
def test_a_slow_import_is_warned_of(site, monkeypatch, caplog):
    monkeypatch.setattr(hooks, "SLOW_IMPORT", -1)
    install_bad(site, CHAT)
    Registry(environ={}).build("chat", BAD)

    assert caplog.messages == ["Importing acme_bad.chat of dist-bad took 0.0 s"]


# ---- removed while it is used --------------------------------------------------------------------

TALKS = """
from multitap.events import Stop, Text
from multitap.hookspecs import hookimpl
from multitap.work import LocalExchange

class Chat:
    def chat(self, request):
        import builtins

        def run(emit):
            emit([Text("a")])
            builtins.acme_gate.wait(30)
            from acme_bad.inner import WORD
            emit([Text(WORD), Stop("complete")])

        return LocalExchange(run)

@hookimpl
def multitap_chat(backend):
    return Chat()
"""


@pytest.mark.fault("G11")
@pytest.mark.parametrize("how", ["uninstalled", "quarantined by a reload"])
def test_what_is_removed_while_it_answers_answers_to_its_end(how, site, gate):
    words = {"acme_bad/__init__.py": "", "acme_bad/inner.py": "WORD = 'b'\n"}
    install_bad(site, {**words, "acme_bad/chat.py": "import acme_bad.inner\n" + TALKS})
    registry = Registry(environ={})
    with multitap.Runtime({"acme-bad": {"model": "m"}}, registry=registry) as rt:
        with rt.stream("hi", model="acme-bad:m") as events:
            assert next(events).content == "a"
            if how == "uninstalled":
                shutil.rmtree(site / "dist_bad-1.0.dist-info")
                (site / "acme_bad/chat.py").unlink()
                assert "acme-bad" not in {row.provider for row in rt.capabilities()}
                expected, said = ConfigError, "acme-bad"
            else:
                (site / "acme_bad/chat.py").write_text("1 / 0")
                registry.reload()
                expected, said = PluginError, "ZeroDivisionError"
            with pytest.raises(expected, match=said):
                rt.chat("hi", model="acme-bad:m")
            gate.set()
            assert [event.type for event in events] == ["text", "stop"]
        assert events.answer.text == "ab"


# ---- what it prints ------------------------------------------------------------------------------


def test_what_a_healthy_plugin_prints_goes_to_standard_error(site, capsys):
    install_bad(site, "print('at import')\n" + HOOK.format("print('in the hook'); return Chat(1)"))

    Registry(environ={}).build("chat", BAD)

    assert tuple(capsys.readouterr()) == ("", "at import\nin the hook\n")


def test_what_a_broken_plugin_prints_is_in_its_report(site, capsys):
    install_bad(site, "print('a last word')\n1 / 0")
    registry = Registry(environ={})

    with pytest.raises(PluginError):
        registry.build("chat", BAD)

    assert tuple(capsys.readouterr()) == ("", "")
    assert "It printed:\na last word\n" in registry.failures["chat", "acme-bad"].traceback


def test_a_stream_that_a_plugin_keeps_works_on(site, capsys):
    code = "import sys\nout = sys.stdout\ndef later(): out.write('later')\n" + CHAT
    install_bad(site, code)
    Registry(environ={}).build("chat", BAD)

    sys.modules["acme_bad.chat"].later()

    assert capsys.readouterr().out == "later"


def test_another_thread_prints_while_a_plugin_is_imported(site, capsys):
    code = "import builtins\nbuiltins.acme_print()\n" + CHAT
    install_bad(site, code)

    def print_elsewhere():
        thread = threading.Thread(target=print, args=("from elsewhere",))
        thread.start()
        thread.join(30)

    import builtins

    builtins.acme_print = print_elsewhere
    try:
        Registry(environ={}).build("chat", BAD)
    finally:
        del builtins.acme_print

    assert tuple(capsys.readouterr()) == ("from elsewhere\n", "")


def test_the_table_in_json_is_json_whatever_plugins_print(site, capsys):
    install_bad(site, "print('noise')\n" + CHAT)

    code = cli.main(["capabilities", "--json"])

    out = capsys.readouterr().out
    assert (code, out.lstrip()[0], "noise" in out) == (0, "[", False)


# ---- files that are wrong ------------------------------------------------------------------------


MANIFESTS = {
    "a wrong key": (b"[acme-bad]\ntitel = 'x'\n", "unknown keys: titel"),
    "a wrong type": (b"[acme-bad]\napi = 'one'\n", "api"),
    "no table": (b"acme-bad = 3\n", "must be a table"),
    "no TOML": (b"[acme-bad\n", "TOMLDecodeError"),
    "no UTF-8": (b"[acme-bad]\ntitle = '\xff'\n", "UnicodeDecodeError"),
    "huge": (b"# " + b"x" * (1 << 20) + b"\n", "more than 1048576 bytes"),
    "deep": (b"a = " + b"[" * 100_000, "(RecursionError|TOMLDecodeError)"),
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_wrong_manifest_is_told_and_taken_when_it_is_right(kind, site):
    data, reason = MANIFESTS[kind]
    files = {"acme_bad/__init__.py": "", "acme_bad/chat.py": CHAT, "acme_bad/provider.toml": data}
    install_bad(site, files)
    registry = Registry(environ={})

    with pytest.raises(PluginError, match=rf"(?s)provider\.toml is wrong.*{reason}") as caught:
        registry.build("chat", BAD)

    assert_named(caught.value)
    assert rows(registry)["chat", "acme-bad", "dist-bad"] == "quarantined"
    assert "acme_bad" not in sys.modules
    assert registry.build("chat", GOOD)

    (site / "acme_bad/provider.toml").write_text("[acme-bad]\ntitle = 'Right'\n")
    assert registry.build("chat", BAD), "a file that changed is read again without being told"


@pytest.mark.fault("G5")
def test_one_for_newer_hooks_says_which_side_to_upgrade(site):
    files = {
        "acme_bad/__init__.py": "raise SystemExit",
        "acme_bad/provider.toml": "[acme-bad]\napi = 99\n",
    }
    install_bad(site, files, module="acme_bad")
    registry = Registry(environ={})

    with pytest.raises(PluginError, match=r"version 99.*pip install --upgrade multitap`"):
        registry.build("chat", BAD)

    assert rows(registry)["chat", "acme-bad", "dist-bad"] == "incompatible"
    assert "acme_bad" not in sys.modules


@pytest.mark.parametrize(
    "value", ["acme_bad:attr", "acme_bad:attr [extra]", "acme-bad", ".bad", ""]
)
def test_a_value_that_names_no_module_is_told(value, site):
    install_bad(site, {"acme_bad.py": CHAT}, module=value)

    with pytest.raises(PluginError, match="is not the name of a module") as caught:
        Registry(environ={}).build("chat", BAD)

    assert_named(caught.value)
    assert "acme_bad" not in sys.modules


@pytest.mark.filterwarnings("ignore:entry_points.txt")
@pytest.mark.parametrize(
    "data", [b"[multitap.chat]\nnonsense\n", b"[multitap.chat]\n\xff\n", b"\0" * 64 + b"multitap."]
)
def test_malformed_entry_points_spoil_no_others(data, site):
    install_bad(site, CHAT)
    (site / "dist_bad-1.0.dist-info/entry_points.txt").write_bytes(data)
    registry = Registry(environ={})

    assert set(rows(registry)) == {("chat", "acme-good", "dist-good")}
    assert registry.build("chat", GOOD)


@pytest.mark.parametrize("data", [b"", b"\0\xff", b"garbage\nName: x\n", b"Name: a\nName: b\n"])
def test_malformed_metadata_leave_the_folders_name(data, site):
    install_bad(site, CHAT)
    (site / "dist_bad-1.0.dist-info/METADATA").write_bytes(data)

    found = [row for row in Registry(environ={}).capabilities() if row.provider == "acme-bad"]

    assert [(row.distribution, row.version) for row in found] == [("dist_bad", "1.0")]


def test_a_group_of_another_version_changes_nothing_for_an_old_plugin(site):
    """A capability that this core has not is no row, and the plugin's others work."""
    install_bad(site, CHAT, groups=("chat", "telepathy"))
    registry = Registry(environ={})

    assert ("chat", "acme-bad", "dist-bad") in rows(registry)
    assert {capability for capability, *_ in rows(registry)} == {"chat"}
    assert registry.build("chat", BAD)


def test_extensions_and_commands_are_entries_and_no_capabilities(site):
    install_bad(site, CHAT, groups=("chat", "extension", "command"))
    registry = Registry(environ={})

    entries = [c for c, provider, _ in rows(registry) if provider == "acme-bad"]
    kinds = [r.capability for r in registry.capabilities() if r.provider == "acme-bad"]

    assert (entries, kinds) == (["chat", "extension", "command"], ["chat"])
    [info] = [info for info in registry.providers() if info.name == "acme-bad"]
    assert info.capabilities == ("chat",)


def test_a_providers_name_is_spelt_as_it_is_looked_up(site):
    files = {"acme_bad/__init__.py": CHAT, "acme_bad/provider.toml": "[ACME-Bad]\ntitle = 'B'\n"}
    install(site, "dist-bad", "ACME-Bad", files, "acme_bad")
    registry = Registry(environ={}, choose={"ACME-BAD": "dist-bad"})

    assert registry.build("chat", BAD)
    assert [i.title for i in registry.providers() if i.name == "acme-bad"] == ["B"]


# ---- who may be used -----------------------------------------------------------------------------

TELLS = "raise SystemExit('it was imported')"


@pytest.mark.parametrize(
    ("options", "variable"),
    [
        ({"allow": ["dist-good"]}, ""),
        ({"deny": ["Dist_Bad"]}, ""),
        ({}, "none"),
        ({}, "dist-good"),
        ({}, "-dist-bad"),
    ],
)
def test_who_is_denied_is_not_imported(options, variable, site):
    install_bad(site, TELLS)
    registry = Registry(environ={"MULTITAP_PLUGINS": variable}, **options)

    assert rows(registry)["chat", "acme-bad", "dist-bad"] == "denied"
    with pytest.raises(ConfigError, match="denies dist-bad"):
        registry.build("chat", BAD)

    assert "acme_bad" not in sys.modules


@pytest.mark.fault("G4")
def test_one_name_of_two_distributions_waits_for_the_user_and_shows_both(site):
    install_bad(site, TELLS)
    install(site, "dist-rival", "acme-bad", {"acme_rival.py": CHAT}, "acme_rival")
    registry = Registry(environ={})

    states = {
        name: state
        for (_, provider, name), state in rows(registry).items()
        if provider == "acme-bad"
    }
    assert states == {"dist-bad": "conflict", "dist-rival": "conflict"}
    with pytest.raises(ConfigError, match=r"dist-bad, dist-rival.*plugins\.choose"):
        registry.build("chat", BAD)
    assert {"acme_bad", "acme_rival"} & sys.modules.keys() == set()

    chosen = Registry(environ={}, choose={"acme-bad": "dist-rival"})
    assert type(chosen.build("chat", BAD)).__module__ == "acme_rival"
    assert "acme_bad" not in sys.modules


def test_an_unknown_provider_lists_the_known_and_the_package_to_install(site, monkeypatch):
    packages = {"tern": "multitap-tern"}
    monkeypatch.setattr("multitap.registry.unusable.known_packages", packages)
    registry = Registry(environ={"MULTITAP_PLUGINS": "dist-good"})

    with pytest.raises(ConfigError, match=r"'tern'.*acme-good.*pip install multitap-tern"):
        registry.build("chat", Backend(id="a", provider="tern"))
    with pytest.raises(ConfigError, match=r"'nobody'.*acme-good.*Install the plugin"):
        registry.build("chat", Backend(id="a", provider="nobody"))
    with pytest.raises(NotSupported, match="acme-good has no rerank"):
        registry.build("rerank", GOOD)
    with pytest.raises(ConfigError, match=r"'nobody' is not installed.*acme-good"):
        multitap.Runtime({"x": {"provider": "nobody"}}, registry=registry).chat("hi", model="x:y")


# ---- reload --------------------------------------------------------------------------------------


def test_reload_imports_a_healthy_plugin_anew_and_its_submodules(site):
    files = {
        "acme_bad/__init__.py": "from acme_bad.inner import WORD\n",
        "acme_bad/inner.py": "WORD = 'one'\n",
        "acme_bad/chat.py": CHAT.replace("return None", "from acme_bad import WORD; return WORD"),
    }
    install_bad(site, files)
    rt = multitap.Runtime({}, registry=Registry(environ={}))
    old = rt._parts.registry.build("chat", BAD)
    assert old.chat(None) == "one"

    (site / "acme_bad/inner.py").write_text("WORD = 'two'\n")  # the same size, the same second
    rt.reload()

    new = rt._parts.registry.build("chat", BAD)
    assert (new.chat(None), type(new) is type(old)) == ("two", False)


def test_reload_leaves_what_the_application_imported_itself(site):
    install_bad(site, CHAT)
    import acme_bad.chat

    registry = Registry(environ={})
    registry.build("chat", BAD)
    registry.reload()
    registry.build("chat", BAD)

    assert sys.modules["acme_bad.chat"] is acme_bad.chat


def test_an_edit_within_the_second_and_of_the_same_size_is_taken(site, monkeypatch):
    """What Python keeps compiled says the second and the size of its source, and no more."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    install_bad(site, "WORD = 1 / 0\n" + CHAT)
    registry, source = Registry(environ={}), site / "acme_bad/chat.py"
    os.utime(source, (1_700_000_000, 1_700_000_000))
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        registry.build("chat", BAD)

    source.write_text("WORD = 1 / 1\n" + CHAT)
    os.utime(source, (1_700_000_000, 1_700_000_000))
    registry.reload()

    assert registry.build("chat", BAD)


# ---- other processes -----------------------------------------------------------------------------

FORK = """
import builtins, os, sys, threading
from multitap.hookspecs import Backend
from multitap.registry import Registry

builtins.acme_begun, builtins.acme_go = threading.Event(), threading.Event()
registry, bad = Registry(environ={}), Backend(id="bad", provider="acme-bad")
thread = threading.Thread(target=registry.build, args=("chat", bad))
thread.start()
assert builtins.acme_begun.wait(30)
child = os.fork()
if child == 0:
    builtins.acme_go = threading.Event()
    builtins.acme_go.set()
    registry.build("chat", bad)
    registry.capabilities()
    os._exit(7)
builtins.acme_go.set()
thread.join(30)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_child_forked_during_an_import_can_import_the_plugin(site):
    waits = "import builtins\nbuiltins.acme_begun.set()\nassert builtins.acme_go.wait(30)\n"
    install_bad(site, {"acme_bad/__init__.py": waits, "acme_bad/chat.py": CHAT})
    core = str(Path(multitap.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), core])},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.stdout.strip(), done.stderr) == ("7", "")
