"""``multitap plugins``, and the commands that plugins add to the command line."""

import pytest
from command_line import registry, run_here, valid
from workbench import Workbench

from multitap.registry import Registry

BROKEN = "raise RuntimeError('no such luck')"
COMMAND = """
import click
from multitap.hookspecs import hookimpl

@click.command()
@click.argument("name")
def greet(name):
    "Greet somebody."
    click.echo(f"hello {name}")

@hookimpl
def multitap_command():
    return greet
"""


@pytest.fixture
def bench(tmp_path):
    return Workbench(tmp_path)


def listed(bench, *words, code=0):
    """The plugins by name, as JSON."""
    ran = bench.run("plugins", "--json", *words)
    assert (ran.code, ran.err) == (code, "")
    return {plugin["name"]: plugin for plugin in valid("plugins", ran.out)}


def test_it_lists_distributions_and_imports_none(bench):
    bench.install("multitap-acme", source="raise SystemExit('it was imported')")
    bench.install("acme-tools", "2.0", source=COMMAND, groups={"multitap.command": "greet"})
    found = listed(bench)
    offer = {"capability": "command", "provider": "greet", "state": "declared"}
    assert {
        "name": "acme-tools",
        "version": "2.0",
        "state": "declared",
        "offers": [offer],
        "troubles": [],
        "tracebacks": [],
    } == found["acme-tools"]
    assert list(found) == ["acme-tools", "multitap-acme"]
    text = bench.run("plugins").out
    assert text.startswith("acme-tools 2.0  declared\n  offers: greet (command)\nmultitap-acme 1.0")
    assert bench.imported == []


def test_load_imports_them_and_tells_what_breaks(bench):
    bench.install("multitap-acme", source=BROKEN)
    bench.install("multitap-good")
    found = listed(bench, "--load", code=3)
    assert {name: plugin["state"] for name, plugin in found.items()} == {
        "multitap-acme": "quarantined",
        "multitap-good": "loaded",
    }
    (trouble,) = found["multitap-acme"]["troubles"]
    assert "RuntimeError: no such luck" in trouble["reason"]
    assert trouble["fix"]["command"] == ["pip", "install", "--upgrade", "multitap-acme"]
    assert "multitap_acme/__init__.py" in found["multitap-acme"]["tracebacks"][0]
    ran = bench.run("plugins", "--load")
    assert (ran.code, "Traceback" in ran.out) == (3, False)
    assert "  fix: pip install --upgrade multitap-acme\n" in ran.out
    assert listed(bench, "--load", "multitap-good")["multitap-good"]["state"] == "loaded"


@pytest.mark.parametrize("name", ["multitap-acme", "Multitap_Acme", "acme"])
def test_the_traceback_of_one(bench, name):
    bench.install("multitap-acme", source=BROKEN)
    bench.install("multitap-good")
    ran = bench.run("plugins", "--traceback", name)
    assert ran.code == 3
    assert "Traceback (most recent call last):" in ran.out
    assert "good" not in ran.out


def test_states_that_need_no_import_come_with_their_remedy(bench):
    bench.install("multitap-acme")
    bench.install("acme-two", groups={"multitap.catalog": "acme"})
    bench.install("multitap-old", manifest="[old]\napi = 99")
    bench.install("multitap-bad")
    bench.write("[plugins]\ndeny = ['multitap-bad']")
    found = listed(bench)
    fixes = {name: plugin["troubles"][0]["fix"] for name, plugin in found.items()}
    assert {name: plugin["state"] for name, plugin in found.items()} == {
        "acme-two": "conflict",
        "multitap-acme": "conflict",
        "multitap-bad": "denied",
        "multitap-old": "incompatible",
    }
    assert (fixes["acme-two"]["key"], fixes["acme-two"]["value"]) == (
        "plugins.choose.acme",
        "acme-two",
    )
    assert (fixes["multitap-bad"]["key"], fixes["multitap-bad"]["value"]) == ("plugins.deny", [])
    assert fixes["multitap-old"]["command"] == ["pip", "install", "--upgrade", "multitap"]


def test_without_any_plugin_it_says_what_to_install(bench):
    ran = bench.run("plugins")
    assert (ran.code, ran.out) == (0, "")
    assert "pip install multitap-ollama" in ran.err
    assert listed_nothing(bench.run("plugins", "--json"))


def listed_nothing(ran):
    return valid("plugins", ran.out) == []


def test_an_unknown_name_is_a_usage_error():
    ran = run_here("plugins", "nobody", "--json")
    assert ran.code == 2
    assert "Installed are:" in valid("error", ran.out)["error"]["hint"]


def test_a_wrong_configuration_does_not_hide_the_plugins(bench):
    bench.install("multitap-acme")
    bench.write("[plugins]\nalow = []")
    ran = bench.run("plugins")
    assert (ran.code, "multitap-acme 1.0" in ran.out) == (0, True)
    assert "unknown key 'alow'" in ran.err


# ---- commands of plugins -------------------------------------------------------------------------


def test_a_plugins_command_runs_by_its_name(bench):
    bench.install("acme-tools", source=COMMAND, groups={"multitap.command": "greet"})
    assert bench.run("greet", "you") == (0, "hello you\n", "")
    ran = bench.run("greet")
    assert (ran.code, ran.out) == (2, "")
    assert "Missing argument 'NAME'" in ran.err


def test_the_help_names_it_and_imports_nothing(bench):
    source = "raise SystemExit('it was imported')"
    bench.install("acme-tools", source=source, groups={"multitap.command": "greet"})
    for words in (("--help",), ()):
        ran = bench.run(*words)
        assert (ran.code, ran.err) == (0, "")
        assert "Plugins:\n  greet  From acme-tools." in ran.out
        assert bench.imported == []


def test_without_such_plugins_the_help_says_nothing_of_them(bench):
    assert "Plugins:" not in bench.run("--help").out


@pytest.mark.parametrize("source", [BROKEN, COMMAND.replace("return greet", "return 7")])
def test_a_broken_command_is_one_line_and_code_3(bench, source):
    bench.install("acme-tools", source=source, groups={"multitap.command": "greet"})
    ran = bench.run("greet", "you")
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)
    assert "pip install --upgrade acme-tools" in ran.err


def test_our_own_command_goes_before_a_plugins(bench):
    source = COMMAND.replace("greet", "schema")
    bench.install("acme-tools", source=source, groups={"multitap.command": "schema"})
    assert bench.run("schema", "error").out.startswith("{")
    assert "Plugins:" not in bench.run("--help").out


def test_a_command_of_a_denied_plugin_is_none(bench):
    bench.install("acme-tools", source=COMMAND, groups={"multitap.command": "greet"})
    bench.write("[plugins]\ndeny = ['acme-tools']")
    ran = bench.run("greet", "you")
    assert (ran.code, "No such command 'greet'" in ran.err) == (2, True)


def test_what_a_program_registered_is_listed_too():
    plugins = Registry(environ={"MULTITAP_PLUGINS": "none"})
    plugins.add(registry(), "mine", ["chat"])
    assert "registered by a program" in run_here("plugins", plugins=plugins).out
