"""Extensions in the registry: found, loaded and guarded like plugins; filters at their work."""

from __future__ import annotations

import shutil
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import click
import pytest

from multitap.errors import ConfigError, EngineError, PluginError
from multitap.events import Failed, Notice, Stop, Text
from multitap.extensions import CallInfo
from multitap.filters.guarded import Guarded
from multitap.hookspecs import hookimpl
from multitap.registry import Registry
from multitap.registry.observed import Observed

CALL = CallInfo(
    id="1",
    capability="chat",
    backend="box",
    provider="acme",
    distribution="multitap-acme",
    model="tiny",
    streamed=True,
)
OBSERVER = """
from multitap.hookspecs import hookimpl

class Log:
    def __init__(self): self.lines = []
    def call_started(self, call): self.lines.append("started")
    def attempt_started(self, call, number): ...
    def attempt_ended(self, call, end): ...
    def call_ended(self, call, end): ...

@hookimpl
def multitap_observer():
    return Log()
"""
FILTER = """
from multitap.hookspecs import hookimpl

class Same:
    def feed(self, events): return events
    def finish(self): return ()

@hookimpl
def multitap_filter(call):
    return Same()
"""
COMMAND = """
import click
from multitap.hookspecs import hookimpl

@click.command()
def cost(): click.echo("nothing")

@hookimpl
def multitap_command():
    return cost
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Writes a distribution with one module into a folder on ``sys.path``."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name, entry_point, source, group="extension", manifest=None):
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[multitap.{group}]\n{entry_point}\n")
        module = entry_point.split("= ")[1]
        package = tmp_path / module.split(".")[0]
        if manifest is not None:
            package.mkdir()
            (package / "__init__.py").touch()
            (package / "provider.toml").write_text(manifest)
        path = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
        path.write_text(textwrap.dedent(source))

    yield write
    for name in [name for name in sys.modules if name.startswith("acme")]:
        del sys.modules[name]


def registry(**options):
    return Registry(**{"environ": {}, **options})


def names_of(found):
    return [observed.distribution for observed in found.observers()]


# ---- observers -----------------------------------------------------------------------------------


def test_observers_come_in_order_of_distribution_and_are_made_once(install):
    install("dist-b", "anything = acme_b", OBSERVER)
    install("dist-a", "something = acme_a", OBSERVER)
    found = registry()

    first = found.observers()

    assert [observed.distribution for observed in first] == ["dist-a", "dist-b"]
    assert found.observers() is first
    assert found.failures == {}


def test_extensions_are_no_capabilities_and_no_providers(install):
    install("dist-a", "acme = acme_a", OBSERVER)
    install("dist-b", "acme = acme_b", COMMAND, group="command")
    found = registry()

    assert [row for row in found.capabilities() if "acme" in row.provider] == []
    assert [info for info in found.providers() if info.name == "acme"] == []


BROKEN = {
    "import not_there_at_all": "not_there_at_all",
    "raise SystemExit(3)": "SystemExit: 3",
    "": "acme_a has no multitap_observer and no multitap_filter",
    OBSERVER.replace("multitap_observer", "multitap_obsever"): "multitap_obsever.*no hook",
    OBSERVER.replace("return Log()", "1 / 0"): "ZeroDivisionError",
    OBSERVER.replace("return Log()", "pass"): "multitap_observer returned None",
    OBSERVER.replace("call_ended", "call_over"): r"has no method call_ended\(\)",
    OBSERVER.replace("(self, call, number)", "(self, call)"): "attempt_started.. must take 2",
    OBSERVER.replace("def call_started", "async def call_started"): "is a coroutine",
}


@pytest.mark.parametrize("source", BROKEN, ids=BROKEN.values())
def test_a_broken_observer_is_quarantined_alone_and_is_no_error(install, source):
    install("dist-a", "acme = acme_a", source)
    install("dist-b", "acme-b = acme_b", OBSERVER)
    found = registry()

    assert names_of(found) == ["dist-b"]
    failure = found.failures["extension", "acme"]
    assert failure.distribution == "dist-a"
    with pytest.raises(PluginError, match=f"(?s){BROKEN[source]}"):
        found.filters(["acme"])


def test_a_module_that_failed_is_not_run_again(install):
    source = "import builtins; builtins.acme_runs = getattr(builtins, 'acme_runs', 0) + 1; 1 / 0"
    install("dist-a", "acme = acme_a", source)
    found = registry()
    import builtins

    for _ in range(3):
        found.observers()
        with pytest.raises(PluginError, match="ZeroDivisionError"):
            found.filters(["acme"])

    assert builtins.acme_runs == 1
    del builtins.acme_runs


def test_another_version_of_the_hooks_is_seen_before_the_import(install):
    install("dist-a", "acme = acme_a.observer", "1 / 0", manifest="[acme]\napi = 2\n")
    found = registry()

    assert names_of(found) == []
    with pytest.raises(PluginError, match=r"dist-a 1\.0 was written for version 2"):
        found.filters(["acme"])
    assert "acme_a.observer" not in sys.modules


@pytest.mark.parametrize("options", [{"deny": ["dist-a"]}, {"allow": []}])
def test_a_denied_extension_is_not_imported(install, options):
    install("dist-a", "acme = acme_a", "1 / 0")
    found = registry(**options)

    assert names_of(found) == []
    assert found.failures == {}
    with pytest.raises(ConfigError, match="denies dist-a, which has the extension 'acme'"):
        found.filters(["acme"])


def test_of_two_with_one_name_neither_is_used_until_one_is_chosen(install):
    install("dist-a", "acme = acme_a", OBSERVER)
    install("dist-b", "acme = acme_b", OBSERVER)

    assert names_of(registry()) == []
    with pytest.raises(ConfigError, match=r'acme = "dist-a".*plugins.choose'):
        registry().filters(["acme"])
    assert names_of(registry(choose={"acme": "dist-b"})) == ["dist-b"]


def test_an_observer_that_comes_or_goes_leaves_the_others_as_they_are(install):
    class Silent:
        def call_started(self, call): ...
        def attempt_started(self, call, number): ...
        def attempt_ended(self, call, end): ...
        def call_ended(self, call, end): ...

        @hookimpl
        def multitap_observer(self):
            return self

    install("dist-a", "acme = acme_a", OBSERVER)
    found = registry()
    [first] = found.observers()
    found.add(Silent(), "silent", ["extension"], distribution="dist-0")

    assert names_of(found) == ["dist-0", "dist-a"]
    assert found.observers()[1] is first
    found.remove("silent")
    assert found.observers() == (first,)


def test_several_threads_get_one_observer(install):
    slow = """
    import time
    made = []

    def make():
        made.append(1)
        time.sleep(0.05)  # long enough for the other threads to come
        return Log()
    """
    source = OBSERVER.replace("return Log()", "return make()") + textwrap.dedent(slow)
    install("dist-a", "acme = acme_a", source)
    found = registry(allow=["dist-a"])

    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(lambda _: found.observers(), range(4)))

    assert {observed for observers in seen for observed in observers} == {seen[0][0]}
    assert sys.modules["acme_a"].made == [1]


def test_extensions_come_and_go_while_the_process_runs(install, tmp_path):
    found = registry(allow=["dist-a"])
    assert found.observers() == ()

    install("dist-a", "acme = acme_a", OBSERVER)
    found.notice()
    [observed] = found.observers()
    assert [(row.capability, row.state) for row in found.entries() if row.provider == "acme"] == [
        ("extension", "loaded")
    ]

    found.reload()
    assert found.observers()[0] is not observed
    shutil.rmtree(tmp_path / "dist_a-1.0.dist-info")
    found.notice()
    assert found.observers() == ()


def test_a_quarantined_extension_is_shown_with_the_rows(install):
    install("dist-a", "acme = acme_a", "1 / 0")
    found = registry(allow=["dist-a"])
    found.observers()

    assert [(row.capability, row.state) for row in found.entries() if row.provider == "acme"] == [
        ("extension", "quarantined")
    ]


class Noisy:
    """An observer whose ``call_started`` does what the test wants."""

    def __init__(self, call_started):
        self.call_started = call_started

    attempt_started = attempt_ended = call_ended = lambda *facts: None

    @hookimpl
    def multitap_observer(self):
        return self


def noisy(call_started):
    found = registry(allow=())
    found.add(Noisy(call_started), "noisy", ["extension"], distribution="dist-n")
    found.add(Noisy(lambda call: None), "other", ["extension"], distribution="dist-o")
    return found, found.observers()[0]


def raising(*errors):
    """Raises these one after the other; ``None``: it does not."""
    left = iter(errors)

    def call_started(call):
        if (error := next(left)) is not None:
            raise error

    return call_started


@pytest.mark.fault("G3")
def test_what_an_observer_raises_is_counted_and_logged_once_for_each_kind(caplog):
    errors = [ValueError("sesame"), ValueError("sesame"), KeyError("sesame"), None]
    found, observed = noisy(raising(*errors))
    for _ in errors:
        observed.tell("call_started", CALL)
    observed.tell("call_ended", CALL, None)

    assert found.observer_faults == {"dist-n": 3}
    assert caplog.messages == [
        "The observer of dist-n raised ValueError in call_started",
        "The observer of dist-n raised KeyError in call_started",
    ]


@pytest.mark.fault("G3")
def test_an_observer_that_raises_five_times_in_a_row_is_told_of_nothing_more(caplog):
    found, observed = noisy(raising(*[ValueError("sesame")] * 5))
    for _ in range(9):
        observed.tell("call_started", CALL)

    assert found.observer_faults == {"dist-n": 5}
    assert names_of(found) == ["dist-o"]
    failure = found.failures["extension", "noisy"]
    assert failure.reason == (
        "its observer is told of nothing more: it raised 5 times in a row,"
        " ValueError in call_started last"
    )
    assert caplog.messages[1:] == [
        (
            "The observer of dist-n is told of nothing more: it raised 5 times in a row,"
            " ValueError in call_started last"
        )
    ]
    states = {row.provider: row.state for row in found.entries() if row.capability == "extension"}
    assert (states["noisy"], states["other"]) == ("quarantined", "loaded")
    found.reload()
    assert names_of(found) == ["dist-n", "dist-o"]


@pytest.mark.fault("G3")
def test_faults_with_a_success_between_them_are_only_counted():
    found, observed = noisy(raising(*([*[ValueError()] * 4, None] * 3)))
    for _ in range(15):
        observed.tell("call_started", CALL)

    assert (found.observer_faults, names_of(found)) == ({"dist-n": 12}, ["dist-n", "dist-o"])


def taking(*seconds):
    """An observer on a clock of its own, whose calls take so long, and how it is given up."""
    now, left, gone = [0.0], iter(seconds), []

    def call_started(call):
        now[0] += next(left)

    observed = Observed(Noisy(call_started), "dist-n", lambda: gone.append(1), lambda: now[0])
    return observed, gone


@pytest.mark.fault("G6")
def test_an_observer_that_takes_long_is_warned_of_once(caplog):
    observed, gone = taking(0.1, 0.5, 0.2, 0.9)
    for _ in range(4):
        observed.tell("call_started", CALL)

    assert caplog.messages == [
        "The observer of dist-n took 0.5 s in call_started, for which the call waited"
    ]
    assert (observed.faults, gone) == (0, [])


@pytest.mark.fault("G6")
def test_an_observer_that_takes_a_second_three_times_is_told_of_nothing_more(caplog):
    observed, gone = taking(1.0, 0.0, 1.5, 0.0, 2.0, 9.0)
    for _ in range(6):
        observed.tell("call_started", CALL)

    assert (observed.faults, gone) == (3, [1])
    assert observed.given_up.endswith("it held up 3 calls for a second or more")
    assert caplog.messages[-1].endswith("it held up 3 calls for a second or more")


# ---- filters -------------------------------------------------------------------------------------


def test_filters_are_made_in_the_order_of_their_names(install):
    install("dist-a", "acme = acme_a", FILTER)
    install("dist-b", "acme-b = acme_b", FILTER)

    found = registry().filters(["acme-b", "acme", "acme-b"])

    assert [(f.name, f.distribution) for f in found] == [
        ("acme-b", "dist-b"),
        ("acme", "dist-a"),
        ("acme-b", "dist-b"),
    ]
    assert found[0].made(CALL) is not found[0].made(CALL)
    assert names_of(registry()) == []


def test_an_unknown_filter_is_a_wrong_word_of_the_configuration(install):
    install("dist-a", "redact = acme_a", FILTER)

    with pytest.raises(ConfigError, match=r"no extension 'redakt' .did you mean 'redact'"):
        registry().filters(["redakt"])


def test_an_observer_is_no_filter(install):
    install("dist-a", "acme = acme_a", OBSERVER)

    with pytest.raises(ConfigError, match="'acme' of dist-a is no filter"):
        registry().filters(["acme"])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("return 3", r"int. has no method feed"),
        ("yield Same()", "make it a plain function"),
    ],
)
def test_a_filter_that_cannot_be_made_is_named(install, body, reason):
    install("dist-a", "acme = acme_a", FILTER.replace("return Same()", body))
    [found] = registry().filters(["acme"])

    with pytest.raises(PluginError, match=f"filter 'acme' of dist-a failed: .*{reason}") as caught:
        found.made(CALL)

    assert caught.value.distribution == "dist-a"
    assert "take 'acme' out of filters" in caught.value.hint


def test_a_filter_may_pass_a_call_by(install):
    install("dist-a", "acme = acme_a", FILTER.replace("return Same()", "return None"))

    assert registry().filters(["acme"])[0].made(CALL) is None


# ---- a filter at its work ------------------------------------------------------------------------


class Holder:
    """Gives texts at the end only."""

    def __init__(self):
        self.held = []

    def feed(self, events):
        self.held += [event for event in events if isinstance(event, Text)]
        return [event for event in events if not isinstance(event, Text)]

    def finish(self):
        return self.held


class Given:
    """Gives what it was made with, whatever comes."""

    def __init__(self, *outputs, rest=()):
        self.outputs, self.rest = outputs, rest

    def feed(self, events):
        return self.outputs

    def finish(self):
        return self.rest


def guarded(stage):
    return Guarded(stage, lambda reason: PluginError(reason, distribution="dist-f"))


END = Stop("complete")


@pytest.mark.parametrize("end", [END, Failed(EngineError("It broke"))])
def test_what_is_held_goes_before_the_end(end):
    held = guarded(Holder())

    assert [*held.feed([Text("a")]), *held.feed([Text("b"), end])] == [Text("a"), Text("b"), end]


def test_the_stop_of_another_choice_is_not_the_end():
    held = guarded(Holder())

    assert held.feed([Text("a"), Stop("complete", 1)]) == [Stop("complete", 1)]


def test_a_filter_may_end_the_answer_and_nothing_follows():
    ending = guarded(Given(Text("a"), Stop("stop_sequence"), Text("b"), rest=[Text("held")]))

    assert ending.feed([Text("x")]) == [Text("a"), Text("held"), Stop("stop_sequence")]
    assert ending.feed([Text("y"), END]) == ()


def test_a_backend_error_that_a_filter_raises_ends_the_answer():
    class Raising(Holder):
        def feed(self, events):
            raise EngineError("No such words")

    [failed] = guarded(Raising()).feed([Text("a")])

    assert str(failed.error.message) == "No such words"


def test_the_end_must_not_be_swallowed():
    with pytest.raises(PluginError, match="swallowed the end") as caught:
        guarded(Given(Notice("x", "y"))).feed([END])
    assert caught.value.distribution == "dist-f"


@pytest.mark.parametrize("method", ["feed", "finish"])
def test_whatever_else_a_filter_raises_is_its_own_fault(method):
    stage = Holder()
    setattr(stage, method, lambda *events: {}["role"])

    with pytest.raises(PluginError, match="KeyError: 'role'") as caught:
        guarded(stage).feed([Text("a"), END])
    assert isinstance(caught.value.__cause__, KeyError)


def test_what_is_no_batch_is_the_filters_own_fault():
    stage = Holder()
    stage.feed = lambda events: None

    with pytest.raises(PluginError, match="TypeError"):
        guarded(stage).feed([Text("a")])


# ---- commands ------------------------------------------------------------------------------------


def test_the_names_of_commands_are_known_without_importing_them(install):
    install("dist-b", "zeal = acme_b", "1 / 0", group="command")
    install("dist-a", "cost = acme_a", COMMAND, group="command")
    found = registry()

    assert found.commands() == ("cost", "zeal")
    assert not {"acme_a", "acme_b"} & set(sys.modules)
    command = found.command("cost")
    assert (type(command), command.name) == (click.Command, "cost")
    assert "acme_b" not in sys.modules


def test_a_broken_command_is_an_error_of_that_command_alone(install):
    install("dist-a", "cost = acme_a", COMMAND.replace("return cost", "return 3"), group="command")
    found = registry()

    with pytest.raises(
        PluginError, match=r"cannot serve as the command 'cost': .*no click command"
    ):
        found.command("cost")
    assert found.failures["command", "cost"].distribution == "dist-a"


def test_an_unknown_command_is_named():
    with pytest.raises(ConfigError, match="no command 'cst'"):
        registry(allow=()).command("cst")
