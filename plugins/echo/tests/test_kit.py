"""The echo, which declares everything, keeps every rule of the kit."""

from multitap.testing.kit import (
    Ask,
    CatalogSuite,
    ChatSuite,
    EmbeddingSuite,
    ImageSuite,
    LifecycleSuite,
    ModerationSuite,
    ProviderSuite,
    RerankSuite,
    SpeechSuite,
    TokenizeSuite,
    TranscriptionSuite,
)
from multitap_echo.sound import RATE, wav_of

SPOKEN = wav_of("Zürich is a city", RATE)


class TestEcho(
    ChatSuite,
    EmbeddingSuite,
    RerankSuite,
    TokenizeSuite,
    TranscriptionSuite,
    SpeechSuite,
    ModerationSuite,
    ImageSuite,
    CatalogSuite,
    LifecycleSuite,
    ProviderSuite,
):
    provider = "echo"
    transcription_questions = (
        Ask(verb="transcribe", args=(SPOKEN,)),
        Ask(verb="transcribe", args=(SPOKEN,), options={"timestamps": "word"}),
        Ask(verb="transcribe_stream", args=(SPOKEN,)),
    )
