"""The echo, which declares everything, keeps every rule of the kit."""

from multitap.testing.kit import ChatSuite, EmbeddingSuite


class TestEcho(ChatSuite, EmbeddingSuite):
    provider = "echo"
