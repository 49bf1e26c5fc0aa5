"""The documentation is true: its examples run, its tables are the code's."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import sys
import typing
import warnings
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType

import attrs
import click
import pytest

import multitap
from multitap import errors, events, testing
from multitap.answer import Answer
from multitap.capabilities import EXTENSIONS
from multitap.capabilities.chat import ChatRequest
from multitap.cli.doctor.findings import FINDINGS
from multitap.cli.failures import INTERRUPTED, exit_code
from multitap.cli.invocation import Invocation
from multitap.cli.root import COMMANDS, root
from multitap.cli.words import repeat_llm
from multitap.config.sections import SECTION_KEYS
from multitap.config.values import parse_toml
from multitap.extensions import (
    AttemptEnd,
    CallEnd,
    CallInfo,
    Observer,
    RequestObserver,
    WireRequest,
)
from multitap.hookspecs import CAPABILITIES, Specs, methods_of, protocol_of
from multitap.plan import OPTIONS, chat_request
from multitap.policy.clocks import Clocks, Limits
from multitap.registry import State
from multitap.runtime.composition import Composition

HERE = Path(__file__).parent.parent
RUNNABLE = [HERE / "README.md", HERE / "core/README.md", *sorted(HERE.glob("docs/**/*.md"))]
OF_PLUGINS = sorted(HERE.glob("plugins/*/README.md"))
PAGES = [*RUNNABLE, *OF_PLUGINS]
TUTORIAL = HERE / "docs/tutorial-plugin.md"
RUNNABLE.remove(TUTORIAL)  # tests/test_tutorial.py follows it with a server
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
TABLE_ROW = re.compile(r"^\| `([^`]+)`", re.MULTILINE)
OF_EXTENSIONS = [h.removeprefix("multitap_") for hooks in EXTENSIONS.values() for h in hooks]
HOOKS = (*CAPABILITIES, *OF_EXTENSIONS)


def title(page: Path) -> str:
    return str(page.relative_to(HERE))


def blocks(page: Path) -> list[tuple[str, str, int]]:
    """Language, text and first line of each fenced block."""
    text = page.read_text("utf-8")
    found = FENCE.finditer(text)
    return [(m["language"], m["text"], text.count("\n", 0, m.start("text"))) for m in found]


def read(page: str) -> str:
    return (HERE / "docs" / page).read_text("utf-8")


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, backticks off, without its head."""
    section = read(page).split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[c.strip().strip("`") for c in line.strip("|").split(" | ")] for line in lines]


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    for variable in ("MULTITAP_CONFIG", "MULTITAP_PLUGINS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(multitap, "_default", None)
    return tmp_path


# ---- examples ------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", RUNNABLE, ids=title)
def test_python_examples_run_and_print_what_is_shown(
    page: Path,
    empty_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A ``text`` block right after a ``python`` block is what that block prints."""
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    printed: str | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for language, text, line in blocks(page):
            if language == "python":
                exec(compile("\n" * line + text, str(page), "exec"), vars(module))
                printed = capsys.readouterr().out
            elif language == "text" and printed is not None:
                assert text == printed
                printed = None
            else:
                printed = None


@pytest.mark.parametrize("page", [*OF_PLUGINS, TUTORIAL], ids=title)
def test_python_examples_that_need_more_compile(page: Path) -> None:
    """They may need a server, or a model's file."""
    for language, text, line in blocks(page):
        if language == "python":
            compile("\n" * line + text, str(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_toml_examples_are_toml(page: Path) -> None:
    for language, text, _ in blocks(page):
        if language == "toml":
            assert parse_toml(text)


def commands(page: Path) -> list[list[str]]:
    """The words of each command of the page's ``sh`` blocks; pipes and chains are taken apart."""
    texts = [text.replace("\\\n", " ") for language, text, _ in blocks(page) if language == "sh"]
    return [words for text in texts for line in text.splitlines() for words in _commands(line)]


def _commands(line: str) -> list[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if word in ("|", "&&", "||", ";"):
            found.append([])
        elif word in ("<", ">", ">>"):
            next(lexer)
        else:
            found[-1].append(word)
    return found


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_command_lines_parse(page: Path) -> None:
    for words in commands(page):
        if words[0] == "multitap":
            parse(words[1:])


def parse(argv: list[str]) -> None:
    """What ``multitap`` does with its words before it runs a command."""
    context = click.Context(root, obj=Invocation())
    name, *rest = repeat_llm(argv)
    try:
        if name.startswith("-"):
            root.make_context("multitap", [name, *rest], obj=context.obj)
            return
        command = root.get_command(context, name)
        assert command is not None, name
        within = command.make_context(name, rest, parent=context)
        if isinstance(command, click.Group):
            command.commands[rest[0]].make_context(rest[0], rest[1:], parent=within)
    except click.exceptions.Exit as shown:  # --help and --version
        if shown.exit_code:
            raise


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_shell_commands_are_known_ones(page: Path) -> None:
    shell = {".", "cd", "echo", "git", "ls", "mv", "rm", "sed"}
    known = {*shell, "multitap", "nox", "pip", "python", "python3"}
    assert {words[0] for words in commands(page)} <= known


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if not target.startswith(("https://", "http://")):
                assert (page.parent / target).exists(), (page, target)


def test_every_page_is_reached_from_the_index() -> None:
    index = read("index.md")
    for page in sorted(HERE.glob("docs/**/*.md")):
        if page.name != "index.md":
            assert f"({page.relative_to(HERE / 'docs')})" in index


# ---- hooks ---------------------------------------------------------------------------------------


def hook_page(capability: str) -> str:
    return read(f"hooks/{capability}.md")


def test_there_is_one_page_for_each_hook() -> None:
    hooks = {name for name in vars(Specs) if name.startswith("multitap_")}
    assert {f"multitap_{name}" for name in HOOKS} == hooks
    assert {p.stem for p in HERE.glob("docs/hooks/*.md")} == set(HOOKS)


def shown_signature(function: object) -> str:
    """As it stands on a page: without ``self``, and without the quotes of late annotations."""
    signature = str(inspect.signature(function))  # type: ignore[arg-type]
    return signature.replace("self, ", "").replace("(self)", "()").replace("'", "")


@pytest.mark.parametrize("capability", HOOKS)
def test_a_hook_page_opens_with_the_hook_as_it_is(capability: str) -> None:
    shown = shown_signature(getattr(Specs, f"multitap_{capability}"))
    assert hook_page(capability).splitlines()[0] == f"# `multitap_{capability}{shown}`"


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_a_hook_page_has_every_method_as_it_is(capability: str) -> None:
    page = hook_page(capability)
    for name in methods_of(capability):
        shown = shown_signature(getattr(protocol_of(capability), name))
        assert f"`{name}{shown}`" in page


def test_the_page_of_observers_has_every_method_and_field_as_it_is() -> None:
    page = hook_page("observer")
    for protocol in (Observer, RequestObserver):
        for name in (name for name in vars(protocol) if not name.startswith("_")):
            assert f"`{name}{shown_signature(getattr(protocol, name))}`" in page
    for cls in (CallInfo, WireRequest, AttemptEnd, CallEnd):
        section = page.split(f"\n## `{cls.__name__}`\n")[1].split("\n## ")[0]
        assert TABLE_ROW.findall(section) == [field.name for field in attrs.fields(cls)]


def classes_of(capability: str) -> set[type]:
    """The attrs classes of a capability's own module that its methods take and give."""
    found: set[type] = set()
    for name in methods_of(capability):
        hints = typing.get_type_hints(getattr(protocol_of(capability), name))
        for hint in hints.values():
            found |= _attrs_classes(hint, f"multitap.capabilities.{capability}")
    return found


def _attrs_classes(hint: object, module: str) -> set[type]:
    if isinstance(hint, type) and attrs.has(hint):
        return {hint} if hint.__module__ == module else set()
    return {c for part in typing.get_args(hint) for c in _attrs_classes(part, module)}


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_a_hook_page_has_the_methods_of_every_optional_protocol(capability: str) -> None:
    module = import_module(f"multitap.capabilities.{capability}")
    for protocol in (vars(module)[name] for name in module.__all__):
        if getattr(protocol, "_is_protocol", False):
            for name, method in vars(protocol).items():
                if inspect.isfunction(method) and not name.startswith("_"):
                    assert f"`{name}{shown_signature(method)}`" in hook_page(capability)


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_a_hook_page_has_every_field_in_order(capability: str) -> None:
    page = hook_page(capability)
    for cls in classes_of(capability):
        section = page.split(f"\n## `{cls.__name__}`\n")[1].split("\n## ")[0]
        assert TABLE_ROW.findall(section) == [field.name for field in attrs.fields(cls)]


@pytest.mark.parametrize("capability", HOOKS)
def test_a_hook_page_has_an_implementation_that_is_tried(capability: str) -> None:
    code = "".join(
        text
        for language, text, _ in blocks(HERE / f"docs/hooks/{capability}.md")
        if language == "python"
    )
    assert f"def multitap_{capability}(" in code
    assert "print(" in code


def wire_rows(capability: str) -> list[list[str]]:
    """The cells of the tables below ``On the wire``, the heads included."""
    section = hook_page(capability).split("\n## On the wire\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith(("| `", "| field"))]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def carried_by(capability: str) -> set[type]:
    """The attrs classes that cross the border: requests, results, and what they are made of."""
    found: set[type] = set()
    for method in verbs_of(capability).values():
        for hint in typing.get_type_hints(method).values():
            _carry(hint, f"multitap.capabilities.{capability}", found)
    return found - {events.Unknown}


def verbs_of(capability: str) -> dict[str, FunctionType]:
    """The methods of all of its protocols, those that a plugin may leave out included."""
    module = sys.modules[protocol_of(capability).__module__]
    protocols = [cls for cls in vars(module).values() if getattr(cls, "_is_protocol", False)]
    return {
        name: method
        for cls in protocols
        for name, method in vars(cls).items()
        if isinstance(method, FunctionType) and not name.startswith("_")
    }


PARTS = {"multitap.capabilities.chat": "multitap.messages"}  # said on this page alone


def _carry(hint: object, module: str, found: set[type]) -> None:
    for part in typing.get_args(hint):
        _carry(part, module, found)
    if not isinstance(hint, type) or not attrs.has(hint) or hint in found:
        return
    if hint.__module__ in {module, "multitap.events", "multitap.usage", PARTS.get(module)}:
        found.add(hint)
        for field in typing.get_type_hints(hint).values():
            _carry(field, module, found)


def fields_of(cls: type) -> list[str]:
    """Its fields as the tables name them; what all events may have is said once."""
    if not issubclass(cls, events._Event):
        return [f"{cls.__name__}.{field.name}" for field in attrs.fields(cls)]
    own = _own_fields(cls)
    shared = [f.name for f in attrs.fields(cls) if f.name not in own]
    return [*(f"{cls.__name__}.{name}" for name in own), *(f"Event.{name}" for name in shared)]


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_a_hook_page_says_how_every_field_is_written_by_three_formats(capability: str) -> None:
    head, *rows = wire_rows(capability)
    assert len(head) >= 4
    fields = {name for cls in carried_by(capability) for name in fields_of(cls)}
    shown = [cells[0].strip("`") for cells in rows if cells[0] != "field"]
    assert sorted(set(shown) - set(verbs_of(capability))) == sorted(fields)
    assert len(shown) == len(set(shown))
    for cells in rows:
        assert len(cells) == len(head), cells
        assert all(cells), cells
    for column in zip(*rows, strict=True):
        assert any(not cell.startswith("—") for cell in column), column[0]


# ---- which hook ----------------------------------------------------------------------------------

PATHS = rows("which-hook.md", "From what you have to what you write")


@pytest.mark.parametrize("path", PATHS, ids=lambda cells: cells[0])
def test_every_path_has_an_example_that_is_tried(path: list[str]) -> None:
    """A sample that a test installs, or a page (or its section) whose Python runs."""
    link = re.search(r"\]\(([^)#]*)#?([^)]*)\)", path[-1])
    assert link is not None
    target, anchor = link.groups()
    sample = re.match(r"\.\./tests/samples/([\w-]+)/", target)
    if sample is not None:
        tests = (HERE / "tests/test_samples.py").read_text("utf-8")
        assert f'install("{sample[1]}", site)' in tests
    else:
        assert "```python\n" in section(read(target or "which-hook.md"), anchor)


def section(page: str, anchor: str) -> str:
    """What stands below the heading that the anchor means; all, where there is none."""
    if not anchor:
        return page
    parts = {_slug(part.partition("\n")[0]): part for part in page.split("\n## ")}
    return parts[anchor]


def _slug(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading).replace(" ", "-").lower()


# ---- tables --------------------------------------------------------------------------------------


def test_the_exit_codes_are_those_of_the_code() -> None:
    shown = {int(code) for code, *_ in rows("command-line.md", "Exit codes")}
    samples = [errors.BackendError(""), errors.LocalError(""), errors.ConfigError("")]
    codes = {exit_code(error) for error in (*samples, errors.PluginError(""))}
    assert shown == {0, INTERRUPTED, *codes}


def test_every_command_has_its_heading() -> None:
    shown = re.findall(r"^### `multitap ([\w-]+)", read("command-line.md"), re.MULTILINE)
    assert shown == [name for commands in COMMANDS.values() for name in commands]


@pytest.mark.parametrize("name", [name for group in COMMANDS.values() for name in group])
def test_every_option_of_a_command_is_described(name: str) -> None:
    context = click.Context(root)
    command = root.get_command(context, name)
    assert command is not None
    page = read("command-line.md")
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    for parameter in (p for c in (command, *inner) for p in c.params):
        if isinstance(parameter, click.Option):
            assert f"`{parameter.opts[0]}" in page, parameter.opts


def test_every_finding_of_the_doctor_is_in_the_table() -> None:
    shown = {cells[0]: cells[1] for cells in rows("doctor.md", "Findings")}
    assert shown == FINDINGS


def test_every_error_is_in_the_table_with_whether_it_is_retried() -> None:
    classes = {
        name: cls
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, errors.MultitapError)
    }
    shown = {cells[0]: cells[2] for cells in rows("errors.md", "The classes")}
    assert shown == {n: "yes" if c.retryable else "no" for n, c in classes.items()}


def test_every_event_is_in_the_table_with_its_fields() -> None:
    classes = [cls for cls in typing.get_args(events.Event) if cls is not events.Unknown]
    shown = {cells[0]: cells[1:3] for cells in rows("events.md", "The events")}
    expected = {cls.__name__: [cls.type, ", ".join(_own_fields(cls))] for cls in classes}
    assert shown == {name: [kind, fields] for name, (kind, fields) in expected.items()}


def _own_fields(cls: type) -> list[str]:
    return [f.name for f in attrs.fields(cls) if f.name not in ("choice", "provider_options")]


def test_every_stop_reason_is_named() -> None:
    page = read("events.md")
    assert all(f"`{reason}`" in page for reason in typing.get_args(events.StopReason))


def test_every_key_of_a_section_is_in_the_table() -> None:
    assert [cells[0] for cells in rows("configuration.md", "Keys of a backend")] == list(
        SECTION_KEYS
    )


def test_every_clock_and_every_limit_is_in_its_table() -> None:
    clocks = {field.name for field in attrs.fields(Clocks)} - {"asked", "deadline", "now"}
    assert {cells[0] for cells in rows("reliability.md", "Clocks")} == {"total", *clocks}
    shown = {cells[0] for cells in rows("reliability.md", "Limits")}
    assert shown == {field.name for field in attrs.fields(Limits)}


def test_every_argument_of_a_chat_is_in_the_table() -> None:
    shown = {
        name
        for cells in rows("python.md", "Arguments of `chat` and `stream`")
        for name in cells[0].split("`, `")
    }
    named = {
        *inspect.signature(chat_request).parameters,
        *OPTIONS,
        *inspect.signature(multitap.Runtime.chat).parameters,
        *inspect.signature(Composition.chat).parameters,
        *inspect.signature(Composition._chat).parameters,
    }
    fields = {field.name for field in attrs.fields(ChatRequest)}
    inner = {"self", "options", "response_schema", "stream", "target", "deadline", "view"}
    taken = {*named, *fields} - inner
    assert shown == taken


def test_every_attribute_of_an_answer_is_in_the_table() -> None:
    shown = {cells[0] for cells in rows("python.md", "The answer")}
    assert shown == {name for name in dir(Answer) if not name.startswith("_")}


def test_every_state_of_a_plugin_is_in_the_table() -> None:
    assert [cells[0] for cells in rows("plugins.md", "States")] == list(typing.get_args(State))


def test_every_name_for_tests_is_on_its_page() -> None:
    page = read("testing.md")
    for_types = {"Script", "Step"}
    names = {*testing.__all__} - for_types
    assert {name for name in names if not re.search(rf"\b{name}\b", page)} == set()
    steps = {*testing.steps.__all__, *testing.answers.__all__} & names
    assert {cells[0] for cells in rows("testing.md", "A scripted server")} == steps


def test_every_session_is_in_the_table() -> None:
    functions = ast.walk(ast.parse((HERE / "noxfile.py").read_text("utf-8")))
    marked = [f for f in functions if isinstance(f, ast.FunctionDef) and f.decorator_list]
    shown = [cells[0].partition("(")[0] for cells in rows("contributing.md", "What is checked")]
    assert sorted(shown) == sorted(function.name for function in marked)
