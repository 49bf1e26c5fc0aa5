"""Twelve secrets, one in every place where one can be put in; none comes out anywhere.

The server sends back what it is sent in every way that it has, the plugin quotes it, and all that
can be seen of it is searched: errors with all that led to them, events, observers, logs, reprs,
the command line's output, and the debug lines.
"""

from __future__ import annotations

import json
import logging
import sys
import types
from base64 import b64encode

import pytest
from command_line import run_in
from fake_secrets import TWELVE, shown_in
from fault_bounds import no_waits

from canary.leaky import ECHOES, echo, registry
from canary.plugin import told
from multitap.cli.failures import error_events
from multitap.config import load_config
from multitap.errors import ConfigError, MultitapError
from multitap.hookspecs import hookimpl
from multitap.testing import WORLDS, Server
from multitap.testing import request as asked

__all__ = ("no_waits",)


class Everything:
    """An observer that keeps all that it is told."""

    def __init__(self):
        self.told = []

    @hookimpl
    def multitap_observer(self):
        return self

    def __getattr__(self, name):
        if not name.startswith(("call_", "attempt_", "request_", "response_")):
            raise AttributeError(name)
        return lambda *facts: self.told.append((name, *facts))


PLACES = {
    "plain": {"api_key": "{secret}"},
    "environment": {"api_key": "env:FAKE"},
    "file": {"api_key": "file:{folder}/key"},
    "keyring": {"api_key": "keyring:fake"},
    "endpoint": {"endpoint": "http://ada:{secret}@127.0.0.1:9"},
    "proxy": {"proxy": "http://ada:{secret}@{server}"},
    "header": {"headers": {"X-Api-Key": "{secret}"}},
    "setting": {"pin": "{secret}"},
    "argument": {},
    "variable": {},
    "extra": {},
    "rotated": {"api_key": "env:FAKE"},
}


class Case:
    """One place for a secret, set up: its file, its words, its variables."""

    def __init__(self, place, folder, server):
        self.place, self.secret = place, TWELVE[place]
        section = {"endpoint": server.url, **PLACES[place]}
        text = toml({"defaults": {"model": "leaky:plain"}, "leaky": section})
        known = {"secret": self.secret, "folder": folder, "server": server.url[7:]}
        for name, value in known.items():
            text = text.replace(f"{{{name}}}", str(value))
        (folder / "llm.toml").write_text(text)
        (folder / "key").write_text(f"{self.secret}\n")
        self.words = [f"leaky.api_key={self.secret}"] if place == "argument" else []
        self.asked = {"extra": {"api_key": self.secret}} if place == "extra" else {}
        self.environ = {"MULTITAP_CONFIG": str(folder / "llm.toml"), "FAKE": self.secret}
        if place == "variable":
            self.environ["MULTITAP_LEAKY__API_KEY"] = self.secret

    def load(self):
        return load_config(overrides=self.words, environ=self.environ)


def toml(tables):
    lines = []
    for name, table in tables.items():
        lines.append(f"[{name}]")
        for key, value in table.items():
            pairs = value.items() if isinstance(value, dict) else ()
            inner = ", ".join(f"{k} = {json.dumps(v)}" for k, v in pairs)
            lines.append(f"{key} = " + (f"{{{inner}}}" if pairs else json.dumps(value)))
    return "\n".join(lines) + "\n"


@pytest.fixture(params=PLACES)
def case(request, tmp_path, monkeypatch):
    ring = types.SimpleNamespace(get_password=lambda *_: TWELVE["keyring"])
    monkeypatch.setitem(sys.modules, "keyring", ring)
    with Server([asked, echo] * 100) as server:
        yield Case(request.param, tmp_path, server)
        said = b"".join(one.raw for one in server.requests)
    through = b64encode(f"ada:{TWELVE['proxy']}".encode()) if request.param == "proxy" else b""
    assert request.param == "endpoint" or (through or TWELVE[request.param].encode()) in said


def of_chat(world, model, options):
    try:
        answer = world.call("chat", "hi", model=model, **options)
    except MultitapError as error:
        return [told(error), str(error), json.dumps(getattr(error, "to_dict", dict)())]
    return [repr(answer.warnings), answer.request_id, repr(answer.attempts)]


def of_stream(world, model, options):
    try:
        events, stream = world.stream("hi", model=model, **options)
    except MultitapError as error:
        return [told(error), json.dumps(error_events(error))]
    return [repr(events), *(json.dumps(event.to_dict()) for event in events), repr(stream)]


def seen_by(world, options):
    """All that an application sees of every call, and of what it is made of."""
    seen = [repr(world.rt), repr(world.rt.backends())]
    for way in ECHOES:
        for ask in (of_chat, of_stream):
            seen += ask(world, f"leaky:{way}", options)
    return [*seen, repr(world.call("probe"))]


@pytest.mark.parametrize("make", WORLDS, ids=["sync", "async"])
def test_no_program_sees_it(case, make, monkeypatch, capfd, caplog):
    monkeypatch.setenv("MULTITAP_DEBUG", "llm")
    caplog.set_level(logging.DEBUG)
    observer = Everything()
    try:
        config = case.load()
    except ConfigError as error:
        assert case.place == "endpoint"
        seen = [told(error)]
    else:
        with make(config, registry(observer)) as world:
            seen = [repr(config), *seen_by(world, case.asked)]
        if case.place == "rotated":  # the server still speaks of the one before
            case.environ["FAKE"] = "hush-canary-its-successor"
            with make(case.load(), registry(observer)) as world:
                seen += seen_by(world, {"extra": {"old": case.secret}})
        lines = capfd.readouterr().err.splitlines()
        events = {json.loads(line)["event"] for line in lines}
        assert events == {"request", "response", "failure"}
        seen += [*lines, repr(observer.told)]
        assert observer.told
    assert shown_in("\n".join(map(str, [*seen, caplog.text]))) == []


COMMANDS = [
    ("chat", "hi"),
    ("chat", "--json", "hi", "-m", "leaky:raise"),
    ("chat", "--events", "hi", "-m", "leaky:events"),
    ("chat", "--trace", "hi", "-m", "leaky:notice"),
    ("models", "--json"),
    ("config", "show"),
    ("config", "show", "--json"),
    ("config", "explain", "leaky:m"),
    ("config", "explain", "leaky"),
    ("doctor",),
    ("doctor", "--json"),
    ("plugins",),
    ("providers", "--json"),
    ("capabilities", "--json"),
    ("nonsense",),
]


@pytest.mark.parametrize("case", [name for name in PLACES if name != "extra"], indirect=True)
def test_the_command_line_shows_it_nowhere(case):
    words = ["--llm", *case.words, "--"] if case.words else []
    environ = {**case.environ, "MULTITAP_DEBUG": "llm,traceback,trace"}
    seen = []
    for command, *rest in COMMANDS:
        ran = run_in(environ, command, *words, *rest, plugins=registry())
        seen += [ran.out, ran.err]
    assert len(seen) == 2 * len(COMMANDS)
    assert shown_in("\n".join(seen)) == []
