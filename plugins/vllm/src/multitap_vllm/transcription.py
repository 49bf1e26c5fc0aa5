"""Transcription over ``/v1/audio/transcriptions``, or ``/v1/audio/translations`` for English.

vLLM streams both, in words of its own. It tells times of segments, and none of words.
"""

from __future__ import annotations

from multitap.dialects.openai.audio import AudioTranscriptions
from multitap.hookspecs import Backend, hookimpl
from multitap_vllm.calls import SILENCE
from multitap_vllm.errors import explain_vllm

__all__ = ("multitap_transcription",)


@hookimpl
def multitap_transcription(backend: Backend) -> AudioTranscriptions:
    """Write down what is said, with a vLLM server whose model can hear."""
    return AudioTranscriptions(
        backend,
        explain=explain_vllm,
        streaming={"stream": "true", "stream_include_usage": "true"},
        streams_translations=True,
        hears_language=True,
        first_byte=SILENCE,
    )
