"""Speech over ``/v1/audio/speech``."""

from __future__ import annotations

from multitap.capabilities.speech import Voice
from multitap.dialects.openai.audio import AudioSpeech
from multitap.hookspecs import Backend, hookimpl
from multitap_openai.errors import explain
from multitap_openai.server import Server

__all__ = ("multitap_speech",)

MOST_CHARACTERS = 4096  # in one request to OpenAI
_NAMES = "alloy ash ballad coral echo fable nova onyx sage shimmer verse"
VOICES = tuple(Voice(name=name, title=name.capitalize()) for name in _NAMES.split())


@hookimpl
def multitap_speech(backend: Backend) -> AudioSpeech:
    """Speak with OpenAI, or a server that speaks its API."""
    server = Server.of(backend)
    ours = server.rules == "openai"
    return AudioSpeech(
        backend,
        path=server.path("/audio/speech"),
        explain=explain,
        headers=server.headers,
        known=VOICES if ours else (),
        voice=backend.settings.get("voice") or (VOICES[0].name if ours else None),
        longest=MOST_CHARACTERS if ours else None,
    )
