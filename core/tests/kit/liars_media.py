"""For each rule about sounds and pictures a plugin that breaks it, and is honest otherwise."""

from __future__ import annotations

import attrs
from liars_any import liars, of
from multitap_acme.media import AcmeImage, AcmeSpeech, AcmeTranscription

from multitap.capabilities.speech import Voice
from multitap.capabilities.transcription import Segment, Transcript
from multitap.errors import TruncatedStream
from multitap.events import ImageData, Usage
from multitap.work import Operation

# ---- transcription -------------------------------------------------------------------------------


class CountsNothing(AcmeTranscription):
    def usage(self, line):
        return Usage.reported(0, None)


class StripsPieces(AcmeTranscription):
    def piece(self, piece):
        return piece.strip()


class SaysItTwice(AcmeTranscription):
    def transcripts(self, line):
        return super().transcripts(line) * 2


class Milliseconds(AcmeTranscription):
    def segment(self, span):
        return Segment(*span.milliseconds, span.text)


class HalfTheSound(AcmeTranscription):
    def sound(self, request):
        source = request.audio.source
        data = source if isinstance(source, bytes) else source.read_bytes()
        return attrs.evolve(request.audio, source=data[: len(data) // 2])


class NoPrompt(AcmeTranscription):
    def fields(self, request):
        return super().fields(attrs.evolve(request, prompt=None))


# ---- speech --------------------------------------------------------------------------------------


class Clips:
    """The last byte is not worth while."""

    def __init__(self, stage):
        self.stage, self.held = stage, []

    def feed(self, data):
        held, self.held = self.held, [self.stage.feed(bytes([byte]))[0] for byte in data]
        ready, self.held = [*held, *self.held][:-1], self.held[-1:]
        return ready

    def finish(self):
        return self.stage.finish()


class ClipsTheEnd(AcmeSpeech):
    def sounding(self, head):
        return Clips(super().sounding(head))


class FirstLost:
    def __init__(self, stage):
        self.stage = stage

    def feed(self, data):
        return self.stage.feed(data) if len(data) > 1 else []

    def finish(self):
        return self.stage.finish()


class LosesSingleBytes(AcmeSpeech):
    def sounding(self, head):
        return FirstLost(super().sounding(head))


class Holds:
    """All of it at the end."""

    def __init__(self, stage):
        self.stage, self.held = stage, []

    def feed(self, data):
        self.held += self.stage.feed(data)
        return []

    def finish(self):
        return self.held


class WaitsForTheEnd(AcmeSpeech):
    def sounding(self, head):
        return Holds(super().sounding(head))


class AllIsMp3(AcmeSpeech):
    def mime_type(self, head):
        return "audio/mpeg"


class ShortIsFine(AcmeSpeech):
    """What breaks off is taken for the end."""

    def speak(self, request, /):
        work = super().speak(request)

        def steps():
            try:
                yield work
            except TruncatedStream:
                return

        return Operation(steps, self.explain)


class Untitled(AcmeSpeech):
    def listed(self, found):
        return [Voice(name=voice.name, title="") for voice in super().listed(found)]


class ShortText(AcmeSpeech):
    def body(self, request):
        return {**super().body(request), "text": request.text[:10]}


class OwnPace(AcmeSpeech):
    def body(self, request):
        return super().body(attrs.evolve(request, speed=None))


# ---- images --------------------------------------------------------------------------------------


class AddsAByte(AcmeImage):
    def picture(self, text):
        found = super().picture(text)
        return ImageData(found.data + b"\0", found.mime_type)


class DrawsTwice(AcmeImage):
    def counted(self, pictures, wanted):
        return [*pictures, *pictures[-1:] * wanted][:wanted]


class AllIsJpeg(AcmeImage):
    def mime_type(self, data):
        return "image/jpeg"


class StripsThePrompt(AcmeImage):
    def body(self, request):
        return super().body(attrs.evolve(request, prompt=request.prompt.strip()))


class OneSize(AcmeImage):
    def body(self, request):
        return super().body(attrs.evolve(request, size=None))


SPEECH = liars("speech", None)
SPEECH.pop("speech/beginnings")  # a bare sound does not show where it ends: speech/cut
LIARS = {
    **liars("transcription", Transcript(text="")),
    **of(
        "transcription",
        answer=CountsNothing,
        joined=StripsPieces,
        last=SaysItTwice,
        times=Milliseconds,
        audio=HalfTheSound,
        options=NoPrompt,
    ),
    **SPEECH,
    **of(
        "speech",
        answer=ClipsTheEnd,
        cuts=LosesSingleBytes,
        streamed=WaitsForTheEnd,
        types=AllIsMp3,
        cut=ShortIsFine,
        voices=Untitled,
        texts=ShortText,
        options=OwnPace,
    ),
    **liars("image", ImageData(b"", "image/png")),
    **of(
        "image",
        answer=AddsAByte,
        count=DrawsTwice,
        types=AllIsJpeg,
        texts=StripsThePrompt,
        options=OneSize,
    ),
}
