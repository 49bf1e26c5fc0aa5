"""Transcription: the form that is sent, and vLLM's own kind of stream."""

from __future__ import annotations

import io
import wave

import pytest
from scripted_vllm import ScriptedVllm, form_of
from vllm_here import vllm_config, vllm_registry

from multitap.capabilities.transcription import (
    Segment,
    Transcript,
    TranscriptDelta,
    TranscriptionRequest,
)
from multitap.errors import NotSupported
from multitap.events import Usage
from multitap.testing import WORLDS
from multitap.work import Backend, File
from multitap_vllm.calls import SILENCE
from multitap_vllm.transcription import multitap_transcription


def wav_of(text):
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", "not compressed"))
        sound.writeframes(b"".join(bytes((0, byte)) for byte in text.encode()))
    return file.getvalue()


@pytest.fixture
def server():
    with ScriptedVllm() as found:
        yield found


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(server, request):
    with request.param(vllm_config(server.url), vllm_registry()) as one:
        yield one


def test_a_whole_transcript_tells_how_long_the_sound_was(world):
    found = world.call("transcribe", wav_of("Hello there"))
    assert found == Transcript(text="Hello there", duration=2.0)


def test_a_stream_tells_its_tokens(server, world):
    seen, _ = world.items("transcribe_stream", wav_of("Hello there"), language="en")
    assert seen == [
        TranscriptDelta("Hello"),
        TranscriptDelta(" there"),
        Transcript(text="Hello there", usage=Usage.reported(9, 2, total_tokens=11)),
    ]
    form = form_of(server.requests[0])
    assert (form["stream"], form["stream_include_usage"]) == (["true"], ["true"])
    assert form["language"] == ["en"]


def test_a_translation_is_streamed_and_told_its_language(server, world):
    seen, _ = world.items("transcribe_stream", wav_of("Hi"), translate=True, language="de")
    assert seen[-1].text == "Hi"
    sent = server.requests[0]
    assert (sent.path, form_of(sent)["language"]) == ("/v1/audio/translations", ["de"])


def test_times_of_segments_and_none_of_words(world):
    found = world.call("transcribe", wav_of("Hi"), timestamps="segment")
    assert found.segments == (Segment(0.0, 1.5, "Hi"),)
    assert (found.language, found.duration) == ("en", 1.5)
    with pytest.raises(NotSupported, match="no times of words"):
        world.call("transcribe", wav_of("Hi"), timestamps="word")


def test_a_model_that_cannot_hear_says_so(server, world):
    server.without = ("/v1/audio/transcriptions",)
    with pytest.raises(NotSupported) as caught:
        world.call("transcribe", wav_of("Hi"))
    assert caught.value.kind == "route_missing"


def test_a_request_may_stand_in_the_queue():
    asked = TranscriptionRequest(model="m", audio=File("a.wav", wav_of("Hi"), "audio/wav"))
    work = multitap_transcription(Backend(id="box", provider="vllm")).transcribe(asked)
    assert work.call.first_byte == SILENCE
