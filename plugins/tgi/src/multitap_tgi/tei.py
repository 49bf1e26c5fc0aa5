"""Text Embeddings Inference (TEI): how it is asked, what it counts, and what it refuses.

Its words are TGI's in part, under the same statuses, and mean other options of another program.

>>> from multitap.work import HttpReply
>>> said = b'{"error": "batch size 40 > maximum allowed batch size 32", "error_type": "Validation"}'
>>> explain_tei(HttpReply(422, {}, said)).kind
'batch_too_large'
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from multitap.dialects.replies import reply_facts
from multitap.errors import (
    BackendError,
    BadRequest,
    ContextOverflow,
    EngineError,
    NotSupported,
    Overloaded,
    ProviderDown,
)
from multitap.events import Usage
from multitap.work import HttpCall, HttpReply, Json
from multitap_tgi.errors import explained
from multitap_tgi.meanings import INVALID, Meaning

__all__ = ("BATCH_TOO_LARGE", "TEI_MEANINGS", "counted", "explain_tei", "tei_call")

BATCH_TOO_LARGE = "batch_too_large"
ELSEWHERE = (
    "TGI itself has none of it: give TEI a section of its own in llm.toml, with its endpoint and"
    ' provider = "tgi".'
)
SHORTER = "Shorten the text: the model reads no more than that at once."
ANOTHER = "Name a backend whose model does that; a TEI process runs one model."
LATER = "Wait a little; TEI takes as many texts at once as --max-concurrent-requests says."

# The first row that fits decides.
TEI_MEANINGS = (
    Meaning(
        ContextOverflow,
        "context_overflow",
        INVALID + r"`inputs` must have less than (?P<limit>\d+) tokens\. Given: (?P<needed>\d+)",
        SHORTER,
    ),
    Meaning(  # far too long to be split into tokens at all
        ContextOverflow,
        "context_overflow",
        INVALID + r"`inputs` must have less than \d+ characters",
        SHORTER,
    ),
    Meaning(
        NotSupported,
        "dimensions_unsupported",
        INVALID + "`dimensions` should be smaller",
        "Leave dimensions out, or ask for fewer than the model has.",
    ),
    Meaning(BadRequest, "option_invalid", INVALID, "Correct what the message names."),
    Meaning(
        BadRequest,
        BATCH_TOO_LARGE,
        r"batch size \d+ > maximum allowed batch size",
        "Send fewer at once, or start TEI with a higher --max-client-batch-size.",
    ),
    Meaning(
        BadRequest,
        "request_too_large",
        "Failed to buffer the request body: length limit exceeded",
        "Send fewer at once, or start TEI with a higher --payload-limit.",
    ),
    Meaning(
        BadRequest,
        "bad_request",
        "Failed to (?:deserialize|parse) |Expected request with |tokenizer error",
        "Correct what the message names.",
    ),
    Meaning(
        NotSupported,
        "embedding_not_supported",
        "Backend error: (?:Model is not an embedding model|`normalize` is not available)",
        ANOTHER,
    ),
    Meaning(
        NotSupported,
        "rerank_not_supported",
        "Backend error: (?:model is not a re-ranker|Model is not a classifier)",
        ANOTHER,
    ),
    Meaning(Overloaded, "queue_full", "Model is overloaded", LATER),
    Meaning(EngineError, "backend_failed", "Backend error: ", "Look at TEI's log."),
    Meaning(ProviderDown, "unhealthy", "unhealthy", "Look at TEI's log."),
)


def tei_call(path: str, body: Mapping[str, Any]) -> HttpCall:
    """A question, which changes nothing."""
    return HttpCall(method="POST", path=path, body=Json(body), idempotent=True)


def explain_tei(reply: HttpReply) -> BackendError:
    """The typed error of a 4xx or 5xx answer; 404 is what TGI says, which has no such path."""
    if reply.status == 404:
        return NotSupported(
            "No Text Embeddings Inference (TEI) answers at this endpoint",
            hint=ELSEWHERE,
            kind="not_tei",
            **reply_facts(reply),
        )
    return explained(reply, TEI_MEANINGS)


def counted(answers: Iterable[Mapping[str, str]]) -> Usage:
    """The tokens of some answers, by their headers; unknown where one of them does not say.

    >>> counted([{"x-compute-tokens": "7"}, {"x-compute-tokens": "5"}]).input_tokens
    12
    >>> counted([{"x-compute-tokens": "7"}, {}]).input_tokens is None
    True
    """
    said = [headers.get("x-compute-tokens", "") for headers in answers]
    if not all(text.isascii() and text.isdigit() and len(text) < 19 for text in said):
        return Usage()
    count = sum(map(int, said))
    return Usage.reported(count, None, total_tokens=count)
