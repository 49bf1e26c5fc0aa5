"""A plugin for tests: transcription, speech, moderation and images, as the test writes them."""

from __future__ import annotations

import threading

from multitap.capabilities.transcription import Transcript
from multitap.events import Failed, Usage
from multitap.hookspecs import hookimpl
from multitap.work import LocalExchange

SAID = Transcript(text="hello", usage=Usage.reported(2, 1))


class MediaStage:
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
