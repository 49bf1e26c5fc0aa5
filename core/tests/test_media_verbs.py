"""Transcription, speech, moderation and images through both runtimes."""

from __future__ import annotations

import io
import struct
import threading

import letters
import pytest

from multitap.artifacts import Pictures, Sound
from multitap.capabilities.moderation import Judgement
from multitap.capabilities.speech import Voice
from multitap.capabilities.transcription import Segment, Transcript, TranscriptDelta
from multitap.errors import (
    BadRequest,
    ConfigError,
    DeadlineExceeded,
    NotSupported,
    Overloaded,
    ProtocolError,
    TruncatedStream,
)
from multitap.events import AudioData, Failed, ImageData, Usage, UsageReport
from multitap.hookspecs import hookimpl
from multitap.runtime import Runtime
from multitap.testing import WORLDS
from multitap.work import LocalExchange

WAV = b"RIFF\x24\0\0\0WAVEfmt "
PNG = b"\x89PNG\r\n\x1a\n"
SAID = Transcript(text="hello", usage=Usage.reported(2, 1))
PIECE = AudioData(b"\1\0", "audio/pcm", 8000)


class Stage:
    """Keeps what it was asked, and gives what the test wrote, one script for each attempt."""

    def __init__(self):
        self.asked, self.scripts = [], []
        self.reached, self.go_on = threading.Event(), threading.Event()

    @hookimpl
    def multitap_transcription(self, backend):
        return self

    @hookimpl
    def multitap_speech(self, backend):
        return self

    @hookimpl
    def multitap_moderation(self, backend):
        return self

    @hookimpl
    def multitap_image(self, backend):
        return self

    def transcribe(self, request):
        self.asked.append(request)
        return LocalExchange(self.run)

    speak = moderate = draw = voices = transcribe

    def run(self, emit):
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        for item in script:
            if item == "wait":
                self.reached.set()
                while not self.go_on.wait(0.01):
                    if not emit([]):
                        return
            elif isinstance(item, Exception):
                emit([Failed(item)])
            elif not emit([item]):
                return


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def make(request):
    return request.param


@pytest.fixture
def world(make, stage):
    with make({"defaults": {"model": "acme:tiny"}}, letters.registry(acme=stage)) as one:
        yield one


@pytest.fixture
def echo(make):
    with make({"defaults": {"model": "echo:echo"}}) as one:
        yield one


# ---- with the echo -------------------------------------------------------------------------------


def test_what_the_echo_speaks_it_hears(echo, tmp_path):
    sound = echo.call("speak", "hello world", speed=0.5)
    assert (sound.mime_type, sound.sample_rate) == ("audio/wav", 8000)
    path = sound.save(tmp_path / "hello.wav")
    with path.open("rb") as opened:
        for source in (path, str(path), sound.data, opened, io.BytesIO(sound.data)):
            assert echo.call("transcribe", source).text == "hello world"
    timed = echo.call("transcribe", path, timestamps="word")
    assert [segment.text for segment in timed.segments] == ["hello", "world"]
    assert timed.duration == 11 / 8000


def test_a_transcript_comes_last_after_its_pieces(echo):
    sound = echo.call("speak", "one two")
    seen, _ = echo.items("transcribe_stream", sound.data)
    assert [type(item) for item in seen] == [TranscriptDelta, TranscriptDelta, Transcript]
    assert "".join(piece.text for piece in seen[:-1]) == seen[-1].text == "one two"


def test_a_sound_comes_in_pieces(echo):
    text = "a word " * 1000
    pieces, _ = echo.items("speak_stream", text, format="pcm")
    assert len(pieces) > 1
    assert Sound.of(pieces) == echo.call("speak", text, format="pcm")


def test_the_voices_of_the_echo(echo):
    assert echo.call("voices") == [Voice(name="echo", title="Echo")]
    assert echo.call("voices", model="echo:other") == [Voice(name="echo", title="Echo")]


def test_a_judgement_or_several(echo):
    one = echo.call("moderate", "you idiot")
    assert (bool(one), one.categories["harassment"], one.scores["violence"]) == (True, True, 0.0)
    several = echo.call("moderate", iter(["good day", "you idiot"]))
    assert [bool(judged) for judged in several] == [False, True]
    assert [bool(judged) for judged in echo.call("moderate", ["kill"])] == [True]


def test_pictures_of_a_size(echo, tmp_path):
    pictures = echo.call("draw", "a cat", n=2, size="8x4")
    assert isinstance(pictures, Pictures)
    paths = pictures.save(tmp_path / "cat.png")
    sizes = [struct.unpack(">II", path.read_bytes()[16:24]) for path in paths]
    assert sizes == [(8, 4), (8, 4)]
    assert pictures[0].data != pictures[1].data


def test_a_handle_has_the_verbs_of_its_model(echo):
    model = echo.rt.model("echo:echo")
    echo.rt = model
    sound = echo.call("speak", "hi")
    assert echo.call("transcribe", sound.data).text == "hi"
    assert echo.items("transcribe_stream", sound.data)[0][-1].text == "hi"
    assert Sound.of(echo.items("speak_stream", "hi")[0]) == sound
    assert echo.call("voices")[0].name == "echo"
    assert [bool(echo.call("moderate", "kill")), len(echo.call("moderate", ["a"]))] == [True, 1]
    assert len(echo.call("draw", "a cat")) == 1
    assert echo.call("detokenize", echo.call("tokenize", "hi there").ids) == "hi there"
    echo.rt = model._runtime


def test_what_the_plugin_refuses_is_refused(echo):
    with pytest.raises(NotSupported, match="does not translate"):
        echo.call("transcribe", WAV, translate=True)
    with pytest.raises(NotSupported, match="does not change pictures"):
        echo.call("draw", "a cat", sources=[PNG])
    with pytest.raises(BadRequest, match="one voice"):
        echo.call("speak", "hi", voice="other")


# ---- what reaches the plugin ---------------------------------------------------------------------


def test_every_option_reaches_the_plugin(world, stage):
    stage.scripts = [[SAID]]
    options = {"language": "en", "prompt": "Ada", "temperature": 0, "timestamps": "segment"}
    assert world.call("transcribe", WAV, translate=True, **options) is SAID
    asked = stage.asked[0]
    assert (asked.model, asked.audio.source, asked.stream) == ("tiny", WAV, False)
    assert {name: getattr(asked, name) for name in options} == options
    assert asked.translate
    world.items("transcribe_stream", WAV)
    assert (stage.asked[1].stream, stage.asked[1].temperature) == (True, None)

    stage.scripts = [[PIECE]]
    options = {"voice": "v", "format": "pcm", "speed": 2, "instructions": "softly"}
    world.call("speak", "hi", **options)
    assert {name: getattr(stage.asked[2], name) for name in options} == options

    stage.scripts = [[ImageData(PNG, "image/png")] * 2]
    options = {"n": 2, "size": "64x32", "quality": "high"}
    world.call("draw", "a cat", sources=[PNG, io.BytesIO(PNG)], **options)
    asked = stage.asked[3]
    assert {name: getattr(asked, name) for name in options} == options
    assert [(file.name, file.source) for file in asked.sources] == [("picture.png", PNG)] * 2


@pytest.mark.parametrize(
    ("verb", "arguments", "options", "said"),
    [
        ("transcribe", ["none.wav"], {}, "none.wav cannot be read"),
        ("transcribe", [b""], {}, "empty"),
        ("transcribe", [PNG], {}, "image/png, not a sound"),
        ("transcribe", [WAV], {"timestamps": "letter"}, "'segment', 'word'"),
        ("transcribe", [WAV], {"language": ""}, "language is ''"),
        ("transcribe", [WAV], {"language": 7}, "language is 7"),
        ("transcribe", [WAV], {"temperature": "hot"}, "temperature is 'hot'"),
        ("transcribe", [WAV], {"temperature": -1}, "0 or more"),
        ("transcribe", [WAV], {"timeout": 0}, "timeout"),
        ("speak", [""], {}, "text is ''"),
        ("speak", [" \n"], {}, "something in it"),
        ("speak", [None], {}, "text is None"),
        ("speak", ["hi"], {"format": ""}, "format is ''"),
        ("speak", ["hi"], {"voice": " "}, "voice is ' '"),
        ("speak", ["hi"], {"speed": 0}, "above 0"),
        ("speak", ["hi"], {"speed": float("nan")}, "not a number"),
        ("speak", ["hi"], {"speed": True}, "not a number"),
        ("moderate", [""], {}, "Number 0 of the texts"),
        ("moderate", [[]], {}, "There are no texts"),
        ("moderate", [["a", ""]], {}, "Number 1 of the texts"),
        ("moderate", [["a", 7]], {}, "Number 1 of the texts is 7"),
        ("draw", [""], {}, "prompt is ''"),
        ("draw", ["a cat"], {"n": 0}, "n is 0"),
        ("draw", ["a cat"], {"n": 1.5}, "n is 1.5"),
        ("draw", ["a cat"], {"n": True}, "n is True"),
        ("draw", ["a cat"], {"size": "big"}, "WIDTHxHEIGHT"),
        ("draw", ["a cat"], {"size": "0x10"}, "WIDTHxHEIGHT"),
        ("draw", ["a cat"], {"size": "10x"}, "WIDTHxHEIGHT"),
        ("draw", ["a cat"], {"size": (10, 10)}, "WIDTHxHEIGHT"),
        ("draw", ["a cat"], {"sources": "cat.png"}, "not a list"),
        ("draw", ["a cat"], {"sources": [WAV]}, "audio/wav, not a picture"),
    ],
)
def test_wrong_arguments_ask_nobody(world, stage, verb, arguments, options, said):
    with pytest.raises(ConfigError) as caught:
        world.call(verb, *arguments, **options)
    assert said in str(caught.value)
    assert stage.asked == []


def test_how_large_a_file_may_be_is_configured(make, stage):
    stage.scripts = [[SAID]]
    config = {"defaults": {"model": "acme:tiny"}, "acme": {"max_file_bytes": len(WAV)}}
    with make(config, letters.registry(acme=stage)) as world:
        assert world.call("transcribe", WAV) is SAID
        with pytest.raises(ConfigError, match=f"more than {len(WAV)} bytes"):
            world.call("transcribe", WAV + b"\0")
        with pytest.raises(ConfigError, match=f"more than {len(WAV)} bytes"):
            world.call("draw", "a cat", sources=[PNG, PNG + b"\0" * 99])


@pytest.mark.parametrize(
    ("verb", "argument", "capability"),
    [
        ("transcribe", WAV, "transcription"),
        ("speak", "hi", "speech"),
        ("moderate", "hi", "moderation"),
        ("draw", "a cat", "image"),
    ],
)
def test_who_has_it_is_told_where_a_backend_lacks_it(make, stage, verb, argument, capability):
    registry = letters.registry(acme=stage, mute=letters.OverHttp())
    config = {"mute": {"endpoint": "http://127.0.0.1:9"}}
    with make(config, registry) as world, pytest.raises(NotSupported) as caught:
        world.call(verb, argument, model="mute:tiny")
    said = str(caught.value)
    assert f"mute has no {capability}" in said
    assert "providers that have it: acme" in said


# ---- results and faults --------------------------------------------------------------------------


def test_what_is_no_result_is_the_backends_fault(world, stage):
    stage.scripts = [[SAID, TranscriptDelta("more")]]
    with pytest.raises(ProtocolError, match="went on with TranscriptDelta"):
        world.call("transcribe", WAV)
    stage.scripts = [[AudioData(b"", "audio/pcm", 8000)]]
    with pytest.raises(ProtocolError, match="no sound"):
        world.call("speak", "hi")
    stage.scripts = [[Judgement(flagged=False)]]
    with pytest.raises(ProtocolError, match="1 judgements for 2 texts"):
        world.call("moderate", ["a", "b"])
    stage.scripts = [[]]
    with pytest.raises(ProtocolError, match="0 pictures of 1"):
        world.call("draw", "a cat")


@pytest.mark.parametrize(
    ("verb", "items"),
    [("transcribe", [TranscriptDelta("he")]), ("transcribe", [Segment(0, 1, "he")]), ("speak", [])],
)
def test_an_answer_without_its_end_is_truncated(world, stage, verb, items):
    stage.scripts = [items]
    source = WAV if verb == "transcribe" else "hi"
    with pytest.raises(TruncatedStream) as caught:
        world.call(verb, source)
    assert len(caught.value.attempts) == (1 if items else 3)
    with pytest.raises(TruncatedStream):
        world.items(f"{verb}_stream", source)


def test_a_failed_attempt_is_tried_again_before_the_first_result_only(world, stage):
    busy = Overloaded("Busy", retry_after=0)
    stage.scripts = [[busy], [TranscriptDelta("he"), SAID]]
    seen, stream = world.items("transcribe_stream", WAV)
    assert seen == [TranscriptDelta("he"), SAID]
    assert [attempt.error for attempt in stream.outcome.attempts] == [busy, None]

    stage.scripts = [[PIECE, Overloaded("Busy", retry_after=0)], [PIECE]]
    with pytest.raises(Overloaded) as caught:
        world.call("speak", "hi")
    assert len(caught.value.attempts) == 1


def test_a_batch_that_fails_in_the_middle_names_the_place(world, stage):
    judged = Judgement(flagged=False)
    stage.scripts = [[judged, judged, BadRequest("It is too long")]]
    with pytest.raises(
        BadRequest, match="Number 2 of the 4 texts failed: It is too long"
    ) as caught:
        world.call("moderate", list("abcd"))
    assert caught.value.partial is None
    stage.scripts = [[ImageData(PNG, "image/png"), BadRequest("No")]]
    with pytest.raises(BadRequest, match="Number 1 of the 3 pictures failed: No"):
        world.call("draw", "a cat", n=3)
    stage.scripts = [[BadRequest("No")]]
    with pytest.raises(BadRequest, match=r"^acme: No"):
        world.call("moderate", ["a", "b"])


def test_pictures_tell_what_they_cost(world, stage):
    usage = Usage.reported(9, 100)
    made = ImageData(PNG, "image/png", provider_options={"revised_prompt": "a red cat"})
    stage.scripts = [[made, UsageReport(usage)]]
    pictures = world.call("draw", "a cat")
    assert (len(pictures), pictures[0].prompt, pictures.usage) == (1, "a red cat", usage)


def test_the_first_bytes_come_before_the_sound_is_made(world, stage):
    stage.scripts = [[PIECE, "wait", PIECE]]

    def let_go(seen, stream):
        assert stage.go_on.is_set() or len(seen) == 1
        stage.go_on.set()
        return True

    pieces, _ = world.items("speak_stream", "hi", after=let_go)
    assert pieces == [PIECE, PIECE]


def test_a_deadline_holds_while_it_listens(world, stage):
    stage.scripts = [["wait"]]
    with pytest.raises(DeadlineExceeded):
        world.call("transcribe", WAV, timeout=0.05)


def test_closing_the_stream_ends_the_work(world, stage):
    stage.scripts = [[TranscriptDelta("he"), "wait", SAID]]

    def leave(seen, stream):
        stream.close()
        return True

    seen, _ = world.items("transcribe_stream", WAV, after=leave)
    assert seen == [TranscriptDelta("he")]


def test_observers_are_told(make, stage):
    told = []

    class Observer:
        @hookimpl
        def multitap_observer(self):
            return self

        def call_started(self, call):
            told.append((call.capability, call.streamed))

        def attempt_started(self, call, number):
            pass

        def attempt_ended(self, call, end):
            pass

        def call_ended(self, call, end):
            told.append(end.usage)

    registry = letters.registry(acme=stage)
    registry.add(Observer(), "told", ["extension"])
    with make({"defaults": {"model": "acme:tiny"}}, registry) as world:
        stage.scripts = [[SAID]]
        world.call("transcribe", WAV)
        stage.scripts = [[ImageData(PNG, "image/png"), UsageReport(Usage.reported(1, 2))]]
        world.call("draw", "a cat")
        stage.scripts = [[PIECE]]
        world.items("speak_stream", "hi")
    assert told == [
        ("transcription", False),
        SAID.usage,
        ("image", False),
        Usage.reported(1, 2),
        ("speech", True),
        None,
    ]


def test_two_threads_share_a_runtime():
    with Runtime({"defaults": {"model": "echo:echo"}}) as rt:
        found = [None] * 4

        def work(number):
            found[number] = rt.transcribe(rt.speak(f"number {number}").data).text

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [f"number {n}" for n in range(4)]
