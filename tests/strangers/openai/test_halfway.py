"""What comes bit by bit: the first of it is there before the last is made, there as here."""

from __future__ import annotations

import pytest
from openai_client import SAID, WAV, transcribe
from scripted_openai import ScriptedOpenAI
from scripted_openai_media import RATE, samples_of

from multitap.capabilities.transcription import Transcript, TranscriptDelta
from multitap.testing import Gate, hold

LONG = "Hello. " * 40


@pytest.fixture
def name():
    return "openai"


class Halfway:
    """Lets a server go on behind the first piece that came, and keeps that one."""

    def __init__(self):
        self.gate = Gate()
        self.first = None

    def __call__(self, found, stream=None):
        if self.first is None:
            self.first = found[0]
            self.gate.open()
        return True


@pytest.fixture
def halfway():
    return Halfway()


@pytest.fixture
def server(halfway):
    with ScriptedOpenAI(halfway=[hold(halfway.gate)]) as found:
        yield found


def test_the_client_hears_the_first_sound_before_the_last_is_made(world, server, halfway):
    asked = {"model": "tiny", "voice": "alloy", "response_format": "pcm", "input": LONG}

    def call(client):
        return client.audio.speech.with_streaming_response.create(**asked)

    pieces = world.hear(server.url, call, lambda stream: stream.iter_bytes(), halfway)
    assert halfway.first == samples_of(LONG)[:100]
    assert b"".join(pieces) == samples_of(LONG)


def test_the_plugin_hears_the_first_sound_before_the_last_is_made(server, called, halfway):
    pieces = called("speak_stream", LONG, voice="alloy", format="pcm", after=halfway)
    assert (halfway.first.data, halfway.first.sample_rate) == (samples_of(LONG)[:100], RATE)
    assert b"".join(piece.data for piece in pieces) == samples_of(LONG)


def test_the_client_is_told_the_first_word_before_the_last_is_heard(world, server, halfway):
    call = transcribe(response_format="json", stream=True)
    events = world.hear(server.url, call, lambda stream: stream, halfway)
    assert (halfway.first.delta, events[-1].text) == ("Good", SAID)


def test_the_plugin_tells_the_first_word_before_the_last_is_heard(server, called, halfway):
    pieces = called("transcribe_stream", WAV, after=halfway)
    assert halfway.first == TranscriptDelta("Good")
    assert isinstance(pieces[-1], Transcript)
    assert pieces[-1].text == SAID
