"""OpenAI is held to the rules of the kit: its own rules, those of other servers, and both APIs."""

from __future__ import annotations

import openai_kit_vectors as said
from scripted_openai import ScriptedOpenAI

from multitap.testing.kit import (
    Ask,
    CatalogSuite,
    ChatSuite,
    EmbeddingSuite,
    ImageSuite,
    ModerationSuite,
    ProviderSuite,
    SpeechSuite,
    TranscriptionSuite,
)

QUESTIONS = (Ask("stream", ("Say hello.",)),)


class TestOpenAI(
    ChatSuite,
    EmbeddingSuite,
    TranscriptionSuite,
    SpeechSuite,
    ModerationSuite,
    ImageSuite,
    CatalogSuite,
    ProviderSuite,
):
    provider = "openai"
    model = "tiny"
    config = {"openai": {"server": "openai"}}
    vectors = (*map(said.chat, (*said.CHATS, *said.REFUSALS)), *said.OF_OPENAI, *said.OTHERS)

    @classmethod
    def server(cls):
        return ScriptedOpenAI()


class TestCompatible(ChatSuite, EmbeddingSuite):
    """Another server than OpenAI's is asked for less."""

    provider = "openai"
    model = "tiny"
    rest = TestOpenAI
    config = {"openai": {"server": "compatible"}}
    vectors = (
        *map(said.chat, ("chat_length", "chat_stream_length")),
        said.embedding("embeddings_batch"),
    )

    @classmethod
    def server(cls):
        return ScriptedOpenAI()


class TestResponses(ChatSuite):
    """Chats over ``/v1/responses``."""

    provider = "openai"
    model = "tiny"
    rest = TestOpenAI
    config = {"openai": {"server": "openai", "api": "responses"}}
    vectors = (*map(said.response, said.RESPONSES), *said.REASONED)

    @classmethod
    def server(cls):
        return ScriptedOpenAI()
