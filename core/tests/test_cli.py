"""The command line in pipes: answers, JSON, errors and exit codes."""

import json
import os
import select
import signal
import subprocess
import sys

import jsonschema
import pytest
from command_line import CEILING, MAIN, Doorbell, chat, home, run_here, run_there, valid

from multitap.cli.root import LazyGroup
from multitap.cli.schema import read_schema
from multitap.cli.words import repeat_llm

ONE = ("--llm", "provider=stage", "model=one", "--")
PNG = b"\x89PNG\r\n\x1a\n"


# ---- what is asked -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "stdin", "shown"),
    [
        (["hello"], b"", "hello\n"),
        ([], b"from a pipe\n", "from a pipe\n"),
        (["sum up:"], b"one\ntwo\n", "sum up:\n\none\ntwo\n"),
        (["hello"], b"\n", "hello\n"),
        ([], "\ufeffGrüße\r\n".encode(), "Grüße\n"),
        (["lines"], b"", "one\ntwo\n"),
    ],
)
def test_prompt_and_piped_input(words, stdin, shown):
    assert (0, shown, "") == chat(*words, stdin=stdin)


def test_the_end_of_the_last_piped_line_is_no_part_of_the_prompt():
    assert json.loads(chat("--json", stdin=b" one\ntwo\n\n").out)["text"] == " one\ntwo"


@pytest.mark.parametrize("words", [[], [""], [" \n"]])
def test_an_empty_prompt_is_refused(words):
    ran = chat(*words)
    assert (ran.code, ran.out) == (2, "")
    assert (
        ran.err
        == 'multitap: the prompt is empty. Write multitap chat "…", or pipe a text into it.\n'
    )


def test_input_that_is_no_text_is_refused():
    assert chat(stdin=b"a\xff") == (
        2,
        "",
        "multitap: standard input is not UTF-8. Convert it; look at byte 2.\n",
    )


def test_options_reach_the_request(tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object"}')
    given_ = ["--max-tokens", "9", "--temperature", "0", "--top-p", "0.5", "--seed", "0"]
    given_ += ["--stop", "a", "--stop", "b", "--think", "low", "--schema", str(schema)]
    asked = json.loads(chat("options", *given_).out)
    known = {"max_tokens", "temperature", "top_p", "seed", "stop", "think", "response_schema"}
    assert known == set(asked)


def test_system_and_images_reach_the_request(tmp_path):
    picture = tmp_path / "a.bin"
    picture.write_bytes(PNG)
    assert chat("seen").out == '["TextPart"]\n'
    assert chat("seen", "--image", str(picture)).out == '["TextPart", "Image"]\n'
    said = json.loads(chat("recall", "--system", "be brief").out)
    assert said == [["system", "be brief"], ["user", "recall"]]


@pytest.mark.parametrize("option", ["--image", "--schema"])
def test_a_file_that_cannot_be_used_is_named(tmp_path, option):
    missing, wrong = tmp_path / "missing", tmp_path / "wrong"
    wrong.write_text("nonsense")
    for file in (missing, wrong):
        ran = chat("hello", option, str(file))
        assert (ran.code, ran.out) == (2, "")
        assert str(file) in ran.err


def test_several_words_after_llm_belong_to_it():
    assert run_here("chat", "--llm", "provider=stage", "model=one", "hello") == (0, "hello\n", "")
    assert run_here("chat", *ONE, "a=b") == (0, "a=b\n", "")
    ran = run_here("chat", "--llm", "colour=red", "hello")
    assert (ran.code, ran.out) == (2, "")
    assert "unknown key 'colour'" in ran.err


@pytest.mark.parametrize(
    ("words", "expanded"),
    [
        (["--llm", "a=1", "b.c=2", "x", "d=3"], ["--llm", "a=1", "--llm", "b.c=2", "x", "d=3"]),
        (["--llm=a=1", "b=2"], ["--llm=a=1", "--llm", "b=2"]),
        (["--llm", "a=1", "--", "b=2"], ["--llm", "a=1", "--", "b=2"]),
        (["--llm", "a=1", "-m", "x=y"], ["--llm", "a=1", "-m", "x=y"]),
        (["--", "--llm", "a=1", "b=2"], ["--", "--llm", "a=1", "b=2"]),
        (["--llm"], ["--llm"]),
        (["chat", "x=y"], ["chat", "x=y"]),
    ],
)
def test_how_llm_is_expanded(words, expanded):
    assert expanded == repeat_llm(words)


# ---- what is shown -------------------------------------------------------------------------------


def test_control_characters_are_stripped_from_text_and_kept_in_json():
    assert chat("red").out == "redevil\n"
    red = "\x1b[31mred\x1b[0m\x07\x9b2J\u202eevil"
    assert red == json.loads(chat("red", "--json").out)["text"]
    events = map(json.loads, chat("red", "--events").out.splitlines())
    assert red == "".join(event.get("content", "") for event in events)


def test_thinking_and_warnings_stay_off_standard_output():
    assert chat("think") == (0, "then words\n", "")
    assert chat("warn") == (0, "warned\n", "multitap: warning: less than asked\n")


def test_what_text_cannot_show_is_told():
    assert chat("call").err == 'multitap: the model asks for look({"a": 1})\n'
    assert "the model made image/png, 1 bytes; --json prints it" in chat("media").err
    assert "the model answered nothing" in chat("silent").err
    assert "the answer was cut" in chat("hello", "--max-tokens", "3").err


@pytest.mark.parametrize("scene", ["hello", "think", "call", "media", "warn", "loading", "silent"])
def test_json_and_events_are_as_their_schemas_say(scene):
    ran = chat(scene, "--json")
    assert ran.code == 0
    answer = valid("chat", ran.out)
    assert tuple(answer[k] for k in ("model", "backend", "stop_reason")) == (
        "one",
        "stage",
        "complete",
    )
    lines = chat(scene, "--events").out.splitlines()
    events = [valid("events", line) for line in lines]
    assert events[-1] == {"type": "stop", "stop_reason": "complete"}
    assert answer["text"] == "".join(e["content"] for e in events if e["type"] == "text")


@pytest.fixture
def started(tmp_path):
    """Starts a command that goes on for ever; the process is gone after the test."""
    processes = []

    def start(*words):
        command = [sys.executable, "-c", MAIN, *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        processes.append(subprocess.Popen(command, env=home(tmp_path), bufsize=0, **pipes))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_events_come_one_by_one(started):
    process = started("chat", "wait", "--events")
    assert select.select([process.stdout], [], [], CEILING)[0]
    assert valid("events", process.stdout.read(4096)) == {"type": "text", "content": "a part"}
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=CEILING)
    assert valid("events", rest) == {"type": "stop", "stop_reason": "cancelled"}
    assert (process.returncode, err) == (130, b"")


def test_an_interrupted_answer_is_an_error_in_json(tmp_path, started):
    bell = Doorbell(tmp_path)
    process = started("chat", f"wait {bell.path}", "--json")
    bell.wait()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=CEILING)
    assert valid("error", out)["error"]["message"] == "interrupted"
    assert (process.returncode, err) == (130, b"")


def test_json_is_ascii_where_the_output_is_not_utf8(tmp_path):
    env = home(tmp_path, PYTHONIOENCODING="ascii")
    assert (
        json.loads(run_there(tmp_path, "chat", "Grüße", "--json", env=env).out)["text"] == "Grüße"
    )
    assert run_there(tmp_path, "chat", "Grüße", env=env).out == "Gr\\xfc\\xdfe\n"


# ---- failures ------------------------------------------------------------------------------------

BROKE = (
    "multitap: stage: the engine broke. "
    "Look at the engine's log; try again with a smaller request.\n"
)


def test_a_failure_keeps_what_was_shown():
    assert chat("fail") == (1, "half an\n", BROKE)


def test_a_failure_in_json_has_the_partial_answer():
    ran = chat("fail", "--json")
    failure = valid("error", ran.out)
    assert (ran.code, ran.err) == (1, BROKE)
    assert (failure["error"]["class"], failure["error"]["backend"]) == ("EngineError", "stage")
    assert failure["partial"]["text"] == "half an"
    jsonschema.validate(failure["partial"], read_schema("chat"))


def test_a_failure_in_events_is_an_error_and_a_stop():
    ran = chat("fail", "--events")
    events = [valid("events", line) for line in ran.out.splitlines()]
    assert (ran.code, ran.err) == (1, BROKE)
    assert [event["type"] for event in events] == ["text", "error", "stop"]
    assert events[-1]["stop_reason"] == "error"


@pytest.mark.parametrize(
    ("words", "code", "class_", "message"),
    [
        (["chat", "hi", "-m", "vllm:x"], 2, "ConfigError", "pip install multitap-vllm"),
        (["chat", "hi", "--config", "/nowhere.toml"], 2, "ConfigError", "cannot be read"),
        (["chat", "hi", "-m", "stage:one", "--timeout", "-1"], 2, "ConfigError", "timeout is -1"),
        (["chat", "crash", "-m", "stage:one"], 3, "PluginError", "RuntimeError: no such scene"),
        (["chat", "--nonsense"], 2, "ConfigError", "Run `multitap chat --help`."),
        (["chat", "--seed", "x"], 2, "ConfigError", "'x' is not a valid integer"),
        (["rerank"], 2, "ConfigError", "Missing argument 'QUERY'"),
        (["embed", "-m", "stage:one"], 2, "ConfigError", "there are no texts"),
        (["models", "nowhere"], 2, "ConfigError", "There is no backend 'nowhere'"),
        (["schema", "nonsense"], 2, "ConfigError", "There are: bench, capabilities, chat"),
    ],
)
def test_every_error_is_one_line_with_a_next_step(words, code, class_, message):
    ran = run_here(*words)
    assert (code, "") == (ran.code, ran.out)
    assert ran.err.startswith("multitap: ")
    assert message in ran.err
    assert ran.err.count("\n") == 1
    in_json = run_here(words[0], "--json", *words[1:])
    assert (code, ran.err) == (in_json.code, in_json.err)
    assert class_ == valid("error", in_json.out)["error"]["class"]


def test_an_unknown_command_is_a_usage_error():
    ran = run_here("chta")
    assert (ran.code, ran.err) == (2, "multitap: No such command 'chta'. Run `multitap --help`.\n")


def test_json_and_events_exclude_each_other():
    ran = chat("hi", "--json", "--events")
    assert ran.code == 2
    assert "--json and --events exclude each other" in ran.err


def test_no_traceback_but_on_request():
    assert "Traceback" not in chat("crash").err
    assert "Traceback" in chat("crash", MULTITAP_DEBUG="traceback").err


def test_a_fault_of_our_own_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: 1 / 0)
    ran = run_here("chat")
    assert ran.code == 1
    assert "an internal fault, ZeroDivisionError" in ran.err
    assert ran.err.count("\n") == 1


def test_a_reader_that_leaves_ends_it_quietly(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    options = {"capture_output": False, "stdout": writing, "stderr": subprocess.PIPE}
    for words in (["chat", "hello"], ["chat", "fail", "--json"], ["chat", "--help"]):
        ran = run_there(tmp_path, *words, **options)
        assert (ran.code, ran.err) == (
            1 if "fail" in words else 0,
            BROKE if "fail" in words else "",
        )
    os.close(writing)


@pytest.mark.parametrize("form", [[], ["--json"], ["--events"]])
def test_a_full_disk_is_told(tmp_path, form):
    full = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); {MAIN}"
    with (tmp_path / "out").open("w") as file:
        options = {"capture_output": False, "stdout": file, "stderr": subprocess.PIPE}
        ran = run_there(tmp_path, "chat", "hello", *form, code=full, **options)
    message = "standard output cannot be written: File too large. Free some space, or write"
    assert (1, f"multitap: {message} elsewhere.\n") == (ran.code, ran.err)


def test_a_closed_output_is_told(tmp_path):
    again = f"os.execv(sys.executable, [sys.executable, '-c', {MAIN!r}, *sys.argv[1:]])"
    ran = run_there(tmp_path, "chat", "hello", code=f"import os, sys; os.close(1); {again}")
    message = "standard output is closed. Write to a terminal, file or pipe."
    assert (1, "", f"multitap: {message}\n") == ran
