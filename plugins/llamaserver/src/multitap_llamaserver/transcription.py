"""Transcription over ``/v1/audio/transcriptions``, with a model that takes sound (``--mmproj``)."""

from __future__ import annotations

from functools import partial

import attrs

from multitap.capabilities.transcription import TranscriptionOutput, TranscriptionRequest
from multitap.dialects.openai.audio import AudioTranscriptions
from multitap.errors import NotSupported
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange
from multitap_llamaserver.errors import explain_llamaserver

__all__ = ("LlamaServerTranscription", "multitap_transcription")


@attrs.frozen
class LlamaServerTranscription:
    """Writes down sound with one server's models; ``prompt`` is all that they are told of it."""

    sounds: AudioTranscriptions

    def transcribe(self, request: TranscriptionRequest, /) -> Exchange[TranscriptionOutput]:
        """One form with the sound as a file.

        Raises:
            NotSupported: Times or a translation are asked for; llama-server has neither.
        """
        wanted = {"timestamps": request.timestamps is not None, "translate": request.translate}
        for name, asked in wanted.items():
            if asked:
                raise NotSupported(
                    f"llama-server writes down what is said, without {name}",
                    hint=f"Leave {name} out, or say in prompt= what is to be done.",
                    kind="unsupported_option",
                )
        return self.sounds.transcribe(request)


@hookimpl
def multitap_transcription(backend: Backend) -> LlamaServerTranscription:
    """Write down what is said, with a llama-server whose model takes sound."""
    explain = partial(explain_llamaserver, backend=backend.id)
    return LlamaServerTranscription(AudioTranscriptions(backend, explain=explain))
