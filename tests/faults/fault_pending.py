"""What does not behave as the matrix says yet: it has to fail, and the list has to get empty."""

from __future__ import annotations

import re

PENDING = {
    r"a_model_that_loads_.*(vllm|ollama)": "its error is of no kind of its own, so nothing polls",
    r"a_call_that_is_said_twice_is_one": "the second is added to the first, which ruins both",
    r"counts_that_cannot_be": "counts are taken as they come, or spoil the answer",
    r"an_answer_of_another_model_says_so": "only LM Studio's plugin looks at the model's name",
}
"""Reasons, by what the name of a test holds."""


def reason(name):
    """Why a test has to fail for now, or ``None``."""
    return next((why for pattern, why in PENDING.items() if re.search(pattern, name)), None)
