"""The kit's rules, each with what the server of this folder really said."""

from pathlib import Path

from multitap_abacus.lines import plain

from multitap.testing.kit import CatalogSuite, ChatSuite


class TestAbacus(ChatSuite, CatalogSuite):
    provider = "abacus"
    vectors = Path(__file__).parent / "vectors"

    def read_request(self, body: bytes) -> object:
        """The words of each line, and a limit as its number."""
        rows = [line.split(": ", 1) for line in body.decode().removesuffix("\n\n").split("\n")]
        return [[key, int(text) if key == "limit" else plain(text)] for key, text in rows]
