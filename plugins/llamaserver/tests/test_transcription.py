"""Transcription: the form that is sent, and the transcript in OpenAI's words."""

from __future__ import annotations

import io
import wave

import pytest
from llamaserver_here import llamaserver_config, llamaserver_registry

from multitap.capabilities.transcription import Transcript, TranscriptDelta
from multitap.errors import NotSupported
from multitap.events import Usage
from multitap.testing import WORLDS, Server, json, repeat, request, sse

USAGE = {"type": "tokens", "input_tokens": 50, "output_tokens": 3, "total_tokens": 53}
DONE = {"type": "transcript.text.done", "text": "Hello there", "usage": USAGE}
WHOLE = Transcript(text="Hello there", usage=Usage.reported(50, 3, total_tokens=53))


def wav():
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", "not compressed"))
        sound.writeframes(b"\0\1" * 1600)
    return file.getvalue()


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def make(request):
    return lambda server: request.param(llamaserver_config(server.url), llamaserver_registry())


def test_a_whole_transcript(make):
    with Server([request, json(DONE)]) as server, make(server) as world:
        assert world.call("transcribe", wav(), language="en") == WHOLE
    sent = server.requests[0]
    assert sent.path == "/v1/audio/transcriptions"
    assert b'name="response_format"\r\n\r\njson\r\n' in sent.body
    assert b'name="language"\r\n\r\nen\r\n' in sent.body
    assert b'name="file"; filename="sound.wav"' in sent.body


def test_a_stream(make):
    deltas = [{"type": "transcript.text.delta", "delta": word} for word in ("Hello", " there")]
    with Server([request, sse([*deltas, DONE])]) as server, make(server) as world:
        seen, _ = world.items("transcribe_stream", wav())
    assert seen == [TranscriptDelta("Hello"), TranscriptDelta(" there"), WHOLE]
    assert b'name="stream"\r\n\r\ntrue\r\n' in server.requests[0].body


@pytest.mark.parametrize("options", [{"timestamps": "segment"}, {"translate": True}])
def test_what_llama_server_does_not_have_is_refused_before_it(make, options):
    with Server(request) as server, make(server) as world:
        with pytest.raises(NotSupported, match=f"without {next(iter(options))}"):
            world.call("transcribe", wav(), **options)
        assert server.requests == []


@pytest.mark.parametrize(
    "message",
    [
        "audio input is not supported - hint: if this is unexpected, you may need the mmproj",
        "The current model does not support audio input.",
    ],
)
def test_a_model_that_takes_no_sound_says_so(make, message):
    error = {"code": 500, "message": message, "type": "server_error"}
    server = Server(repeat(request, json({"error": error}, 500)))
    with server, make(server) as world, pytest.raises(NotSupported, match="--mmproj"):
        world.call("transcribe", wav())
