"""Sounds, judgements and pictures in OpenAI's words: what is sent, and what is read."""

from __future__ import annotations

import base64
import io
import json as jsons
import wave

import letters
import pytest

from multitap.artifacts import Sound
from multitap.capabilities.image import ImageRequest
from multitap.capabilities.moderation import Judgement, ModerationRequest
from multitap.capabilities.speech import SpeechRequest, Voice
from multitap.capabilities.transcription import (
    Segment,
    Transcript,
    TranscriptDelta,
    TranscriptionRequest,
)
from multitap.dialects.openai.audio import AudioSpeech, AudioTranscriptions
from multitap.dialects.openai.images import ImageGenerations
from multitap.dialects.openai.moderations import TextModerations
from multitap.errors import (
    AuthenticationError,
    BackendError,
    BadRequest,
    EngineError,
    NotSupported,
    ProtocolError,
    ProviderDown,
    TruncatedStream,
)
from multitap.events import AudioData, Failed, Usage
from multitap.hookspecs import hookimpl
from multitap.testing import (
    WORLDS,
    Gate,
    Server,
    assert_chunking_invariant,
    hold,
    json,
    repeat,
    request,
    respond,
    send,
    sse,
    when,
)
from multitap.work import Backend, File, Head

BACKEND = Backend(id="b", provider="acme", endpoint="http://127.0.0.1:8000")
PNG = b"\x89PNG\r\n\x1a\n"
PNG64 = base64.b64encode(PNG).decode()
SSE = Head(200, {"content-type": "text/event-stream"})
JSON = Head(200, {"content-type": "application/json; charset=utf-8"})


def wav(samples=b"\1\0" * 400):
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        sound.writeframes(samples)
    return file.getvalue()


AUDIO = File("a.wav", wav(), "audio/wav")


def hearing(model=None, **options):
    asked = TranscriptionRequest(model="whisper", audio=AUDIO, **options)
    return (model or AudioTranscriptions(BACKEND)).transcribe(asked)


def read(exchange, head, data):
    """The outputs, which are the same however the answer is cut."""
    return assert_chunking_invariant(lambda: exchange.decoder(head), data)


def stream(*chunks, end="data: [DONE]\n\n"):
    return ("".join(f"data: {jsons.dumps(chunk)}\n\n" for chunk in chunks) + end).encode()


# ---- transcription -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({}, {"response_format": "json"}),
        ({"stream": True}, {"response_format": "json", "stream": "true"}),
        (
            {"language": "en", "prompt": "Ada", "temperature": 0.0},
            {"response_format": "json", "language": "en", "prompt": "Ada", "temperature": "0.0"},
        ),
        (
            {"timestamps": "word", "stream": True},
            {"response_format": "verbose_json", "timestamp_granularities[]": "word"},
        ),
        (
            {"timestamps": "segment"},
            {"response_format": "verbose_json", "timestamp_granularities[]": "segment"},
        ),
        ({"translate": True, "stream": True}, {"response_format": "json"}),
        ({"translate": True, "timestamps": "segment"}, {"response_format": "verbose_json"}),
    ],
)
def test_the_form_that_is_sent(options, fields):
    call = hearing(**options).call
    place = "translations" if options.get("translate") else "transcriptions"
    assert (call.method, call.path) == ("POST", f"/v1/audio/{place}")
    assert call.body.fields == {"model": "whisper", **fields}
    assert call.body.files == {"file": AUDIO}


def test_a_server_may_stream_translations_and_take_fields_of_its_own():
    model = AudioTranscriptions(BACKEND, streams_translations=True, streaming={"stream": "yes"})
    assert hearing(model, translate=True, stream=True).call.body.fields["stream"] == "yes"
    model = AudioTranscriptions(BACKEND, hears_language=True)
    assert hearing(model, translate=True, language="de").call.body.fields["language"] == "de"


@pytest.mark.parametrize("options", [{"language": "fr"}, {"timestamps": "word"}])
def test_what_no_translation_takes_is_refused_before_it(options):
    with pytest.raises(NotSupported, match="A translation"):
        hearing(translate=True, **options)


def test_a_whole_transcript():
    body = {"text": "Hello.", "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 3}}
    assert read(hearing(), JSON, jsons.dumps(body).encode()) == [
        Transcript(text="Hello.", usage=Usage.reported(14, 3))
    ]
    body = {"text": "Hello.", "usage": {"type": "duration", "seconds": 2}}
    assert read(hearing(), JSON, jsons.dumps(body).encode()) == [
        Transcript(text="Hello.", duration=2.0)
    ]


VERBOSE = {
    "task": "transcribe",
    "language": "english",
    "duration": "1.5",
    "text": "Hello world.",
    "segments": [{"id": 0, "start": 0.0, "end": 1.5, "text": " Hello world.", "tokens": [1]}],
    "words": [
        {"word": "Hello", "start": 0.0, "end": 0.5},
        {"word": "world", "start": 0.6, "end": 1.4},
    ],
}


@pytest.mark.parametrize(
    ("timestamps", "segments"),
    [
        ("segment", (Segment(0.0, 1.5, "Hello world."),)),
        ("word", (Segment(0.0, 0.5, "Hello"), Segment(0.6, 1.4, "world"))),
    ],
)
def test_times_of_segments_and_of_words(timestamps, segments):
    data = jsons.dumps(VERBOSE).encode()
    whole = Transcript(text="Hello world.", language="english", duration=1.5, segments=segments)
    assert read(hearing(timestamps=timestamps), JSON, data) == [whole]
    streamed = read(hearing(timestamps=timestamps, stream=True), JSON, data)
    assert streamed == [TranscriptDelta("Hello world."), *segments, whole]


def test_times_that_the_model_does_not_give_are_missed():
    (failed,) = read(hearing(timestamps="word"), JSON, b'{"text": "Hello."}')
    assert isinstance(failed.error, NotSupported)
    (silence,) = read(hearing(timestamps="word"), JSON, b'{"text": "", "duration": "long"}')
    assert silence == Transcript(text="")


OPENAI = [
    {"type": "transcript.text.delta", "delta": "Grüße", "logprobs": []},
    {"type": "transcript.text.segment", "id": "s", "start": 0, "end": 1, "text": "Grüße, Welt."},
    {"type": "transcript.text.delta", "delta": ", Welt."},
    {"type": "something.new", "delta": "?"},
    {
        "type": "transcript.text.done",
        "text": "Grüße, Welt.",
        "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 3, "total_tokens": 17},
    },
]


@pytest.mark.parametrize("end", ["data: [DONE]\n\n", ""])
def test_a_stream_in_openais_words(end):
    segment = Segment(0, 1, "Grüße, Welt.")
    usage = Usage.reported(14, 3, total_tokens=17)
    assert read(hearing(stream=True), SSE, stream(*OPENAI, end=end)) == [
        TranscriptDelta("Grüße"),
        segment,
        TranscriptDelta(", Welt."),
        Transcript(text="Grüße, Welt.", segments=(segment,), usage=usage),
    ]


def chunk(text, finish=None, **more):
    choices = [{"delta": {"content": text}, "finish_reason": finish}]
    return {"object": "transcription.chunk", "choices": choices, **more}


def test_a_stream_in_vllms_words():
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    data = stream(chunk("Hel"), chunk("lo"), chunk("", "stop"), {"choices": [], "usage": usage})
    assert read(hearing(stream=True), SSE, data) == [
        TranscriptDelta("Hel"),
        TranscriptDelta("lo"),
        Transcript(text="Hello", usage=Usage.reported(9, 2, total_tokens=11)),
    ]


@pytest.mark.parametrize(
    "chunks", [OPENAI[:3], [chunk("Hel"), chunk("lo")], [chunk("a", "stop"), chunk("b")], []]
)
@pytest.mark.parametrize("end", ["data: [DONE]\n\n", ""])
def test_a_stream_without_its_end_is_truncated(chunks, end):
    *_, last = read(hearing(stream=True), SSE, stream(*chunks, end=end))
    assert isinstance(last, Failed)
    assert isinstance(last.error, TruncatedStream)


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "It broke", "type": "server_error"}},
        {"type": "error", "code": "server_error", "message": "It broke"},
    ],
)
def test_an_error_in_the_stream(said):
    piece, failed = read(hearing(stream=True), SSE, stream(OPENAI[0], said))
    assert piece == TranscriptDelta("Grüße")
    assert isinstance(failed.error, EngineError)
    assert failed.error.message == "It broke"


def test_a_model_that_cannot_stream_answers_at_once():
    found = read(hearing(stream=True), JSON, b'{"text": "Hello."}')
    assert found == [TranscriptDelta("Hello."), Transcript(text="Hello.")]


def test_an_error_with_status_200():
    (failed,) = read(hearing(), JSON, b'{"error": {"message": "No", "code": 401}}')
    assert isinstance(failed.error, AuthenticationError)


# ---- speech --------------------------------------------------------------------------------------


def saying(model=None, **options):
    asked = SpeechRequest(model="tts", text="hi", **options)
    return (model or AudioSpeech(BACKEND)).speak(asked)


def test_what_is_asked_of_speech():
    call = saying().call
    assert (call.method, call.path) == ("POST", "/v1/audio/speech")
    assert call.body.value == {"model": "tts", "input": "hi", "response_format": "wav"}
    options = {"voice": "ash", "format": "mp3", "speed": 1.5, "instructions": "softly"}
    body = saying(AudioSpeech(BACKEND, voice="alloy"), **options).call.body.value
    sent = {"model": "tts", "input": "hi", "response_format": "mp3"}
    assert body == {**sent, "voice": "ash", "speed": 1.5, "instructions": "softly"}
    assert saying(AudioSpeech(BACKEND, voice="alloy")).call.body.value["voice"] == "alloy"


@pytest.mark.parametrize(
    ("said", "asked", "kind", "rate"),
    [
        ("audio/wav", "wav", "audio/wav", None),
        ("audio/x-wav", "wav", "audio/wav", None),
        ("audio/mpeg", "wav", "audio/mpeg", None),  # the server knows better what it sends
        ("application/octet-stream", "mp3", "audio/mpeg", None),
        ("", "opus", "audio/opus", None),
        ("", "flac", "audio/flac", None),
        ("audio/pcm", "pcm", "audio/pcm", 24000),
        ("audio/pcm; rate=24000", "pcm", "audio/pcm", 24000),
    ],
)
def test_sound_says_its_type(said, asked, kind, rate):
    head = Head(200, {"content-type": said})
    data = wav()
    assert read(saying(format=asked), head, data) == [AudioData(data, kind, rate)]


def test_bare_samples_stay_whole():
    stage = saying(format="pcm").decoder(Head(200, {}))
    pieces = [*stage.feed(b"\1\0\2"), *stage.feed(b"\0"), *stage.feed(b"\3"), *stage.finish()]
    assert [piece.data for piece in pieces] == [b"\1\0", b"\2\0", b"\3"]


def test_no_sound_and_json_are_no_sound():
    (failed,) = read(saying(), Head(200, {"content-type": "audio/wav"}), b"")
    assert (type(failed.error), failed.error.kind) == (ProtocolError, "empty_response")
    (failed,) = read(saying(), JSON, b'{"error": {"message": "No such voice"}}')
    assert failed.error.message == "No such voice"
    (failed,) = read(saying(), JSON, b'{"status": "ok"}')
    assert "not with sound" in failed.error.message


def test_a_text_that_is_too_long_is_refused_before_it_is_sent():
    with pytest.raises(BadRequest, match="at most 1 at a time"):
        saying(AudioSpeech(BACKEND, longest=1))
    assert saying(AudioSpeech(BACKEND, longest=2)).call.body.value["input"] == "hi"


def test_voices_are_those_that_are_known():
    alloy, found = Voice(name="alloy", title="Alloy"), []
    AudioSpeech(BACKEND, known=[alloy]).voices("tts").run(found.extend)
    assert found == [alloy]
    with pytest.raises(NotSupported, match="no list of its voices"):
        AudioSpeech(BACKEND).voices("tts")


# ---- moderation ----------------------------------------------------------------------------------


def test_judgements():
    exchange = TextModerations(BACKEND).moderate(ModerationRequest(model="m", texts=("a", "b")))
    assert (exchange.call.path, exchange.call.idempotent) == ("/v1/moderations", True)
    assert exchange.call.body.value == {"model": "m", "input": ["a", "b"]}
    results = [
        {
            "flagged": True,
            "categories": {"harassment/threatening": True, "self-harm": False, "illicit": None},
            "category_scores": {"harassment/threatening": 0.9, "self-harm": 0, "illicit": None},
        },
        {"categories": {"hate": False}},
        {"categories": {"hate": True}},
    ]
    data = jsons.dumps({"id": "modr-1", "model": "m", "results": results}).encode()
    assert read(exchange, JSON, data) == [
        Judgement(
            flagged=True,
            categories={"harassment/threatening": True, "self-harm": False},
            scores={"harassment/threatening": 0.9, "self-harm": 0.0},
        ),
        Judgement(flagged=False, categories={"hate": False}),
        Judgement(flagged=True, categories={"hate": True}),
    ]
    (failed,) = read(exchange, JSON, b'{"error": "No"}')
    assert isinstance(failed.error, BackendError)


# ---- through both runtimes, over sockets ---------------------------------------------------------


class Acme:
    @hookimpl
    def multitap_transcription(self, backend):
        return AudioTranscriptions(backend)

    @hookimpl
    def multitap_speech(self, backend):
        return AudioSpeech(backend)

    @hookimpl
    def multitap_moderation(self, backend):
        return TextModerations(backend)

    @hookimpl
    def multitap_image(self, backend):
        return ImageGenerations(backend)


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def make(request):
    def world(server):
        config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": server.url}}
        return request.param(config, letters.registry(acme=Acme()))

    return world


def test_a_file_is_sent_as_it_is(make, tmp_path):
    path = tmp_path / "speech.wav"
    path.write_bytes(wav(b"\0\1" * 300_000))
    with Server(repeat([request, json({"text": "Hello."})])) as server, make(server) as world:
        assert world.call("transcribe", path).text == "Hello."
    sent = server.requests[0]
    assert sent.path == "/v1/audio/transcriptions"
    assert b'name="file"; filename="speech.wav"\r\nContent-Type: audio/wav' in sent.body
    assert path.read_bytes() in sent.body


def test_a_transcript_is_heard_as_it_comes(make):
    script = [request, sse(OPENAI)]
    with Server(script) as server, make(server) as world:
        seen, _ = world.items("transcribe_stream", wav())
    assert [type(item).__name__ for item in seen] == [
        *["TranscriptDelta", "Segment", "TranscriptDelta", "Transcript"]
    ]


def test_the_first_sound_is_heard_before_the_last_is_made(make):
    gate = Gate()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\ncontent-length: 8\r\n\r\n"
    script = [request, send(head + b"\1\0\2\0"), hold(gate), send(b"\3\0\4\0")]
    first = []

    def let_go(seen, stream):
        first.append(b"".join(piece.data for piece in seen))
        gate.open()
        return True

    with Server(script) as server, make(server) as world:
        pieces, _ = world.items("speak_stream", "hi", format="pcm", after=let_go)
    assert first[0] == b"\1\0\2\0"
    assert Sound.of(pieces) == Sound(b"\1\0\2\0\3\0\4\0", "audio/pcm", 24000)


def test_a_sound_that_is_cut_off_is_no_sound(make):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: audio/wav\r\ncontent-length: 9\r\n\r\n"
    server = Server([request, send(head + b"RIFF")])
    with server, make(server) as world, pytest.raises(TruncatedStream):
        world.call("speak", "hi")
    assert len(server.requests) == 1


@pytest.mark.parametrize("verb", ["transcribe", "speak", "draw"])
def test_what_may_have_been_made_is_not_made_twice(make, verb):
    busy = [request, json({"error": {"message": "Busy"}}, 503)]
    lost = [request]  # and closes
    argument = wav() if verb == "transcribe" else "hi"
    server = Server(busy, lost)
    with server, make(server) as world, pytest.raises(BackendError) as caught:
        world.call(verb, argument)
    assert isinstance(caught.value, (ProviderDown, TruncatedStream))
    assert len(server.requests) == 2


def drawing(answer, *more):
    routes = {"POST /v1/images/generations": json(answer), "POST /v1/images/edits": json(answer)}
    return repeat(when({**routes, **dict(more)}, otherwise=respond(404, {}, "not found")))


def test_pictures_are_asked_for_and_read_as_base64(make):
    usage = {"input_tokens": 9, "output_tokens": 100, "total_tokens": 109}
    rows = [{"b64_json": PNG64, "revised_prompt": "a red cat"}, {"b64_json": PNG64}]
    with Server(drawing({"data": rows, "usage": usage})) as server, make(server) as world:
        pictures = world.call("draw", "a cat", n=2, size="64x64", quality="high")
    body = {"n": 2, "size": "64x64", "quality": "high", "response_format": "b64_json"}
    assert server.requests[0].json() == {"model": "tiny", "prompt": "a cat", **body}
    assert [(p.data, p.mime_type, p.prompt) for p in pictures] == [
        (PNG, "image/png", "a red cat"),
        (PNG, "image/png", None),
    ]
    assert pictures.usage == Usage.reported(9, 100, total_tokens=109)


def test_a_link_to_the_server_itself_is_followed(make):
    picture = respond(200, {"content-type": "image/jpeg"}, b"\xff\xd8\xff1")
    server = Server(repeat(when({"GET /made/1.jpg": picture}, otherwise=answer_links)))
    with server, make(server) as world:
        pictures = world.call("draw", "a cat", n=3)
    kinds = ["image/jpeg", "image/jpeg", "image/png"]
    assert [picture.mime_type for picture in pictures] == kinds
    assert pictures[1].data == b"\xff\xd8\xff1"
    assert pictures[2].data == PNG


def answer_links(connection):
    here = f"http://{connection.request.headers['host']}"
    urls = [f"{here}/made/1.jpg?a=b", "/made/1.jpg?a=b", f"data:image/png;base64,{PNG64}"]
    return json({"data": [{"url": url} for url in urls]})


def test_a_link_to_elsewhere_is_not_followed(make):
    rows = [{"b64_json": PNG64}, {"url": "https://files.example/a.png?sig=secret"}]
    server, said = Server(drawing({"data": rows})), r"Number 1 of the 2.*files\.example"
    with server, make(server) as world, pytest.raises(NotSupported, match=said) as caught:
        world.call("draw", "a cat", n=2)
    assert "secret" not in str(caught.value)
    assert caught.value.kind == "link_only"


@pytest.mark.parametrize("url", ["{}.evil.example/a.png", "{}@evil.example/a.png", "ftp://a/b"])
def test_a_link_that_only_begins_like_the_endpoint_is_elsewhere(make, url):
    server = Server(repeat([request, lambda c: json({"data": [{"url": url.format(server.url)}]})]))
    with server, make(server) as world, pytest.raises(NotSupported):
        world.call("draw", "a cat")


@pytest.mark.parametrize("rows", [[{}], [{"b64_json": "?"}], [], [{"url": "/v1/images/edits"}]])
def test_a_picture_that_is_not_there_is_the_servers_fault(make, rows):
    page = respond(200, {"content-type": "text/html"}, "<html>")
    server = Server(drawing({"data": rows}, ("GET /v1/images/edits", page)))
    with server, make(server) as world, pytest.raises(ProtocolError):
        world.call("draw", "a cat")


def test_pictures_to_change_are_files_of_a_form(make, tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    answer = {"data": [{"b64_json": PNG64}]}
    with Server(drawing(answer)) as server, make(server) as world:
        world.call("draw", "a hat", sources=[path])
        world.call("draw", "a hat", sources=[path, PNG], size="8x8")
    one, two = (sent.body for sent in server.requests)
    assert [sent.path for sent in server.requests] == ["/v1/images/edits"] * 2
    assert b'name="image"; filename="cat.png"' in one
    assert b'name="image[]"; filename="cat.png"' in two
    assert b'name="image[]"; filename="picture.png"' in two
    assert (b'name="size"\r\n\r\n8x8' in two, two.count(PNG)) == (True, 2)


def test_an_edit_says_its_fields_as_text():
    asked = ImageRequest(model="m", prompt="a hat", n=2, sources=(File("a.png", PNG),))
    steps = ImageGenerations(BACKEND, response_format=None).draw(asked).steps()
    call = next(steps)
    assert call.body.fields == {"model": "m", "prompt": "a hat", "n": "2"}
    steps.close()


def test_a_refusal_is_explained(make):
    error = {"message": "Incorrect API key provided", "code": "invalid_api_key"}
    with Server(repeat([request, json({"error": error}, 401)])) as server, make(server) as world:
        for verb in ("speak", "moderate", "draw"):
            with pytest.raises(AuthenticationError):
                world.call(verb, "hi")
        with pytest.raises(AuthenticationError):
            world.items("transcribe_stream", wav())
