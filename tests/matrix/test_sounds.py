"""Sounds: played to a model; and what is refused beside them, before anything is sent."""

from __future__ import annotations

import base64
import io
import re
import wave
from functools import partial

import pytest
from matrix_lines import IN_PROCESS, has, lacks
from matrix_media import PNG, RATE, WAV, WORDS
from matrix_wires import Case, Replay, ask, config_of, said

from multitap.errors import NotSupported
from multitap.events import AudioData
from multitap.messages import Audio, Document, Image

PDF = b"%PDF-1.4\n%%EOF\n"
FLAC = b"fLaC\0\0\0\x22"


def played(plugin, turn):
    """The bytes of the sound in a message that a server was sent."""
    if plugin == "ollama":  # beside the words, where pictures are too
        (data,) = turn["images"]
        assert turn["content"] == WORDS
        return base64.b64decode(data, validate=True)
    text, sound = turn["content"]
    assert text == {"type": "text", "text": WORDS}
    assert (sound["type"], sound["input_audio"]["format"]) == ("input_audio", "wav")
    return base64.b64decode(sound["input_audio"]["data"], validate=True)


@has("audio input")
def test_a_sound_arrives_byte_by_byte_in_the_servers_form(world, plugin):
    raw = None if plugin == "echo" else said(plugin, "A", " tone.")
    seen = ask(world, plugin, Case([WORDS, Audio(WAV)], raw=raw))
    assert seen.answer.warnings == ()
    if seen.sent is None:
        assert AudioData(WAV, "audio/wav") in seen.events
        return
    (turn,) = seen.sent["messages"]
    data = played(plugin, turn)
    assert data == WAV
    with wave.open(io.BytesIO(data)) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (RATE, RATE // 10)
    assert seen.answer.text == "A tone."


def refusal(world, plugin, part, section):
    """The error of a question with this part, of which nothing is sent."""
    if plugin in IN_PROCESS:
        return refused(world(config_of(plugin, **section)).stream, part)
    with Replay(said(plugin, "no")) as server:
        here = world(config_of(plugin, endpoint=server.url, **section))
        refused(partial(here.call, "chat"), part)
        error = refused(here.stream, part)
        assert server.requests == []
    return error


def refused(ask, part):
    with pytest.raises(NotSupported) as caught:
        ask([WORDS, part])
    return caught.value


@lacks("audio input")
def test_a_sound_that_no_model_can_hear_is_refused(world, plugin):
    error = refusal(world, plugin, Audio(WAV), {})
    assert (error.backend, error.retryable) == (plugin, False)
    assert re.search("sound|audio", error.message)
    assert error.hint.endswith(("as text.", "a model that can see or hear."))


REFUSED = {
    "echo, a document": ("echo", Document(PDF, "application/pdf"), {}),
    "llamacpp, a picture": ("llamacpp", Image(PNG, "image/png"), {}),
    "llamacpp, a document": ("llamacpp", Document(PDF, "application/pdf"), {}),
    "llamaserver, FLAC": ("llamaserver", Audio(FLAC, "audio/flac"), {}),
    "llamaserver, a document": ("llamaserver", Document(PDF, "application/pdf"), {}),
    "lmstudio, a picture's address": ("lmstudio", Image(url="https://box.example/a.png"), {}),
    "lmstudio, a document": ("lmstudio", Document(PDF, "application/pdf"), {}),
    "ollama, a picture's address": ("ollama", Image(url="https://box.example/a.png"), {}),
    "ollama, a document": ("ollama", Document(PDF, "application/pdf"), {}),
    "openai, FLAC": ("openai", Audio(FLAC, "audio/flac"), {}),
    "openai, a sound in a response": ("openai", Audio(WAV), {"api": "responses"}),
    "tgi, a document": ("tgi", Document(PDF, "application/pdf"), {}),
    "vllm, AMR": ("vllm", Audio(b"#!AMR\n", "audio/amr"), {}),
    "vllm, a document": ("vllm", Document(PDF, "application/pdf"), {}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_server_does_not_take_is_refused_before_it_is_sent(world, case):
    plugin, part, section = REFUSED[case]
    error = refusal(world, plugin, part, section)
    assert (error.backend, error.retryable) == (plugin, False)
    assert error.hint.endswith(".")
    assert error.hint in str(error)
