"""The kit's rules, each with what the server of this folder really said."""

from pathlib import Path

from multitap.testing.kit import CatalogSuite, ChatSuite


class TestAbacus(ChatSuite, CatalogSuite):
    provider = "abacus"
    vectors = Path(__file__).parent / "vectors"
    # the kit looks for values of JSON; test_lines.py says of lines what these two rules say
    deviations = {
        "chat/options": "a limit is a line, `limit: 17`, and no number of JSON",
        "chat/said": "a message is one line, so the ends of lines in it are escaped",
    }
