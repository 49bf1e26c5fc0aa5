"""The rules of transcription."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from multitap.capabilities.transcription import (
    Segment,
    Transcript,
    TranscriptDelta,
    TranscriptionRequest,
)
from multitap.testing.finding import Finding
from multitap.testing.kit.facts import facts_of_usage
from multitap.testing.kit.rule import rule
from multitap.testing.kit.sent import assert_option_is_heard, assert_sends_file
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.vector import Ask, Vector
from multitap.testing.kit.wire import Kind, answer_rules, answered, replayed
from multitap.work import File

__all__ = ("TranscriptionSuite", "silence")

OPTIONS: Mapping[str, Any] = {
    "language": "de",
    "prompt": "Zürich, Limmat",
    "temperature": 0.25,
    "timestamps": "word",
    "translate": True,
}


def silence(samples: int = 800, rate: int = 8000) -> bytes:
    """A WAV file in which nothing is heard."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        sound.writeframes(bytes(2 * samples))
    return file.getvalue()


def facts_of_transcript(items: Sequence[Any]) -> Mapping[str, Any]:
    """Of the transcript: text, language, duration, segments and usage."""
    found = [item for item in items if isinstance(item, Transcript)]
    if not found:
        return {"pieces": [item.text for item in items]}
    whole = found[-1]
    return {
        "text": whole.text,
        "language": whole.language,
        "duration": whole.duration,
        "segments": [[s.start, s.end, s.text] for s in whole.segments],
        "usage": facts_of_usage(whole.usage),
    }


KIND = Kind(
    capability="transcription",
    results=(TranscriptDelta, Segment, Transcript),
    facts=facts_of_transcript,
    own=frozenset({"segments"}),
)


@answer_rules(KIND)
class TranscriptionSuite(Suite):
    """What a plugin that writes down what is said promises.

    Attributes:
        transcription_questions: What one that works in this process is asked.
    """

    capability: ClassVar[str] = "transcription"
    transcription_questions: ClassVar[Sequence[Ask]] = (
        Ask(verb="transcribe", args=(silence(),)),
        Ask(verb="transcribe_stream", args=(silence(),)),
    )

    def describe_transcription(self, model: Any) -> Any:
        """The work of a plain question."""
        audio = File("silence.wav", silence(), "audio/wav")
        return model.transcribe(TranscriptionRequest(model="model", audio=audio))

    @rule(
        "transcription/joined",
        "The pieces, joined, are the text of the whole.",
        mend="Give the pieces with their spaces, and the server's whole text at the end.",
        vectors="streams",
    )
    def test_transcription_joined(self, vector: Vector) -> None:
        items = answered(self, vector)
        pieces = [item.text for item in items if isinstance(item, TranscriptDelta)]
        whole = [item.text for item in items if isinstance(item, Transcript)]
        if pieces and "".join(pieces) != whole[-1]:
            raise Finding("".join(pieces), expected=whole[-1], smallest=vector)

    @rule(
        "transcription/last",
        "There is one Transcript, and it is the last of all.",
        mend="Give it once, at the server's sign of the end, in finish() at the latest.",
        vectors="answers streams",
    )
    def test_transcription_last(self, vector: Vector) -> None:
        kinds = [type(item).__name__ for item in answered(self, vector)]
        if kinds.count("Transcript") != 1 or kinds[-1] != "Transcript":
            expected = "pieces and segments, then one Transcript"
            raise Finding(", ".join(kinds), expected=expected, smallest=vector)

    @rule(
        "transcription/times",
        "Times are seconds from the start, and ascend.",
        mend="Make seconds of milliseconds and of samples; sort the segments.",
        vectors="answers streams",
    )
    def test_transcription_times(self, vector: Vector) -> None:
        whole = [item for item in answered(self, vector) if isinstance(item, Transcript)][-1]
        came = [[s.start, s.end, s.text] for s in whole.segments]
        expected = vector.expect.get("segments", came)
        ends = [0.0, *(segment.end for segment in whole.segments)]
        ascending = all(s.start <= s.end for s in whole.segments) and ends == sorted(ends)
        if came != expected or not ascending:
            raise Finding(came, expected=expected, smallest=vector)

    @rule(
        "transcription/audio",
        "The sound is sent byte by byte, whether it is bytes or a file.",
        mend="Put request.audio into a Multipart body as it is; the engine reads its path.",
        vectors="answers streams",
        wire=True,
    )
    def test_transcription_audio(
        self, vector: Vector, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        sound = silence(123)
        path = tmp_path_factory.mktemp("kit") / "silence.wav"
        path.write_bytes(sound)
        for audio in (sound, path):
            ask = attrs.evolve(vector.ask, args=(audio,))
            played = replayed(self, attrs.evolve(vector, ask=ask))
            smallest = "a path" if isinstance(audio, Path) else f"{len(sound)} bytes"
            assert_sends_file(self, played, sound, f"{ask.verb}({smallest})")

    @rule(
        "transcription/options",
        "language, prompt, temperature, timestamps and translate are sent, or refused.",
        mend="Send it, or raise NotSupported.",
        vectors="answers streams",
        wire=True,
    )
    def test_transcription_options(self, vector: Vector) -> None:
        for name, value in OPTIONS.items():
            assert_option_is_heard(self, vector, name, value)
