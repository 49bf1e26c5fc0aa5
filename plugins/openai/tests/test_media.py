"""Sounds, judgements and pictures: what OpenAI is asked for, and what others are."""

from __future__ import annotations

import wave

import pytest
from openai_here import openai_config, openai_registry
from scripted_openai import ScriptedOpenAI
from scripted_openai_media import BAD, JUDGED, PNG, form_of, wav_of

from multitap.artifacts import Sound
from multitap.capabilities.image import ImageRequest
from multitap.capabilities.speech import SpeechRequest
from multitap.capabilities.transcription import Segment, Transcript, TranscriptDelta
from multitap.errors import BadRequest, NotSupported
from multitap.events import Usage
from multitap.testing import WORLDS
from multitap.work import Backend
from multitap_openai.image import multitap_image
from multitap_openai.moderation import multitap_moderation
from multitap_openai.speech import VOICES, multitap_speech
from multitap_openai.transcription import multitap_transcription

OURS = {"organization": "org-1", "project": "proj-1"}


@pytest.fixture
def server():
    with ScriptedOpenAI() as found:
        yield found


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(server, request):
    config = openai_config(server.url, server="openai", api_key="sesame", **OURS)
    with request.param(config, openai_registry()) as one:
        yield one


def test_every_request_is_counted_for_the_account(server, world):
    world.call("speak", "hi")
    world.call("transcribe", wav_of("hi"))
    world.call("moderate", "hi")
    world.call("draw", "a cat", model="openai:gpt-image-1")
    for sent in server.requests:
        assert sent.headers["authorization"] == "Bearer sesame"
        assert sent.headers["openai-organization"] == "org-1"
        assert sent.headers["openai-project"] == "proj-1"


def test_what_is_spoken_is_a_sound_in_a_file(server, world, tmp_path):
    sound = world.call("speak", "Hello there", voice="ash", speed=1.25, instructions="softly")
    with wave.open(str(sound.save(tmp_path / "hello.wav"))) as file:
        assert (file.getframerate(), file.getnframes()) == (24000, len("Hello there"))
    assert server.requests[0].json() == {
        "model": "tiny",
        "input": "Hello there",
        "voice": "ash",
        "response_format": "wav",
        "speed": 1.25,
        "instructions": "softly",
    }


def test_bare_samples_come_in_pieces_and_say_their_rate(server, world, tmp_path):
    pieces, _ = world.items("speak_stream", "Hello. " * 40, format="pcm")
    assert {(piece.mime_type, piece.sample_rate) for piece in pieces} == {("audio/pcm", 24000)}
    assert all(len(piece.data) % 2 == 0 for piece in pieces)
    path = Sound.of(pieces).save(tmp_path / "hello.wav")
    assert world.call("transcribe", path).text == "Hello. " * 40
    assert server.requests[0].json()["voice"] == "alloy"


def test_a_voice_that_there_is_not_is_refused(world):
    with pytest.raises(BadRequest, match="Unknown voice nobody"):
        world.call("speak", "hi", voice="nobody")
    assert "alloy" in [voice.name for voice in world.call("voices")]
    with pytest.raises(BadRequest, match="at most 4096"):
        world.call("speak", "a" * 4097)


def test_a_transcript_comes_whole_or_in_pieces(world):
    usage = Usage.reported(10, 2)
    whole = Transcript(text="Hello there", usage=usage)
    assert world.call("transcribe", wav_of("Hello there")) == whole
    seen, _ = world.items("transcribe_stream", wav_of("Hello there"))
    assert seen == [TranscriptDelta("Hello"), TranscriptDelta(" there"), whole]


def test_a_transcript_with_times(world):
    found = world.call("transcribe", wav_of("Hello there"), timestamps="segment")
    assert (found.language, found.duration) == ("english", 1.1)
    assert found.segments == (Segment(0.0, 1.1, "Hello there"),)
    words = world.call("transcribe", wav_of("Hello there"), timestamps="word").segments
    assert [word.text for word in words] == ["Hello", "there"]


def test_a_translation_has_a_path_of_its_own(server, world):
    found = world.call("transcribe", wav_of("Guten Tag"), translate=True, prompt="A greeting")
    assert found.text == "Good day"
    assert server.requests[0].path == "/v1/audio/translations"
    assert form_of(server.requests[0])["prompt"] == ["A greeting"]
    seen, _ = world.items("transcribe_stream", wav_of("Guten Tag"), translate=True)
    assert seen == [TranscriptDelta("Good day"), Transcript(text="Good day")]


def test_judgements_by_category(world):
    good, bad = world.call("moderate", ["good day", "you idiot, blood"])
    assert (bool(good), bool(bad)) == (False, True)
    assert [name for name, found in bad.categories.items() if found] == list(BAD)
    assert good.scores == dict.fromkeys(JUDGED, 0.01)


def test_pictures_and_what_they_cost(server, world):
    pictures = world.call("draw", "a red cat", model="openai:gpt-image-1", n=2, size="8x8")
    assert [picture.data for picture in pictures] == [PNG + b"\0", PNG + b"\1"]
    assert pictures.usage == Usage.reported(3, 200)
    assert "response_format" not in server.requests[0].json()
    world.call("draw", "a cat", model="openai:dall-e-3")
    assert server.requests[1].json()["response_format"] == "b64_json"


def test_a_picture_that_the_server_keeps_is_fetched_from_it(server, world):
    assert world.call("draw", "a cat")[0].data == PNG
    assert [sent.path for sent in server.requests] == ["/v1/images/generations", "/files/cat.png"]


def test_pictures_are_changed(world):
    pictures = world.call("draw", "a hat", sources=[PNG, PNG])
    assert pictures[0].data == PNG + b"\2"


def compatible(**settings):
    endpoint = "http://127.0.0.1:8080/api/v3"
    return Backend(id="b", provider="openai", endpoint=endpoint, settings=settings)


def test_other_servers_are_asked_for_what_they_may_know():
    speech = multitap_speech(compatible())
    asked = SpeechRequest(model="kokoro", text="a" * 5000)
    assert speech.speak(asked).call.path == "/audio/speech"
    assert "voice" not in speech.speak(asked).call.body.value
    assert multitap_speech(compatible(voice="af")).speak(asked).call.body.value["voice"] == "af"
    with pytest.raises(NotSupported):
        speech.voices("kokoro")
    steps = multitap_image(compatible()).draw(ImageRequest(model="sd", prompt="a cat")).steps()
    assert next(steps).body.value["response_format"] == "b64_json"
    steps.close()
    assert multitap_transcription(compatible(prefix="/v1")).path == "/v1/audio"
    assert multitap_moderation(compatible()).path == "/moderations"


def test_the_voices_of_openai():
    assert len({voice.name for voice in VOICES}) == len(VOICES)
    assert multitap_speech(compatible(server="openai")).known == VOICES
