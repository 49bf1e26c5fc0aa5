"""Sounds, judgements and pictures: the client and the plugin send, and are given, the same."""

from __future__ import annotations

import base64
import io
import operator
import wave

import openai
import pytest
from openai.types.audio import TranscriptionStreamEvent
from openai_client import SAID, WAV, known, transcribe
from pydantic import TypeAdapter
from scripted_openai_media import PNG, RATE, form_of, samples_of, text_of_wav, wav_of

from multitap import errors
from multitap.capabilities.transcription import Segment, TranscriptDelta
from multitap.testing import json

pytestmark = pytest.mark.parametrize("name", ["openai"], indirect=True)

PIECE = TypeAdapter(TranscriptionStreamEvent)
NOISE = b"RIFF\x04\0\0\0WAVE"
PICTURES = [PNG + b"first", PNG + b"second"]


@pytest.fixture
def sent(server):
    """The forms, or the JSON, of the client's request and of the plugin's."""

    def bodies():
        form = "multipart/form-data"
        return [
            form_of(one) if one.headers["content-type"].startswith(form) else one.json()
            for one in server.requests
        ]

    return bodies


def shown(usage):
    return (usage.input_tokens, usage.output_tokens, usage.total_tokens)


# ---- transcription -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"language": "en", "prompt": "A greeting", "temperature": 0.0}],
    ids=["plain", "every option"],
)
def test_a_sound_is_written_down_alike(world, server, called, sent, options):
    found = known(world.ask(server.url, transcribe(response_format="json", **options)))
    answer = called("transcribe", WAV, **options)
    assert found.text == answer.text == SAID
    assert shown(found.usage) == shown(answer.usage) == (10, 6, 16)
    theirs, mine = sent()
    assert theirs == mine
    assert mine["file"] == [WAV]


def test_a_file_is_written_down_alike(world, server, called, sent, tmp_path):
    path = tmp_path / "sound.wav"
    path.write_bytes(WAV)
    found = world.ask(server.url, transcribe(path.read_bytes(), response_format="json"))
    assert found.text == called("transcribe", path).text
    assert sent()[0] == sent()[1]


@pytest.mark.parametrize("timestamps", ["segment", "word"])
def test_times_are_the_same(world, server, called, sent, timestamps):
    how = {"response_format": "verbose_json", "timestamp_granularities": [timestamps]}
    found = known(world.ask(server.url, transcribe(**how)))
    answer = called("transcribe", WAV, timestamps=timestamps)
    rows = found.segments if timestamps == "segment" else found.words
    text_of = operator.attrgetter("text" if timestamps == "segment" else "word")
    stretches = tuple(Segment(row.start, row.end, text_of(row).strip()) for row in rows)
    assert len(stretches) == {"segment": 1, "word": 6}[timestamps]
    assert answer.segments == stretches
    assert (found.language, found.duration) == (answer.language, answer.duration)
    assert sent()[0] == sent()[1]


def test_a_transcript_comes_in_the_same_pieces(world, server, called, sent):
    events = world.ask(server.url, transcribe(response_format="json", stream=True))
    for event in events:
        PIECE.validate_python(event.model_dump(exclude_unset=True))
    *deltas, done = events
    *pieces, whole = called("transcribe_stream", WAV)
    assert [TranscriptDelta(event.delta) for event in deltas] == pieces
    assert len(pieces) == 6
    assert (done.type, done.text) == ("transcript.text.done", whole.text)
    assert shown(done.usage) == shown(whole.usage) == (10, 6, 16)
    assert {**sent()[0], "stream": ["true"]} == sent()[1]


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the client's own word for it
def test_a_translation_is_the_same(world, server, called, sent):
    german = wav_of("Guten Tag, Welt")
    asked = {"model": "tiny", "file": ("sound.wav", german), "response_format": "json"}
    found = world.ask(server.url, lambda client: client.audio.translations.create(**asked))
    assert found.text == called("transcribe", german, translate=True).text == "Good day, Welt"
    assert {one.path for one in server.requests} == {"/v1/audio/translations"}
    assert sent()[0] == sent()[1]


def test_noise_is_refused_alike(world, server, called):
    with pytest.raises(openai.BadRequestError) as theirs:
        world.ask(server.url, transcribe(NOISE))
    with pytest.raises(errors.BadRequest) as mine:
        called("transcribe", NOISE)
    assert theirs.value.body["message"] == mine.value.message
    assert "corrupted" in mine.value.message


# ---- speech --------------------------------------------------------------------------------------


def speak(text=SAID, **options):
    asked = {"model": "tiny", "voice": "alloy", "response_format": "wav", "input": text, **options}
    return lambda client: client.audio.speech.create(**asked)


@pytest.mark.parametrize("form", ["wav", "pcm"])
def test_a_sound_is_the_same(world, server, called, sent, form):
    how = {"speed": 1.25, "instructions": "softly"}
    found = world.ask(server.url, speak(response_format=form, **how))
    sound = called("speak", SAID, voice="alloy", format=form, **how)
    assert found.content == sound.data == (WAV if form == "wav" else samples_of(SAID))
    assert found.response.headers["content-type"] == sound.mime_type == f"audio/{form}"
    assert sent()[0] == sent()[1]


def test_what_the_client_was_given_is_what_the_plugin_writes_down(world, server, called):
    spoken = world.ask(server.url, speak()).content
    with wave.open(io.BytesIO(spoken)) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (RATE, len(SAID))
    assert called("transcribe", spoken).text == SAID
    again = called("speak", SAID, voice="alloy").data
    assert world.ask(server.url, transcribe(again)).text == text_of_wav(again) == SAID


def test_a_voice_that_there_is_not_is_refused_alike(world, server, called):
    with pytest.raises(openai.BadRequestError) as theirs:
        world.ask(server.url, speak(voice="nobody"))
    with pytest.raises(errors.BadRequest) as mine:
        called("speak", SAID, voice="nobody")
    assert theirs.value.body["message"] == mine.value.message == "Unknown voice nobody"


# ---- judgements ----------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", [["good day", "you idiot, blood"], ["blood"]])
def test_texts_are_judged_alike(world, server, called, sent, texts):
    asked = {"model": "tiny", "input": texts}
    found = known(world.ask(server.url, lambda client: client.moderations.create(**asked)))
    judged = called("moderate", texts)
    assert [row.flagged for row in found.results] == [one.flagged for one in judged]
    plain = [row.model_dump(by_alias=True) for row in found.results]
    assert [row["categories"] for row in plain] == [one.categories for one in judged]
    assert [row["category_scores"] for row in plain] == [one.scores for one in judged]
    assert plain[-1]["categories"]["violence/graphic"] is True
    assert sent()[0] == sent()[1]


def test_one_text_is_no_list(world, server, called):
    (row,) = world.ask(server.url, lambda c: c.moderations.create(input="you idiot")).results
    judged = called("moderate", "you idiot")
    assert (row.flagged, row.categories.harassment) == (True, True)
    assert (judged.flagged, judged.categories["harassment"]) == (True, True)


# ---- pictures ------------------------------------------------------------------------------------


def draw(prompt="a red cat", **options):
    asked = {"model": "gpt-image-1", "prompt": prompt, **options}
    return lambda client: client.images.generate(**asked)


def decoded(found):
    return [base64.b64decode(row.b64_json) for row in found.data]


@pytest.mark.parametrize(
    "options", [{"n": 1}, {"n": 2, "size": "1024x1024", "quality": "low"}], ids=["one", "two"]
)
def test_pictures_are_the_same(world, server, called, sent, options):
    found = known(world.ask(server.url, draw(response_format="b64_json", **options)))
    pictures = called("draw", "a red cat", model="openai:gpt-image-1", **options)
    assert decoded(found) == [picture.data for picture in pictures]
    assert decoded(found) == [PNG + bytes([number]) for number in range(options["n"])]
    assert shown(found.usage) == shown(pictures.usage)
    assert sent()[0] == sent()[1]


def test_a_picture_that_is_a_link_is_fetched_by_the_plugin(world, server, called):
    (row,) = world.ask(server.url, draw(model="tiny")).data
    assert row.url == f"{server.url}/files/cat.png"
    server.refusals = [json({"created": 1, "data": [{"url": row.url}]})]
    assert called("draw", "a red cat")[0].data == PNG


def test_pictures_are_changed_alike(world, server, called, sent):
    files = [(f"{place}.png", data, "image/png") for place, data in enumerate(PICTURES)]
    asked = {"model": "tiny", "prompt": "a hat", "n": 1, "response_format": "b64_json"}
    found = known(world.ask(server.url, lambda c: c.images.edit(image=files, **asked)))
    pictures = called("draw", "a hat", sources=PICTURES)
    assert decoded(found) == [picture.data for picture in pictures] == [PNG + b"\2"]
    assert shown(found.usage) == shown(pictures.usage) == (202, 100, 302)
    theirs, mine = sent()
    assert theirs == mine
    assert mine["image[]"] == PICTURES


def test_a_picture_that_may_not_be_is_refused_alike(world, server, called):
    with pytest.raises(openai.BadRequestError) as theirs:
        world.ask(server.url, draw("a lot of blood"))
    with pytest.raises(errors.ContentFiltered) as mine:
        called("draw", "a lot of blood", model="openai:gpt-image-1")
    assert (theirs.value.code, mine.value.kind) == ("moderation_blocked", "content_filtered")
    assert theirs.value.body["message"] == mine.value.message
