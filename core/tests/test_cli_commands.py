"""The commands beside ``chat``, help, and the demo model."""

import json
import subprocess
import sys

import jsonschema
import pytest
import stage
from command_line import home, registry, run_here, valid

from multitap.capabilities.catalog import Model
from multitap.cli.root import COMMANDS, root
from multitap.cli.schema import read_schema, schema_names
from multitap.errors import ProviderDown

# ---- the other commands --------------------------------------------------------------------------


def test_embed():
    ran = run_here("embed", "-m", "stage:one", "--json", "a", "bcd")
    assert valid("embed", ran.out)["vectors"] == [[1.0, 0.5], [3.0, 0.5]]
    assert run_here("embed", "-m", "stage:one", stdin=b"a\r\nbcd\n").out == "1 0.5\n3 0.5\n"


def test_many_lines_are_embedded_in_batches(monkeypatch):
    sizes, embed = [], stage.Numbers.embed

    def counting(self, request, /):
        sizes.append(len(request.texts))
        return embed(self, request)

    monkeypatch.setattr(stage.Numbers, "embed", counting)
    lines = ["x" * (number % 7 + 1) for number in range(1300)]
    ran = run_here("embed", "-m", "stage:one", stdin="\n".join(lines).encode())
    assert ran.out.splitlines() == [f"{len(line)} 0.5" for line in lines]
    assert sizes == [512, 512, 276]


def test_rerank():
    words = ("rerank", "-m", "stage:one", "query")
    ran = run_here(*words, "a", "bcd", "--json", "--top-n", "1")
    best = {"index": 1, "score": 0.03, "document": "bcd"}
    assert [best] == valid("rerank", ran.out)["results"]
    table = "SCORE   INDEX  DOCUMENT\n0.0300  1      b d\n0.0100  0      a\n"
    assert table == run_here(*words, stdin=b"a\nb\td\n").out


def test_tokenize():
    found = valid("tokenize", run_here("tokenize", "-m", "stage:one", "hi", "--json").out)
    assert found == {"ids": [104, 105], "pieces": [[104], [105]]}
    assert (
        run_here("tokenize", "-m", "stage:one", stdin=b"h\n").out
        == 'ID   TEXT\n104  "h"\n10   "\\n"\n'
    )
    assert run_here("tokenize", "-m", "stage:bare", "hi").out == "104 105\n"
    bare = valid("tokenize", run_here("tokenize", "-m", "stage:bare", "hi", "--json").out)
    assert bare["pieces"] is None


def test_what_a_backend_does_not_hear_is_told_beside_the_tokens():
    ran = run_here("tokenize", "-m", "stage:one", "hi", "--special", "--json")
    assert valid("tokenize", ran.out)["ids"] == [104, 105]
    assert "warning: This backend cannot honour special" in ran.err
    assert run_here("tokenize", "-m", "stage:one", "hi", "--json").err == ""


MODELS = """\
MODEL      CAPABILITIES  CONTEXT  SIZE    LOADED
stage:one  chat          256
stage:two                         1.5 GB  yes
"""


def test_models():
    assert run_here("models") == (0, MODELS, "")
    refs = [model["ref"] for model in valid("models", run_here("models", "--json").out)]
    assert refs == ["stage:one", "stage:two"]


def test_a_backend_that_is_down_is_a_warning():
    ran = run_here("models", "--llm", "off.provider=stage", "off.endpoint=http://localhost/down")
    assert (ran.code, ran.out) == (0, MODELS)
    assert ran.err.startswith("multitap: warning: off: nobody is there.")


@pytest.mark.parametrize(("verb", "loaded"), [("load", True), ("unload", False)])
def test_load_and_unload(verb, loaded):
    assert (0, f"stage:one is {verb}ed\n", "") == run_here(verb, "stage:one")
    found = valid(verb, run_here(verb, "stage:one", "--json").out)
    assert {"model": "stage:one", "loaded": loaded} == found


def test_capabilities_and_providers():
    everything = valid("capabilities", run_here("capabilities", "--json").out)
    rows = [row for row in everything if row["provider"] == "stage"]
    row = {"capability": "chat", "provider": "stage", "distribution": "multitap-stage"}
    assert {**row, "version": "1", "state": "declared"} == rows[0]
    table = [line.split() for line in run_here("capabilities").out.splitlines()[1:]]
    assert table == [list(row.values()) for row in everything]
    infos = valid("providers", run_here("providers", "--json").out)
    assert [(i["name"], i["distribution"]) for i in infos] == [("stage", "multitap-stage")]
    assert "stage     multitap-stage 1" in run_here("providers").out


def test_schemas_are_sound_and_printed():
    for name in schema_names():
        printed = json.loads(run_here("schema", name).out)
        jsonschema.Draft202012Validator.check_schema(printed)
        assert read_schema(name) == printed
    assert schema_names() == json.loads(run_here("schema", "--json").out)
    assert schema_names() == run_here("schema").out.split()


# ---- help ----------------------------------------------------------------------------------------


def test_help_and_version_import_nothing_heavy(tmp_path):
    code = (
        "import sys; from multitap.cli import main; main(sys.argv[1:2]); "
        "print(*(m for m in sys.modules "
        "if m.partition('.')[0] in ('attr', 'httpx', 'rich', 'stage') "
        "or m.startswith(('multitap.runtime', 'multitap.config.layers', *sys.argv[2:]))), 'end')"
    )
    # the help names the commands of plugins, for which it looks whether any is installed
    for words in (("--help", "multitap.registry.plugins"), ("--version", "multitap.registry")):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], env=home(tmp_path), capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1] == "end"
    assert done.stdout.startswith("multitap 0.")


def test_every_command_has_help_with_examples():
    listed = run_here("--help").out
    assert listed == run_here().out
    for commands in COMMANDS.values():
        for name, (_, text) in commands.items():
            assert text in listed
            shown = run_here(name, "--help").out
            assert shown.count(f"  multitap {name}") + shown.count(f"| multitap {name}") >= 2
            assert text == root.get_command(None, name).short_help


def test_without_its_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("multitap.cli.find_spec", lambda name: None)
    ran = run_here("--help")
    assert (ran.code, ran.out) == (2, "")
    assert "pip install 'multitap[cli]'" in ran.err


# ---- the demo model ------------------------------------------------------------------------------

DOWN = "[ollama]\nendpoint = 'http://localhost/down'"


def test_the_demo_model_answers_where_nothing_is_set_up():
    ran = run_here("chat", "hello", plugins=registry("llamacpp"))
    assert (ran.code, ran.out) == (0, "hello\n")
    assert "demo model answers" in ran.err
    assert "pip install multitap-ollama" in ran.err


def test_the_demo_model_answers_where_the_default_backend_does_not(monkeypatch):
    plugins = registry("llamacpp", "ollama", "stage")
    assert run_here("chat", "hi", "--json", plugins=plugins).code == 2  # Ollama answers
    monkeypatch.setattr("stage.Shelf.models", down_but_for_the_demo)
    answer = json.loads(run_here("chat", "hi", "--json", plugins=plugins).out)
    assert (answer["backend"], answer["model"]) == ("llamacpp", "demo")


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "stage:one"],
        ["--llm", "model=stage:one", "--"],
        ["--llm", "stage.model=one", "--"],
    ],
)
def test_the_demo_model_is_no_answer_where_something_is_configured(words):
    ran = run_here("chat", *words, "hello", plugins=registry("llamacpp", "stage"))
    assert ran == (0, "hello\n", "")


def test_without_a_demo_model_the_next_steps_are_told():
    ran = run_here("chat", "hello")
    assert ran.code == 2
    assert "installed providers: stage" in ran.err
    assert "pip install multitap-ollama" in ran.err
    assert "pip install multitap-llamacpp" in ran.err


def test_an_installed_default_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr("stage.Shelf.models", down_but_for_the_demo)
    ran = run_here("chat", "hello", plugins=registry("ollama"))
    assert ran.code == 2
    assert "Ollama does not answer. Start Ollama" in ran.err
    monkeypatch.setattr("stage.Shelf.models", lambda shelf: stage.done())
    ran = run_here("chat", "hello", plugins=registry("llamacpp"))
    assert "multitap-llamacpp is installed without its demo model" in ran.err


def test_demo_is_the_name_of_the_demo_model():
    plugins = registry("llamacpp", "stage")
    answer = json.loads(run_here("chat", "-m", "demo", "hi", "--json", plugins=plugins).out)
    assert (answer["backend"], answer["model"]) == ("llamacpp", "demo")
    ran = run_here("chat", "-m", "demo", "hi", plugins=registry("stage", "tgi"))
    assert "pip install multitap-llamacpp" in ran.err


def down_but_for_the_demo(shelf):
    if shelf.backend.provider == "llamacpp":
        return stage.done(Model(id="demo"))
    raise ProviderDown("nobody is there", kind="connect_failed", phase="connect")
