"""What does not behave as the matrix says yet: it has to fail, and the list has to get empty."""

from __future__ import annotations

import re

PENDING = {
    r"\[B1-no_first_byte-\w+-stream": "it is tried twice more, not once",
    r"\[B1-no_first_byte-llamaserver-whole": "a plugin's own clock hides the one asked for",
    r"\[B2-silent\w*-vllm": "a plugin's own clock hides the one asked for",
    r"\[B3-pings_only-(\w+-stream|llamaserver|tgi)": "it is tried twice more, not once",
    r"\[B3-pings_after_text-(llamaserver|tgi)-whole": "no clock of progress where chat() streams",
    r"\[B4-dripped_head-": "it is tried twice more, not once; and a whole answer may have run",
    r"\[D10-refuses-424-tgi": "it is tried twice more, not once",
    r"\[C8-html_page-(vllm-s|openai-s|lmstudio-s|llamaserver|tgi)": "it is taken for a cut stream",
    r"\[D17-refuses-504-\w+-whole": "it is tried again, though it may have run",
    r"a_name_that_is_not_found\[.*no such name": "a name that does not exist is looked up again",
    r"opens_no_tunnel.*no HTTP": "a proxy that speaks no HTTP is taken for the backend",
    r"handshake_that_is_reset.*whole": "nothing was sent, and yet it is not tried again",
}
"""Reasons, by what the name of a test holds."""


def reason(name):
    """Why a test has to fail for now, or ``None``."""
    return next((why for pattern, why in PENDING.items() if re.search(pattern, name)), None)
