"""What does not behave as the matrix says yet: it has to fail, and the list has to get empty."""

from __future__ import annotations

import re

PENDING = {
    r"-B3-pings_only-(llamaserver|tgi)-whole": "no clock of progress where chat() streams",
    r"-B3-pings_after_text-(llamaserver|tgi)-whole": "no clock of progress where chat() streams",
    r"-D10-refuses-424-tgi": "it is tried twice more, not once",
    r"-C8-html_page-(vllm-s|openai-s|lmstudio-s|llamaserver|tgi)": "it is taken for a cut stream",
    r"a_model_that_loads_.*(vllm|ollama)": "its error is of no kind of its own, so nothing polls",
    r"a_name_that_is_not_found\[.*no such name": "a name that does not exist is looked up again",
    r"opens_no_tunnel.*no HTTP": "a proxy that speaks no HTTP is taken for the backend",
    r"a_call_that_is_said_twice_is_one": "the second is added to the first, which ruins both",
    r"counts_that_cannot_be": "counts are taken as they come, or spoil the answer",
    r"an_answer_of_another_model_says_so": "only LM Studio's plugin looks at the model's name",
}
"""Reasons, by what the name of a test holds."""


def reason(name):
    """Why a test has to fail for now, or ``None``."""
    return next((why for pattern, why in PENDING.items() if re.search(pattern, name)), None)
