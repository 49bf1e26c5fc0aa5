"""Refusals: those that OpenAI documents, and every one that is recorded."""

from __future__ import annotations

import json

import openai_reader
import pytest

from multitap import errors
from multitap.plan import chat_request
from multitap.work import Backend, Head, HttpReply
from multitap_openai.chat import multitap_chat
from multitap_openai.errors import explain

RECORDED = {
    "cloud_disabled_v1": errors.AuthenticationError,
    "crash_chat_v1": errors.ProviderDown,
    "crash_native_v1": errors.ProviderDown,
    "embeddings_error_chat_unsupported": errors.NotSupported,
    "embeddings_unknown_model": errors.ModelNotFound,
    "error_embeddings_unsupported": errors.NotSupported,
    "error_image_to_text_model": errors.NotSupported,
    "error_unknown_model": errors.ModelNotFound,
    "error_unknown_model_stream": errors.ModelNotFound,
    "error_wrong_method": errors.ProtocolError,
    "load_failed_v1_stream": errors.ProviderDown,
    "load_runner_dies_v1": errors.ProviderDown,
    "load_timeout_v1": errors.ProviderDown,
    "queue_full_v1": errors.Overloaded,
    "v1_embedder_chat": errors.NotSupported,
    "v1_image_url_http": errors.NotSupported,
    "v1_model_unknown": errors.ModelNotFound,
    "v1_native_over_default": errors.ContextOverflow,
    "v1_reasoning_unsupported": errors.NotSupported,
    "v1_responses_unknown_model": errors.ModelNotFound,
    "v1_responses_unknown_model_stream": errors.ModelNotFound,
    "v1_tools_unsupported": errors.NotSupported,
    "wrong_method_v1_chat": errors.ProtocolError,
}


@pytest.mark.parametrize("name", openai_reader.names("test_errors"))
def test_a_recorded_refusal(name):
    recorded = openai_reader.recorded(name)
    error = explain(HttpReply(recorded.status, recorded.headers, recorded.body))
    assert type(error) is RECORDED.get(name, errors.BadRequest)
    assert error.status == recorded.status
    assert not error.message.startswith("{")


def test_an_overflow_says_how_long_the_prompt_is_and_may_be():
    recorded = openai_reader.recorded("v1_native_over_default")
    error = explain(HttpReply(recorded.status, recorded.headers, recorded.body))
    assert (error.needed, error.limit) == (1328, 256)


def refusal(status, message="no", code=None, kind=None, **headers):
    error = {"message": message, "type": kind, "param": None, "code": code}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpReply(status, names, json.dumps({"error": error}).encode())


@pytest.mark.parametrize(
    ("reply", "cls"),
    [
        (refusal(400, kind="invalid_request_error"), errors.BadRequest),
        (refusal(401, code="invalid_api_key"), errors.AuthenticationError),
        (refusal(403), errors.AuthenticationError),
        (refusal(403, code="unsupported_country_region_territory"), errors.AuthenticationError),
        (refusal(404, code="model_not_found"), errors.ModelNotFound),
        (refusal(400, code="model_not_found"), errors.ModelNotFound),
        (refusal(409), errors.BadRequest),
        (refusal(422), errors.BadRequest),
        (refusal(429, code="rate_limit_exceeded"), errors.RateLimited),
        (refusal(429, kind="requests"), errors.RateLimited),
        (refusal(429, code="insufficient_quota"), errors.QuotaExceeded),
        (refusal(429, kind="insufficient_quota"), errors.QuotaExceeded),
        (refusal(400, code="billing_hard_limit_reached"), errors.QuotaExceeded),
        (refusal(400, code="context_length_exceeded"), errors.ContextOverflow),
        (refusal(400, code="content_policy_violation"), errors.ContentFiltered),
        (refusal(400, code="content_filter"), errors.ContentFiltered),
        (refusal(400, code="unsupported_parameter"), errors.NotSupported),
        (refusal(400, code="unsupported_value"), errors.NotSupported),
        (refusal(500, kind="server_error"), errors.ProviderDown),
        (refusal(502), errors.ProviderDown),
        (refusal(503, "That model is overloaded"), errors.Overloaded),
        (HttpReply(502, {}, b"<html><title>Bad Gateway</title>"), errors.ProviderDown),
        (HttpReply(500, {}, b""), errors.ProviderDown),
    ],
)
def test_a_documented_refusal(reply, cls):
    error = explain(reply)
    assert (type(error), error.status) == (cls, reply.status)


def test_an_overflow_in_openais_words():
    message = (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in"
        " 9000 tokens. Please reduce the length of the messages."
    )
    error = explain(refusal(400, message, "context_length_exceeded"))
    assert (error.limit, error.needed) == (8192, 9000)


def test_a_refusal_has_its_request_id():
    assert explain(refusal(500, x_request_id="req_1")).request_id == "req_1"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "7", "x_ratelimit_reset_requests": "1s"}, 7.0),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"x_ratelimit_reset_requests": "1m30s"}, 90.0),
        ({"x_ratelimit_reset_requests": "1s"}, 1.0),
        ({"x_ratelimit_reset_requests": "6m0s"}, 360.0),
        ({"x_ratelimit_reset_requests": "20ms"}, 0.02),
        ({"x_ratelimit_reset_tokens": "1m0.25s"}, 60.25),
        ({"x_ratelimit_reset_requests": "1h0m1.5s"}, 3601.5),
        ({"x_ratelimit_reset_requests": "soon"}, None),
        ({"x_ratelimit_reset_requests": "9" * 400 + "s"}, None),
        ({"x_ratelimit_reset_requests": "1s", "x_ratelimit_reset_tokens": "6s"}, 6.0),
        (
            {
                "x_ratelimit_reset_requests": "1s",
                "x_ratelimit_remaining_requests": "0",
                "x_ratelimit_reset_tokens": "6s",
                "x_ratelimit_remaining_tokens": "100",
            },
            1.0,
        ),
    ],
)
def test_how_long_to_wait(headers, seconds):
    assert explain(refusal(429, **headers)).retry_after == seconds


def test_only_a_rate_limit_resets():
    reset = {"x_ratelimit_reset_requests": "1s"}
    assert explain(refusal(429, code="insufficient_quota", **reset)).retry_after is None


# ---- inside a stream -----------------------------------------------------------------------------

CHAT = multitap_chat(Backend(id="b", provider="openai", endpoint="https://api.openai.com"))


def read(*values, end=b"data: [DONE]\n\n"):
    decoder = CHAT.chat(chat_request("gpt-4o", "hi")).decoder(
        Head(200, {"content-type": "text/event-stream"})
    )
    data = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)
    return [*decoder.feed(data + end), *decoder.finish()]


HI = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]}


@pytest.mark.parametrize(
    ("error", "cls"),
    [
        ({"message": "no", "type": "server_error", "code": None}, errors.EngineError),
        ({"message": "no", "code": "rate_limit_exceeded"}, errors.RateLimited),
        ({"message": "no", "code": "context_length_exceeded"}, errors.ContextOverflow),
        ({"param": None}, errors.EngineError),
        ("no", errors.EngineError),
    ],
)
def test_an_error_within_a_stream_is_its_end(error, cls):
    text, failed = read(HI, {"error": error}, HI)
    assert (text.content, type(failed.error)) == ("Hi", cls)
    assert failed.error.phase == "stream"


def test_a_stream_that_ends_without_a_finish_reason_is_truncated_done_or_not():
    for end in (b"data: [DONE]\n\n", b""):
        assert isinstance(read(HI, end=end)[-1].error, errors.TruncatedStream)


def test_a_refusal_of_the_model_and_a_filter_are_failures_that_keep_the_text():
    refused = {"choices": [{"delta": {"refusal": "I can't"}, "finish_reason": "stop"}]}
    text, failed = [e for e in read(refused) if e.type != "usage"]
    assert (text.content, type(failed.error)) == ("I can't", errors.Refused)
    filtered = {"choices": [{"delta": {}, "finish_reason": "content_filter"}]}
    assert isinstance(read(HI, filtered)[-1].error, errors.ContentFiltered)
