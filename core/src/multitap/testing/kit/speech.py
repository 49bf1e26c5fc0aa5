"""The rules of speech."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import attrs

from multitap.capabilities.speech import SpeechRequest, Voice
from multitap.errors import BackendError
from multitap.events import AudioData
from multitap.testing.finding import Finding
from multitap.testing.kit.rule import rule
from multitap.testing.kit.sent import assert_option_is_heard, assert_sends
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.vector import Ask, Vector
from multitap.testing.kit.wire import Kind, answer_rules, answered, question_of, replayed
from multitap.testing.steps import close, request, send
from multitap.testing.worlds import Blocking
from multitap.work import Exchange

__all__ = ("SpeechSuite",)

TEXT = 'Grüezi — 東京, "wohin"?'
OPTIONS: Mapping[str, Any] = {
    "voice": "kit",
    "format": "flac",
    "speed": 1.5,
    "instructions": "Slowly, please.",
}
BARE = ("audio/pcm", "audio/l16", "audio/raw", "audio/x-raw")


def facts_of_sound(items: Sequence[Any]) -> Mapping[str, Any]:
    """The type, rate, length and SHA-256 of a sound; or the names of voices."""
    pieces = [item for item in items if isinstance(item, AudioData)]
    data = b"".join(piece.data for piece in pieces)
    return {
        "mime_type": pieces[0].mime_type if pieces else None,
        "sample_rate": pieces[0].sample_rate if pieces else None,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "voices": [item.name for item in items if isinstance(item, Voice)],
    }


KIND = Kind(
    capability="speech",
    results=(AudioData, Voice),
    facts=facts_of_sound,
    own=frozenset({"mime_type", "sample_rate"}),
    framed=False,
)


@answer_rules(KIND)
class SpeechSuite(Suite):
    """What a plugin that speaks promises.

    Attributes:
        speech_questions: What one that works in this process is asked.
    """

    capability: ClassVar[str] = "speech"
    speech_questions: ClassVar[Sequence[Ask]] = (
        Ask(verb="speak", args=("Is anybody there?",)),
        Ask(verb="speak_stream", args=("a long text " * 1000,)),
        Ask(verb="voices", args=()),
    )

    def describe_speech(self, model: Any) -> Any:
        """The work of a plain question."""
        return model.speak(SpeechRequest(model="model", text="hi"))

    @rule(
        "speech/streamed",
        "The first of a long sound is heard before the last of it is made.",
        mend="Give out in feed() what has come; hold nothing until finish().",
        vectors="streams",
    )
    def test_speech_streamed(self, vector: Vector) -> None:
        if self.subject().in_process:
            if len(answered(self, vector)) < 2:
                raise Finding("one piece", expected="several", smallest=vector)
            return
        work = getattr(question_of(self, vector).call, "work", None)
        body = vector.recording.body
        if isinstance(work, Exchange) and len(body) > 1:
            decoder = work.decoder(vector.recording.head)
            early = decoder.feed(body[: -(len(body) // 4) or None])
            if not any(isinstance(item, AudioData) and item.data for item in early):
                smallest = f"{vector}, its first {3 * len(body) // 4} bytes"
                raise Finding("nothing", expected="a piece of the sound", smallest=smallest)

    @rule(
        "speech/types",
        "Every piece says its type, and of bare samples the rate; all say the same.",
        mend="Take the type from the answer's head or from the format that was asked for.",
        vectors="answers streams",
    )
    def test_speech_types(self, vector: Vector) -> None:
        pieces = [item for item in answered(self, vector) if isinstance(item, AudioData)]
        kinds = {(piece.mime_type, piece.sample_rate) for piece in pieces}
        asked = {name: vector.expect[name] for name in KIND.own & vector.expect.keys()}
        for mime_type, rate in kinds:
            told = {"mime_type": mime_type, "sample_rate": rate}
            fits = mime_type.startswith("audio/") and (rate or mime_type not in BARE)
            if len(kinds) > 1 or not fits or {n: told[n] for n in asked} != asked:
                expected = asked or "one audio type, with a rate where the bytes do not tell it"
                raise Finding(sorted(map(str, kinds)), expected=expected, smallest=vector)

    @rule(
        "speech/cut",
        "A sound that breaks off is an error, and not a short sound.",
        mend="Use an Exchange: the engine sees it; look for the end where the server tells it.",
        vectors="answers streams",
        wire=True,
    )
    def test_speech_cut(self, vector: Vector) -> None:
        body = vector.recording.body
        if vector.ask.verb == "voices" or len(body) < 2:
            return
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n"
        kind = vector.recording.headers.get("content-type", "")
        half = f"{head}content-type: {kind}\r\n\r\n".encode() + body[: len(body) // 2]
        with self.answering(Blocking, script=[request, send(half), close]) as (here, _):
            try:
                found = here.call("speak", *vector.ask.args)
            except BackendError:
                return
        smallest = f"{vector}, its first {len(body) // 2} bytes"
        raise Finding(found, expected="a failure", smallest=smallest)

    @rule(
        "speech/voices",
        "Every voice has a name, which no other has, and a title.",
        mend="Take the server's own word as the name; without a title, the name is one.",
        vectors="answers",
    )
    def test_speech_voices(self, vector: Vector) -> None:
        voices = [item for item in answered(self, vector) if isinstance(item, Voice)]
        names = [voice.name for voice in voices]
        if not all(v.name and v.title for v in voices) or len(set(names)) != len(names):
            raise Finding(voices, expected="names, each once, and titles", smallest=vector)

    @rule(
        "speech/texts",
        "The text is sent as it is.",
        mend="Put it into the body as it is: no strip, no cut.",
        vectors="answers streams",
        wire=True,
    )
    def test_speech_texts(self, vector: Vector) -> None:
        if vector.ask.verb == "voices":
            return
        ask = attrs.evolve(vector.ask, args=(TEXT,))
        played = replayed(self, attrs.evolve(vector, ask=ask))
        assert_sends(self, played, [TEXT], f"speak({TEXT!r})")

    @rule(
        "speech/options",
        "voice, format, speed and instructions are sent, or refused.",
        mend="Send it, or raise NotSupported.",
        vectors="answers streams",
        wire=True,
    )
    def test_speech_options(self, vector: Vector) -> None:
        for name, value in OPTIONS.items() if vector.ask.verb != "voices" else ():
            assert_option_is_heard(self, vector, name, value)
