"""Transcription over ``/v1/audio/transcriptions``, or ``/v1/audio/translations`` for English."""

from __future__ import annotations

from multitap.dialects.openai.audio import AudioTranscriptions
from multitap.hookspecs import Backend, hookimpl
from multitap_openai.errors import explain
from multitap_openai.server import Server

__all__ = ("multitap_transcription",)


@hookimpl
def multitap_transcription(backend: Backend) -> AudioTranscriptions:
    """Write down what is said, with OpenAI or a server that speaks its API."""
    server = Server.of(backend)
    return AudioTranscriptions(
        backend, path=server.path("/audio"), explain=explain, headers=server.headers
    )
