"""What does not behave as the matrix says yet: it has to fail, and the list has to get empty."""

from __future__ import annotations

import re

PENDING = {
    r"\[B1-no_first_byte-\w+-stream": "a stream without a first byte is tried twice more, not once",
    r"\[B3-": "bytes that say nothing have no clock of their own",
    r"\[B4-dripped_head-": "a head has no clock of its own",
    r"\[C5-": "limits cannot be set for a call",
    r"\[C8-html_page-(\w+-stream|llamaserver|tgi)": "a page is taken for a stream that was cut",
    r"\[D15-refuses-429-31536000-": "a hint of a year ends the call, as if it were one",
    r"\[D17-refuses-504-\w+-whole": "a gateway's timeout is tried again, though it may have run",
    r"\[D24-": "x-should-retry is not looked at",
    r"a_spent_account_is_not_asked_again": "a spent key is not remembered",
    r"a_model_that_loads_": "loading is taken for overload, and not polled",
    r"a_name_that_is_not_found\[.*no such name": "a name that does not exist is looked up again",
    r"opens_no_tunnel.*no HTTP": "a proxy that speaks no HTTP is taken for the backend",
    r"handshake_that_is_reset.*whole": "nothing was sent, and yet it is not tried again",
}
"""Reasons, by what the name of a test holds."""


def reason(name):
    """Why a test has to fail for now, or ``None``."""
    return next((why for pattern, why in PENDING.items() if re.search(pattern, name)), None)
