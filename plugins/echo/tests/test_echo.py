"""Each capability, driven by a few lines that stand for the engine."""

import io
import json
import struct
import sys
import wave
import zlib
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.capabilities.chat import ChatRequest
from multitap.capabilities.embedding import EmbeddingRequest
from multitap.capabilities.image import ImageRequest
from multitap.capabilities.moderation import ModerationRequest
from multitap.capabilities.rerank import RerankRequest
from multitap.capabilities.speech import SpeechRequest
from multitap.capabilities.tokenize import DetokenizeRequest, TokenizeRequest
from multitap.capabilities.transcription import (
    Segment,
    Transcript,
    TranscriptDelta,
    TranscriptionRequest,
)
from multitap.errors import AuthenticationError, BadRequest, NotSupported
from multitap.events import (
    AudioData,
    Failed,
    ImageData,
    Notice,
    Reasoning,
    Stop,
    Text,
    Usage,
    UsageReport,
    normalise,
)
from multitap.hookspecs import CAPABILITIES, Backend
from multitap.manifest import provider_from_table
from multitap.messages import Audio, Document, Image, Message, Tool, ToolCall, ToolResult
from multitap.registry import Registry
from multitap.work import File
from multitap_echo import (
    catalog,
    chat,
    embedding,
    image,
    lifecycle,
    moderation,
    provider,
    rerank,
    speech,
    tokenize,
    transcription,
)
from multitap_echo.failures import FAILURES
from multitap_echo.schema import least

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HOME = Path(__file__).parents[1]


def collect(work, most=None):
    """All results; after ``most`` of them the work is told to stop."""
    results = []

    def emit(items):
        results.extend(items)
        return most is None or len(results) < most

    work.run(emit)
    return results


def backend(**settings):
    return Backend(id="echo", provider="echo", settings=settings)


def answer(said="", settings=None, messages=None, **options):
    model = chat.multitap_chat(backend(**(settings or {})))
    history = tuple(messages or [Message("user", said)])
    return collect(model.chat(ChatRequest(model="echo", messages=history, **options)))


def test_pictures_and_sounds_of_the_last_message_are_said_back():
    earlier = Message("user", ["Look.", Image(b"old", "image/gif")])
    shown = Message("user", ["And this.", Image(b"png"), Audio(b"RIFF", "audio/wav")])
    events = answer(messages=[earlier, shown], n=2)
    media = [event for event in events if isinstance(event, (ImageData, AudioData))]
    assert media == [
        made
        for choice in (0, 1)
        for made in (
            ImageData(b"png", "image/png", choice),
            AudioData(b"RIFF", "audio/wav", choice=choice),
        )
    ]


@pytest.mark.parametrize("part", [Image(url="http://h/a.png"), Document(b"%PDF", "a/pdf")])
def test_what_it_cannot_say_back_is_not_supported(part):
    failed = answer(messages=[Message("user", ["What is it?", part])])[-1]
    assert isinstance(failed.error, NotSupported)
    assert failed.error.hint


def test_it_has_no_options_of_its_own_and_says_so_first():
    first, *_ = answer("hi", extra={"top_k": 5})
    assert first == Notice("unsupported_option", "The echo has no option 'top_k'.", "extra.top_k")


def text_of(events):
    return "".join(event.content for event in events if isinstance(event, Text))


# ---- chat ----------------------------------------------------------------------------------------


def test_it_says_the_last_user_message_back():
    history = [Message("user", "one"), Message("assistant", "one"), Message("user", "two words")]

    assert normalise(answer(messages=history)) == [
        Text("two words"),
        UsageReport(Usage.reported(4, 2, reasoning_tokens=0)),
        Stop("complete"),
    ]


@given(st.text(), st.integers(1, 9))
def test_text_comes_back_whole_in_pieces_of_the_size_set(said, size):
    events = answer(f".{said}", {"pieces": size})
    pieces = [event.content for event in events if isinstance(event, Text)]

    assert "".join(pieces) == f".{said}"
    assert {len(piece) for piece in pieces[:-1]} <= {size}


def test_a_fixed_reply_is_given_whatever_was_said():
    assert text_of(answer("hello", {"reply": "Fine!"})) == "Fine!"


def test_a_thought_comes_first_unless_thinking_is_off():
    said = "/think it is\nyes"

    assert normalise(answer(said))[:2] == [Reasoning("it is"), Text("yes")]
    assert normalise(answer(said, think="off"))[0] == Text("yes")
    assert answer(said)[-2].usage.reasoning_tokens == 2


def test_an_offered_tool_is_called_and_another_is_said_back():
    tools = (Tool("add"),)
    events = [e.to_dict() for e in answer('/tool add {"a": 1}\n/tool sub {}', tools=tools)]

    call = {"tool_call_id": "call_0_0"}
    assert events[-5:-2] == [
        {"type": "tool_call_start", **call, "tool_call_name": "add"},
        {"type": "tool_call_chunk", **call, "tool_call_arguments_chunk": '{"a": 1}'},
        {"type": "tool_call_end", **call, "tool_call_arguments_complete": '{"a": 1}'},
    ]
    assert events[-1] == {"type": "stop", "stop_reason": "tool_use"}
    assert text_of(answer("/tool sub {}", tools=tools)) == "/tool sub {}"
    assert text_of(answer("/tool add {}", tools=tools, tool_choice="none")) == "/tool add {}"


def test_arguments_that_are_no_object_are_marked():
    [*_, end, _usage, _stop] = answer("/tool add nonsense", tools=(Tool("add"),))

    assert (end.tool_call_arguments_complete, end.incomplete) == ("nonsense", True)


@pytest.mark.parametrize("named", [True, False])
def test_a_tool_that_must_be_called_is_called(named):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    tool = Tool("add", parameters=schema)
    events = answer("hi", tools=(tool,), tool_choice=tool if named else "required")

    assert events[-3].tool_call_arguments_complete == '{"a": 0}'


def test_the_result_of_a_tool_is_said_and_ids_go_on():
    history = [
        Message("user", "/tool add {}"),
        Message("assistant", ToolCall("call_0_0", "add")),
        Message("tool", ToolResult("call_0_0", "3")),
    ]

    assert text_of(answer(messages=history, tools=(Tool("add"),))) == "3"
    again = answer(messages=[*history, history[0]], tools=(Tool("add"),))
    assert again[0].tool_call_id == "call_1_0"


@pytest.mark.parametrize("kind", FAILURES)
def test_it_fails_as_it_is_told_after_its_text(kind):
    *texts, failed = answer(f"so far\n/fail {kind}")

    assert text_of(texts) == "so far"
    assert isinstance(failed, Failed)
    assert (type(failed.error), failed.error.kind) == (FAILURES[kind], kind)


def test_an_unknown_failure_is_a_bad_request():
    assert type(answer("/fail oddly")[-1].error) is BadRequest


@pytest.mark.parametrize(
    ("options", "text", "reason"),
    [
        ({"max_tokens": 2}, "one two", "max_tokens"),
        ({"max_tokens": 0}, "", "max_tokens"),
        ({"max_tokens": 3}, "one two three", "complete"),
        ({"max_tokens": -1}, "one two three", "complete"),
        ({"stop": ("three", " two")}, "one", "stop_sequence"),
        ({"stop": ("", "four"), "seed": 7}, "one two three", "complete"),
        ({"stop": (" three",), "max_tokens": 1}, "one", "max_tokens"),
    ],
)
def test_an_answer_ends_where_it_is_told_to(options, text, reason):
    events = answer("one two three", **options)

    assert (text_of(events), events[-1].stop_reason) == (text, reason)


def test_every_choice_is_the_same_and_has_its_own_end():
    events = normalise(answer("hi", n=2))

    assert events[:2] == [Text("hi"), Text("hi", choice=1)]
    assert events[-2:] == [Stop("complete", choice=1), Stop("complete")]
    assert events[2].usage.output_tokens == 2


@pytest.mark.parametrize(("asked", "alternatives"), [(0, 0), (3, 1)])
def test_logprobs_are_those_of_certainty(asked, alternatives):
    texts = [e for e in answer("to bé ", logprobs=asked) if isinstance(e, Text)]
    found = [entry for text in texts for entry in text.logprobs]

    assert [(entry.token, entry.logprob) for entry in found] == [("to", 0.0), (" bé ", 0.0)]
    assert bytes(found[1].bytes).decode() == " bé "
    assert {len(entry.top) for entry in found} == {alternatives}


@given(st.text())
def test_text_is_whole_with_logprobs_too(said):
    assert text_of(answer(f".{said}", logprobs=0)) == f".{said}"


SCHEMAS = [
    ({}, {}),
    ({"type": "object", "properties": {"a": {"const": 3}, "b": {}}, "required": ["a"]}, {"a": 3}),
    ({"type": "array", "items": {"type": "string", "minLength": 2}, "minItems": 2}, ["xx", "xx"]),
    ({"type": "array", "items": {"type": "string"}}, []),
    ({"enum": ["red", "green"]}, "red"),
    ({"type": ["null", "string"]}, None),
    ({"type": "boolean"}, False),
    ({"type": "number", "minimum": 2.5}, 2.5),
    ({"type": "integer", "exclusiveMinimum": 4}, 5),
    ({"type": "integer", "maximum": -2}, -2),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, ""),
    ({"$ref": "#/$defs/age", "$defs": {"age": {"type": "integer"}}}, 0),
]


@pytest.mark.parametrize(("schema", "value"), SCHEMAS)
def test_a_schema_is_answered_with_the_least_value(schema, value):
    assert least(schema) == value
    assert json.loads(text_of(answer("hello", response_schema=schema))) == value


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"$ref": "#/x"}, {"enum": []}])
def test_a_schema_that_it_cannot_answer_is_a_bad_request(schema):
    [failed] = answer("hello", response_schema=schema)

    assert type(failed.error) is BadRequest


def test_work_stops_when_the_reader_has_enough():
    model = chat.multitap_chat(backend(pieces=1))
    request = ChatRequest(model="echo", messages=(Message("user", "a long message"),))

    assert len(collect(model.chat(request), most=3)) == 3


# ---- vectors, ranks and tokens -------------------------------------------------------------------


def embed(*texts, settings=None, **options):
    model = embedding.multitap_embedding(backend(**(settings or {})))
    [result] = collect(model.embed(EmbeddingRequest(model="echo", texts=texts, **options)))
    return result


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4), st.integers(1, 99))
def test_vectors_have_length_one_and_the_width_asked_for(texts, width):
    vectors = embed(*texts, dimensions=width).vectors

    assert (len(vectors), vectors.width) == (len(texts), width)
    for row in vectors:
        assert sum(x * x for x in row) == pytest.approx(1, abs=1e-5)


def test_texts_that_share_words_are_near():
    cat, same, dog = embed("a black cat", "A black CAT!", "the dog barks").vectors

    assert list(cat) == list(same)
    assert sum(x * y for x, y in zip(cat, dog, strict=True)) < 0.5
    assert embed("x", settings={"dimensions": 5}).vectors.width == 5
    assert embed("one two", "three").usage.input_tokens == 3


def test_no_dimensions_at_all_is_a_bad_request():
    with pytest.raises(BadRequest, match="0 dimensions"):
        embed("x", dimensions=0)


def rank(query, *documents):
    model = rerank.multitap_rerank(backend())
    request = RerankRequest(model="echo", query=query, documents=documents)
    [ranking] = collect(model.rerank(request))
    return [(ranked.index, ranked.score) for ranked in ranking.results]


def test_documents_are_ranked_by_the_words_they_share():
    assert rank("Red fox", "nothing", "a red fox", "the fox") == [(1, 1.0), (2, 0.5), (0, 0.0)]
    assert rank("?", "?", "a") == [(0, 0.0), (1, 0.0)]


def tokens_of(text, **options):
    model = tokenize.multitap_tokenize(backend())
    [tokens] = collect(model.tokenize(TokenizeRequest(model="echo", text=text, **options)))
    return tokens


def joined(ids):
    model = tokenize.multitap_tokenize(backend())
    [result] = collect(model.detokenize(DetokenizeRequest(model="echo", ids=ids)))
    return result


@given(st.text(), st.booleans())
def test_tokens_are_the_text_again(text, special):
    tokens = tokens_of(text, special=special)

    assert joined(tokens.ids).text == text
    assert b"".join(tokens.pieces) == text.encode()
    assert len(tokens.ids) == len(tokens.pieces)
    assert tokens.ids[:1] == (1,) or not special
    assert all(0 < token < 2**63 for token in tokens.ids)


def test_a_short_word_is_one_token():
    tokens = tokens_of("to be or not to be")

    assert tokens.pieces == (b"to", b" be", b" or", b" not", b" to", b" be")
    assert tokens.ids[1] == tokens.ids[5]


@pytest.mark.parametrize("token", [0, -1, 2, 2**70])
def test_an_id_of_no_token_is_a_bad_request(token):
    assert type(joined((token,)).error) is BadRequest


# ---- sound ---------------------------------------------------------------------------------------


def speak(text, **options):
    model = speech.multitap_speech(backend())
    return collect(model.speak(SpeechRequest(model="echo", text=text, **options)))


def sound_of(text, **options):
    return b"".join(piece.data for piece in speak(text, **options))


def hear(source, **options):
    model = transcription.multitap_transcription(backend())
    audio = File("sound.wav", source)
    return collect(model.transcribe(TranscriptionRequest(model="echo", audio=audio, **options)))


@given(st.text())
def test_it_hears_what_it_spoke(text):
    [transcript] = hear(sound_of(text))

    assert transcript.text == text


def test_the_sound_is_a_wav_file_that_others_can_open():
    pieces = speak("x" * 9000, speed=0.5)
    with wave.open(io.BytesIO(b"".join(piece.data for piece in pieces))) as sound:
        facts = sound.getnchannels(), sound.getsampwidth(), sound.getframerate(), sound.getnframes()

    assert facts == (1, 2, 8000, 9000)
    assert len(pieces) > 1
    assert {(piece.mime_type, piece.sample_rate) for piece in pieces} == {("audio/wav", 8000)}


def test_bare_samples_on_demand():
    [piece] = speak("a", format="pcm")

    assert piece.mime_type == "audio/pcm"
    assert struct.unpack("<h", piece.data) == ((ord("a") - 128) * 256,)


def test_words_are_heard_one_by_one_with_their_times(tmp_path):
    path = tmp_path / "sound.wav"
    path.write_bytes(sound_of("to be"))

    *deltas, whole = hear(path, stream=True, timestamps="word")

    assert deltas == [TranscriptDelta("to"), TranscriptDelta(" be")]
    assert isinstance(whole, Transcript)
    assert whole.duration == 5 / 16000
    assert whole.segments == (
        Segment(0, 2 / 16000, "to"),
        Segment(2 / 16000, 5 / 16000, "be"),
    )
    [whole] = hear(path, timestamps="segment")
    assert whole.segments == (Segment(0, 5 / 16000, "to be"),)


@pytest.mark.parametrize("sound", [b"", b"noise", b"RIFF\x00\x00\x00\x00WAVE"])
def test_what_the_echo_did_not_speak_is_a_bad_request(sound):
    [failed] = hear(sound)

    assert type(failed.error) is BadRequest


def test_what_it_cannot_do_is_refused_at_once():
    with pytest.raises(BadRequest, match="mp3"):
        speak("x", format="mp3")
    with pytest.raises(BadRequest, match="'alloy'"):
        speak("x", voice="alloy")
    with pytest.raises(NotSupported, match="translate"):
        hear(b"", translate=True)


def test_it_has_one_voice():
    [voice] = collect(speech.multitap_speech(backend()).voices("echo"))

    assert speak("x", voice=voice.name)


# ---- judgements and pictures ---------------------------------------------------------------------


def test_words_of_the_list_are_flagged():
    model = moderation.multitap_moderation(backend())
    texts = ("Good day", "You IDIOT!", "kill, murder")
    fine, rude, violent = collect(model.moderate(ModerationRequest(model="echo", texts=texts)))

    assert [bool(fine), bool(rude), bool(violent)] == [False, True, True]
    assert rude.categories == {"harassment": True, "violence": False}
    assert violent.scores == {"harassment": 0.0, "violence": 1.0}


def draw(prompt, **options):
    model = image.multitap_image(backend())
    return collect(model.draw(ImageRequest(model="echo", prompt=prompt, **options)))


def test_a_picture_is_a_png_of_one_colour():
    [picture] = draw("a cat", size="3x2")
    width, height = struct.unpack(">II", picture.data[16:24])
    length = struct.unpack(">I", picture.data[33:37])[0]
    rows = zlib.decompress(picture.data[41 : 41 + length])

    assert (width, height, picture.mime_type) == (3, 2, "image/png")
    assert rows == (b"\x00" + rows[1:4] * 3) * 2
    assert draw("a cat", size="3x2") == [picture]


def test_the_pictures_of_one_request_differ():
    assert len({picture.data for picture in draw("a cat", n=3)}) == 3


@pytest.mark.parametrize("size", ["big", "0x4", "4x9999", "-1x4"])
def test_an_impossible_size_is_a_bad_request(size):
    with pytest.raises(BadRequest, match=size):
        draw("a cat", size=size)


def test_it_does_not_change_pictures():
    with pytest.raises(NotSupported):
        draw("a cat", sources=(File("cat.png", b""),))


# ---- the plugin as a whole -----------------------------------------------------------------------


def test_there_is_one_model():
    [model] = collect(catalog.multitap_catalog(backend()).models())

    assert (model.id, model.loaded) == ("echo", True)
    of_servers = {"catalog", "launcher", "lifecycle", "provider"}
    assert set(CAPABILITIES) - of_servers < model.capabilities


@pytest.mark.parametrize("verb", ["pull", "load", "unload"])
def test_progress_is_reported_to_its_end(verb):
    steps = collect(getattr(lifecycle.multitap_lifecycle(backend()), verb)("echo"))

    assert [step.completed for step in steps] == [0, 1, 2, 3, 4]
    assert {(step.status, step.total) for step in steps} == {(f"{verb}ing echo", 4)}


def test_every_endpoint_and_key_is_good():
    [found] = collect(provider.multitap_provider(backend()).validate(None))

    assert found.server.startswith("multitap-echo ")
    assert (found.models, found.account, found.remaining) == (1, None, None)


def test_a_refusal_is_the_one_that_the_section_names():
    refusing = provider.multitap_provider(backend(refuse="authentication_error"))

    with pytest.raises(AuthenticationError):
        refusing.validate("echo")


def test_every_capability_is_an_entry_point_that_the_registry_accepts():
    project = tomllib.loads((HOME / "pyproject.toml").read_text("utf-8"))["project"]
    found = Registry(environ={"MULTITAP_PLUGINS": "none"})

    for group, entries in project["entry-points"].items():
        found.add(import_module(entries["echo"]), "echo", [group.removeprefix("multitap.")])

    # there is nothing to launch
    wanted = [name for name in CAPABILITIES if name != "launcher"]
    assert [row.capability for row in found.capabilities() if row.state != "denied"] == wanted
    assert all(found.build(capability, backend()) for capability in wanted)


def test_the_manifest_says_what_the_modules_do_without_settings():
    tables = tomllib.loads((HOME / "src/multitap_echo/provider.toml").read_text("utf-8"))
    info = provider_from_table("echo", tables["echo"])
    defaults = {s.name: s.default for s in info.settings.values() if s.default is not None}

    assert set(info.settings) == {"pieces", "reply", "dimensions", "refuse"}
    assert answer("a longer text", defaults) == answer("a longer text")
    assert embed("a", settings=defaults) == embed("a")


def test_the_readme_lists_every_failure():
    readme = (HOME / "README.md").read_text("utf-8")

    assert [kind for kind in FAILURES if f"`{kind}`" not in readme] == []
