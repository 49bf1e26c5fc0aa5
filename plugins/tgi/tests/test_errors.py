"""What TGI's errors become: every row that is known of the wire, and every recorded one."""

from __future__ import annotations

import json

import pytest
import tgi_reader
from hypothesis import given, settings
from hypothesis import strategies as st

from multitap import errors
from multitap.errors import (
    AuthenticationError,
    BackendError,
    BadRequest,
    ContextOverflow,
    EngineError,
    NotSupported,
    Overloaded,
    ProtocolError,
    ProviderDown,
    RateLimited,
)
from multitap.work import HttpReply
from multitap_tgi.errors import explain_tgi, stream_error

INVALID = "Input validation error: "
SERVER = "Request failed during generation: Server error: "
JSON_BODY = "Failed to deserialize the JSON body into the target type: "
TOO_LONG = "`inputs` must have less than 700 tokens. Given: {}"
SUM = "`inputs` tokens + `max_new_tokens` must be <= 1024. Given: {} `inputs` tokens and {}"
NOT_JSON = "Failed to parse the request body as JSON: "
OPTION, BODY = (BadRequest, "option_invalid", "option"), (BadRequest, "bad_request", "Correct")
SCHEMA = (BadRequest, "schema_invalid", "properties")
CONTEXT, DOWN = "context_overflow", (EngineError, "shard_down", "started anew")

# the beginning of a text: class, kind, and a piece of the hint
VECTORS = {
    # the context
    **dict.fromkeys(
        [
            INVALID + f"`inputs` must have less than 700 tokens. Given: {n}"
            for n in (808, 1000, 1008)
        ],
        (ContextOverflow, CONTEXT, "--max-input-tokens"),
    ),
    INVALID + SUM.format(1008, "48 `max_new_tokens`"): (ContextOverflow, CONTEXT, "max_tokens"),
    INVALID + SUM.format(15, "1024 `max_new_tokens`"): (ContextOverflow, CONTEXT, "max_tokens"),
    # options
    INVALID + "`temperature` must be strictly positive": OPTION,
    INVALID + "`top_p` must be > 0.0 and < 1.0": OPTION,
    INVALID + "`top_k` must be strictly positive": OPTION,
    INVALID + "`repetition_penalty` must be strictly positive": OPTION,
    INVALID + "`frequency_penalty` must be >= -2.0 and <= 2.0": OPTION,
    INVALID + "`max_new_tokens` must be strictly positive": OPTION,
    INVALID + "`top_n_tokens` must be >= 0 and <= 5. Given: 6": OPTION,
    INVALID + "`truncate` must be strictly positive and less than 700. Given: 701": OPTION,
    INVALID + "`inputs` cannot be empty": OPTION,
    INVALID + "`best_of` != 1 is not allowed for this endpoint": OPTION,
    INVALID + "`best_of` != 1 is not supported when streaming tokens": OPTION,
    INVALID + "`best_of` must be > 0 and <= 2. Given: 3": OPTION,
    INVALID + "you must use sampling when `best_of` is > 1": OPTION,
    INVALID + "`seed` must not be set when `best_of` > 1": OPTION,
    INVALID + "`decoder_input_details` == true is not supported when streaming tokens": OPTION,
    INVALID + "`stop` supports up to 4 stop sequences. Given: 5": (
        *(BadRequest, "stop_invalid"),
        "--max-stop-sequences",
    ),
    "Suffix is not supported and can be achieved by preprocessing the prompt.": (
        *(BadRequest, "bad_request"),
        "Correct",
    ),
    "Number of prompts exceeds the maximum allowed batch size of 4": BODY,
    # schemas, and grammars
    INVALID + "grammar is not supported": (NotSupported, "grammar_disabled", "--disable-grammar"),
    INVALID + "grammar is not valid: Grammar must have a 'properties' field": SCHEMA,
    INVALID + 'grammar is not valid: "nonsense" is not valid under any of the schemas': SCHEMA,
    INVALID + "grammar is not valid: key must be a string at line 1 column 2": SCHEMA,
    INVALID + "cannot compile regex from schema: Unsupported JSON Schema structure": SCHEMA,
    SERVER + "Failed to build DFA error building NFA": (BadRequest, "regex_invalid", "regular"),
    # tools, and templates
    "Tool error: Tool with name sub not found": (BadRequest, "tool_invalid", "tool_choice"),
    "Tool error: Grammar and tools are mutually exclusive": (
        *(NotSupported, "tools_with_schema"),
        "response_format",
    ),
    "Tool error: Failed to parse generated text: EOF while parsing a string at line 1": (
        *(BadRequest, "tool_call_incomplete"),
        "max_tokens",
    ),
    "Template error: template not found": (NotSupported, "template_missing", "chat_template"),
    "Template error: undefined value (in <string>:9)": (BadRequest, "template_error", "tools"),
    # bodies that cannot be read
    JSON_BODY: BODY,
    NOT_JSON: BODY,
    "Expected request with `Content-Type: application/json`": BODY,
    "Failed to buffer the request body: length limit exceeded": (
        *(BadRequest, "request_too_large"),
        "--payload-limit",
    ),
    # the engine
    "Model is overloaded": (Overloaded, "queue_full", "--max-concurrent-requests"),
    "unhealthy": (ProviderDown, "unhealthy", "log"),
    SERVER + "error trying to connect: Connection refused (os error 111)": DOWN,
    SERVER + "transport error": DOWN,
    SERVER + "this shard was told to fail after 3 tokens": (
        EngineError,
        "generation_failed",
        "log",
    ),
    SERVER + "this shard was told to fail after 0 tokens": (
        EngineError,
        "generation_failed",
        "log",
    ),
    "Incomplete generation": (EngineError, "generation_failed", "log"),
}
SILENT = {
    401: (AuthenticationError, "authentication_error", "api_key"),
    404: (ProtocolError, "protocol_error", "endpoint"),
    405: (ProtocolError, "protocol_error", "endpoint"),
}
AGAIN = (EngineError, Overloaded, ProviderDown, RateLimited)
RECORDED = [tgi_reader.recorded(name) for name in tgi_reader.names("test_errors")]


def said(recorded):
    """The text of a recorded error, taken out by hand."""
    error = tgi_reader.error_in(recorded.body)
    text = error["message"] if isinstance(error, dict) else error
    return recorded.body.decode() if text is None else text


def check(error, wanted, text):
    cls, kind, hint = wanted
    assert (type(error), error.kind) == (cls, kind)
    assert hint in error.hint
    assert str(error).endswith(error.hint)
    assert error.message == " ".join(text.split())[: len(error.message)]
    assert error.retryable is (cls in AGAIN)


@pytest.mark.parametrize("recorded", RECORDED, ids=[r.name for r in RECORDED])
def test_a_recorded_error_is_one_of_those(recorded):
    text = said(recorded)
    if recorded.status == 200:
        error = stream_error(tgi_reader.error_in(recorded.body))
        assert (error.status, error.phase) == (None, "stream")
    else:
        error = explain_tgi(HttpReply(recorded.status, recorded.headers, recorded.body))
        assert error.status == recorded.status
    if not text:
        cls, kind, hint = SILENT[recorded.status]
        assert (type(error), error.kind) == (cls, kind)
        assert hint in error.hint
        return
    (row,) = [row for beginning, row in VECTORS.items() if text.startswith(beginning)]
    check(error, row, text)


def test_every_row_was_recorded_but_for_those_that_could_not_be_provoked():
    texts = [said(recorded) for recorded in RECORDED]
    unseen = [row for row in VECTORS if not any(text.startswith(row) for text in texts)]
    assert unseen == ["Incomplete generation"]


@pytest.mark.parametrize("text", VECTORS)
def test_trap_3_in_a_stream_the_number_is_always_422_and_only_the_words_tell(text):
    error = stream_error({"message": text, "http_status_code": 422})
    wanted = VECTORS[text]
    if wanted[1] == "bad_request":  # such as only an answer with a status of its own has
        assert type(error) in (BadRequest, EngineError)
    else:
        check(error, wanted, text)
    assert (error.status, error.phase) == (None, "stream")
    assert stream_error(text).to_dict() == error.to_dict()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, {"error": "Input validation error: `top_p` must be > 0.0 and < 1.0"}),
        (422, b"Failed to deserialize the JSON body into the target type: x"),
        (401, b""),
        (429, {"error": "Model is overloaded", "error_type": "overloaded"}),
    ],
)
def test_trap_1_all_forms_of_error_are_read(status, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    error = explain_tgi(HttpReply(status, {}, data))
    assert error.status == status
    assert error.message
    assert error.kind != "engine_error"


def test_trap_2_a_bad_regex_shares_424_with_engine_faults_and_is_not_one():
    def refused(text):
        body = json.dumps({"error": text, "error_type": "generation"}).encode()
        return explain_tgi(HttpReply(424, {}, body))

    assert not refused(SERVER + "Failed to build DFA error building NFA").retryable
    assert refused(SERVER + "CUDA out of memory").retryable
    assert type(explain_tgi(HttpReply(424, {}, b"odd"))) is EngineError


@pytest.mark.parametrize(
    ("name", "limit", "needed"),
    [
        ("error_context_overflow", 1024, 1008),
        ("error_context_overflow_stream", 1024, 1008),
        ("error_context_overflow_no_max_tokens", 700, 1008),
        ("error_input_too_long_only", 700, 808),
        ("error_max_tokens_over_context", 1024, 15),
    ],
)
def test_an_overflow_says_how_long_the_prompt_is_and_how_long_it_may_be(name, limit, needed):
    recorded = tgi_reader.recorded(name)
    if recorded.status == 200:
        error = stream_error(tgi_reader.error_in(recorded.body))
    else:
        error = explain_tgi(HttpReply(recorded.status, recorded.headers, recorded.body))
    assert isinstance(error, ContextOverflow)
    assert (error.limit, error.needed) == (limit, needed)


def test_a_number_that_is_no_count_of_tokens_is_not_read():
    error = stream_error(INVALID + TOO_LONG.format("9" * 5000))
    assert (type(error), error.limit, error.needed) == (ContextOverflow, 700, None)


def test_a_proxys_page_and_its_wait_are_read():
    page = b"<html><title>502 Bad Gateway</title><p>nginx"
    error = explain_tgi(HttpReply(502, {"x-request-id": "r1"}, page))
    assert (type(error), error.message, error.request_id) == (ProviderDown, "502 Bad Gateway", "r1")
    busy = explain_tgi(HttpReply(429, {"retry-after": "7"}, b'{"error": "Model is overloaded"}'))
    assert (type(busy), busy.retry_after) == (Overloaded, 7.0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "message"]), inner),
)


@settings(deadline=None)
@given(st.integers(400, 599), JSON | st.binary())
def test_whatever_comes_is_some_backend_error(status, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    error = explain_tgi(HttpReply(status, {}, data))
    assert isinstance(error, BackendError)
    assert (error.status, bool(error.message), bool(error.hint)) == (status, True, True)
    assert errors.error_from_dict(error.to_dict()).message == error.message


@settings(deadline=None)
@given(JSON)
def test_whatever_a_stream_says_is_some_backend_error(said):
    error = stream_error(said)
    assert isinstance(error, BackendError)
    assert error.message
    assert error.phase == "stream"
