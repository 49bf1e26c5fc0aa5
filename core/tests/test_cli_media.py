"""``multitap transcribe``, ``speak``, ``voices``, ``moderate``, ``draw`` and ``detokenize``."""

from __future__ import annotations

import io
import os
import struct
import sys
import wave

import letters
import pytest
from command_line import Terminal, run_here, run_in, valid
from media_stage import SAID, MediaStage

from multitap.artifacts import Sound
from multitap.capabilities.transcription import TranscriptDelta
from multitap.cli import main
from multitap.errors import EngineError
from multitap.registry import Registry
from multitap.runtime import Runtime

ECHO = ("-m", "echo:echo")


def run(*words, stdin=b""):
    return run_in({"MULTITAP_CONFIG": os.devnull}, *words, stdin=stdin, plugins=Registry())


def run_bytes(monkeypatch, *words, stdin=b""):
    """The exit code, and standard output as it is."""
    monkeypatch.setenv("MULTITAP_CONFIG", os.devnull)
    streams = [io.TextIOWrapper(io.BytesIO(data)) for data in (stdin, b"", b"")]
    for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
        monkeypatch.setattr(sys, name, stream)
    code = main(words, registry=Registry())
    return code, streams[1].buffer.getvalue()


@pytest.fixture(scope="module")
def sound():
    with Runtime({}) as rt:
        return rt.speak("hello world", model="echo:echo").data


@pytest.fixture
def file(sound, tmp_path):
    path = tmp_path / "hello.wav"
    path.write_bytes(sound)
    return str(path)


# ---- sounds --------------------------------------------------------------------------------------


def test_transcribe_a_file_or_standard_input(file, sound):
    assert run("transcribe", *ECHO, file) == (0, "hello world\n", "")
    assert run("transcribe", *ECHO, "-", stdin=sound).out == "hello world\n"
    found = valid("transcribe", run("transcribe", *ECHO, file, "--json").out)
    assert (found["text"], found["segments"]) == ("hello world", [])
    found = valid("transcribe", run("transcribe", *ECHO, file, "--json", "--words").out)
    assert [segment["text"] for segment in found["segments"]] == ["hello", "world"]
    table = run("transcribe", *ECHO, file, "--timestamps").out
    assert table.split() == ["FROM", "TO", "TEXT", "0.00", "0.00", "hello", "world"]


def test_transcribe_passes_its_options_on(file):
    stage = MediaStage()
    stage.scripts = [[SAID]]
    words = ["--language", "en", "--prompt", "Ada", "--temperature", "0", "--translate"]
    environ = {"MULTITAP_CONFIG": os.devnull}
    plugins = letters.registry(acme=stage)
    ran = run_in(environ, "transcribe", "-m", "acme:a", file, *words, plugins=plugins)
    assert (ran.code, ran.out) == (0, "hello\n")  # which came as a whole
    asked = stage.asked[0]
    assert (asked.language, asked.prompt, asked.temperature) == ("en", "Ada", 0)
    assert (asked.translate, asked.stream, asked.timestamps) == (True, True, None)


def test_what_was_heard_is_shown_though_the_rest_fails(file):
    stage = MediaStage()
    stage.scripts = [[TranscriptDelta("half\x1b[2J a"), EngineError("It broke")]]
    plugins = letters.registry(acme=stage)
    ran = run_in(
        {"MULTITAP_CONFIG": os.devnull}, "transcribe", "-m", "acme:a", file, plugins=plugins
    )
    assert (ran.code, ran.out) == (1, "half a\n")
    assert "It broke" in ran.err


def test_speak_into_a_file(tmp_path):
    path = tmp_path / "hello.wav"
    ran = run("speak", *ECHO, "hello world", "-o", str(path), "--speed", "0.5")
    assert (ran.code, ran.out) == (0, f"{path} (audio/wav, 66 B)\n")
    with wave.open(str(path)) as read:
        assert (read.getframerate(), read.getnframes()) == (8000, len("hello world"))
    found = valid("speak", run("speak", *ECHO, "hi", "-o", str(path), "--json").out)
    facts = {"file": str(path), "mime_type": "audio/wav", "sample_rate": 16000, "bytes": 48}
    assert found == facts
    found = run("speak", *ECHO, "-o", str(tmp_path / "a.pcm"), "--json", stdin=b"hi\n").out
    assert (valid("speak", found)["mime_type"], valid("speak", found)["bytes"]) == ("audio/pcm", 4)


def test_speak_to_standard_output(monkeypatch, sound):
    words = ("speak", *ECHO, "hello world", "-o", "-")
    assert run_bytes(monkeypatch, *words) == (0, sound)
    code, bare = run_bytes(monkeypatch, *words, "--format", "pcm")
    assert (code, Sound(bare, "audio/pcm", 16000).wav()) == (0, sound)


def test_a_terminal_is_not_given_bytes(tmp_path):
    for words in (["speak", "hi", "-o", "-"], ["draw", "a cat", "-o", "-"]):
        with Terminal(tmp_path, *words) as terminal:
            terminal.expect("standard output is a terminal")
            assert terminal.end() == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["transcribe", "none.wav"], "none.wav cannot be read"),
        (["transcribe", "-"], "The file is empty"),
        (["transcribe"], "Missing argument"),
        (["speak", "hi"], "--output"),
        (["speak", "-o", "a.wav"], "there is no text"),
        (["speak", "hi", "-o", "-", "--json"], "exclude each other"),
        (["speak", "hi", "-o", "no/such/a.wav"], "there is no folder"),
        (["draw", "-o", "cat.png"], "there is no text"),
        (["draw", "a cat", "-o", "-", "-n", "2"], "one picture"),
        (["draw", "a cat", "-o", "a.png", "-n", "0"], "n is 0"),
        (["draw", "a cat", "-o", "a.png", "--size", "big"], "WIDTHxHEIGHT"),
        (["draw", "a cat", "-o", "a.png", "--source", "none.png"], "none.png cannot be read"),
        (["moderate"], "there are no texts"),
        (["detokenize"], "there are no ids"),
        (["detokenize", "one"], "'one' is no id"),
        (["detokenize", "--", "-1"], "'-1' is no id"),
    ],
)
def test_wrong_words_are_told_with_exit_code_2(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = run(*words[:1], *ECHO, *words[1:])
    assert (ran.code, said in ran.err) == (2, True), ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_backend_that_cannot_is_told_with_exit_code_1():
    ran = run_here("speak", "-m", "stage:one", "hi", "-o", "a.wav")
    assert (ran.code, ran.out) == (1, "")
    assert "stage has no speech" in ran.err


def test_voices():
    assert run("voices", *ECHO).out == "NAME  TITLE  LANGUAGES\necho  Echo\n"
    found = valid("voices", run("voices", *ECHO, "--json").out)
    assert found == [{"name": "echo", "title": "Echo", "languages": []}]


# ---- judgements, tokens, pictures ----------------------------------------------------------------


def test_moderate():
    ran = run("moderate", *ECHO, stdin=b"a fine day\nyou stupid idiot\n")
    assert ran.out == "FLAGGED     TEXT\nno          a fine day\nharassment  you stupid idiot\n"
    found = valid("moderate", run("moderate", *ECHO, "a fine day", "kill", "--json").out)
    assert [result["flagged"] for result in found["results"]] == [False, True]
    assert found["results"][1]["text"] == "kill"
    assert found["results"][1]["scores"] == {"harassment": 0.0, "violence": 1.0}


def test_detokenize():
    found = valid("tokenize", run("tokenize", *ECHO, "two words", "--json").out)
    ids = [str(number) for number in found["ids"]]
    assert run("detokenize", *ECHO, *ids).out == "two words\n"
    piped = run("detokenize", *ECHO, "--json", stdin="\n".join(ids).encode())
    assert valid("detokenize", piped.out) == {"text": "two words"}


def size_of(png):
    return struct.unpack(">II", png[16:24])


def test_draw(tmp_path, monkeypatch):
    path = tmp_path / "cat.png"
    ran = run("draw", *ECHO, "a cat", "-o", str(path), "--size", "8x4")
    assert (ran.code, ran.out) == (0, f"{path} (image/png, {path.stat().st_size} B)\n")
    assert size_of(path.read_bytes()) == (8, 4)
    ran = run("draw", *ECHO, "-n", "2", "-o", str(path), "--json", stdin=b"a cat\n")
    found = valid("draw", ran.out)["pictures"]
    assert [row["file"] for row in found] == [str(tmp_path / f"cat-{n}.png") for n in (1, 2)]
    code, drawn = run_bytes(monkeypatch, "draw", *ECHO, "a cat", "-o", "-", "--size", "8x4")
    assert (code, drawn) == (0, path.read_bytes())


def test_draw_passes_its_sources_on(tmp_path):
    source = tmp_path / "cat.png"
    source.write_bytes(b"\x89PNG\r\n\x1a\n")
    stage = MediaStage()
    stage.scripts = [[EngineError("It broke")]]
    words = ["--source", str(source), "--source", str(source), "--quality", "high"]
    environ, plugins = {"MULTITAP_CONFIG": os.devnull}, letters.registry(acme=stage)
    place = tmp_path / "hat.png"
    ran = run_in(
        environ, "draw", "-m", "acme:a", "a hat", "-o", str(place), *words, plugins=plugins
    )
    assert (ran.code, place.exists()) == (1, False)
    assert [sent.source for sent in stage.asked[0].sources] == [source, source]
    assert stage.asked[0].quality == "high"
