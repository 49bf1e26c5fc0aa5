"""What Ollama's error texts become: every row that is known of the wire, and every recorded one."""

from __future__ import annotations

import json

import ollama_reader
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multitap import errors
from multitap.errors import (
    AuthenticationError,
    BackendError,
    BadRequest,
    ContextOverflow,
    EngineError,
    ModelNotFound,
    NotSupported,
    Overloaded,
    ProtocolError,
    ProviderDown,
    RateLimited,
    Timeout,
    TLSFailed,
)
from multitap.work import HttpReply
from multitap_ollama.errors import explain_ollama, line_error

RUNNER = "request ({} tokens) exceeds the available context size (256 tokens), try increasing it"
TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the"
    " prompt, adjust the context length in settings, or use a model with a longer context length"
)
SCHEMA = "JSON schema error at #: unrecognized type nothing"
SCHEMA_CHAT = f"""Field 'json_schema': "json_schema": JSON schema conversion failed:\n{SCHEMA}"""
SCHEMA_NATIVE = (
    f"Unable to generate parser for this template. Automatic parser generation failed: {SCHEMA}"
)
SIZES = 'tensor "blk.1.ffn_gate.weight" offset+size (828320) exceeds file size (800000)'
GO = "json: cannot unmarshal {} into Go struct field {}"
NOT_TLS = "tls: first record does not look like a TLS handshake"
NO_HOST = "lookup {} on 192.168.10.53:53: no such host"
REFUSED = "dial tcp 127.0.0.1:9: connect: connection refused"
BLOB = "open /srv/o/models/blobs/sha256-" + "0" * 64 + ": no such file or directory"
MANIFEST = "open /srv/o/models/manifests/127.0.0.1:9/lib/none/latest: no such file or directory"
DIGEST = "02b8bea77a914e9f9f51d3b7d5cbbc105694f36c3d964c70805dacd4d8f99b6f"
UPLOADED = f'digest mismatch, expected "sha256:{"0" * 64}", got "sha256:{DIGEST}"'
PULLED = (
    "digest mismatch, file must be downloaded again:"
    " want sha256:5e9287e2ec8eed5c888f2572e70988583b133d5e66ad3564756720268f21068d,"
    " got sha256:eaf36040186382357487b9a86e5ea948ed73d13c88361ac9eaa8b045486cb9e5"
)
GET = 'pull model manifest: Get "{}": {}'
TINY_MANIFEST = "127.0.0.1:{}/v2/lib/{}/manifests/latest"
NO_EMBEDDINGS = "This server does not support embeddings. Start it with `--embeddings`"
STOPPED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal"
    " error, check ollama server logs for details"
)
PULL, PUT_OUT = "multitap pull ollama:{}", "Leave pictures and sound out"
NAME, SHORTER, ANEW = "Give the model's name", "raise num_ctx", "Ollama starts the model anew"
KEEP, THINK, DURATION = "Correct", "Use think=True", "with a unit"

# text: (status, or None for a line of a 200; class; kind; a piece of the hint)
VECTORS = {
    # the model
    "model 'nothing' not found": (404, ModelNotFound, "model_not_found", PULL.format("nothing")),
    "model 'tiny:nothing' not found": (
        *(404, ModelNotFound, "model_not_found"),
        PULL.format("tiny:nothing"),
    ),
    "model 'nothing:latest' not found": (
        *(404, ModelNotFound, "model_not_found"),
        PULL.format("nothing:latest"),
    ),
    "model 'tiny-copy' not found": (
        *(404, ModelNotFound, "model_not_found"),
        PULL.format("tiny-copy"),
    ),
    'model "nothing" not found': (404, ModelNotFound, "model_not_found", PULL.format("nothing")),
    'model "nothing" not found, try pulling it first': (
        *(404, ModelNotFound, "model_not_found"),
        PULL.format("nothing"),
    ),
    "pull model manifest: file does not exist": (
        *(None, ModelNotFound, "model_not_found"),
        "https://ollama.com/search",
    ),
    MANIFEST: (None, ModelNotFound, "model_not_found", "https://ollama.com/search"),
    "model '' not found": (404, BadRequest, "model_missing", NAME),
    "model is required": (400, BadRequest, "model_missing", NAME),
    "invalid model name": (400, BadRequest, "model_name_invalid", NAME),
    'name "bad name!" is invalid': (400, BadRequest, "model_name_invalid", NAME),
    'destination "bad name!" is invalid': (400, BadRequest, "model_name_invalid", NAME),
    'destination "" is invalid': (400, BadRequest, "model_name_invalid", NAME),
    # the context
    RUNNER.format(1328): (400, ContextOverflow, "context_overflow", SHORTER),
    RUNNER.format(1349): (400, ContextOverflow, "context_overflow", SHORTER),
    TOO_LONG: (400, ContextOverflow, "context_overflow", SHORTER),
    "the input length exceeds the context length": (
        *(400, ContextOverflow, "context_overflow"),
        SHORTER,
    ),
    "input exceeds maximum context length and cannot be truncated further": (
        *(400, ContextOverflow, "context_overflow"),
        SHORTER,
    ),
    # what the model, or the server, cannot do
    '"tiny-embed" does not support chat': (400, NotSupported, "not_supported", "another model"),
    '"tiny-embed" does not support generate': (400, NotSupported, "not_supported", "another model"),
    "registry.ollama.ai/library/tiny-plain:latest does not support tools": (
        *(400, NotSupported, "not_supported"),
        "multitap models ollama",
    ),
    "registry.ollama.ai/library/tiny:latest does not support insert": (
        *(400, NotSupported, "not_supported"),
        "another model",
    ),
    "raw mode does not support template, system, or context": (
        *(400, NotSupported, "not_supported"),
        "another model",
    ),
    "this server cannot run this remote model": (400, NotSupported, "not_supported", "another"),
    '"tiny-plain" does not support thinking': (
        *(400, NotSupported, "thinking_unsupported"),
        "pass think=False",
    ),
    NO_EMBEDDINGS: (501, NotSupported, "embeddings_unsupported", "made for embedding"),
    "Multimodal data provided, but model does not support multimodal requests.": (
        *(400, NotSupported, "media_unsupported"),
        PUT_OUT,
    ),
    "image input is not supported - hint: if this is unexpected,"
    " you may need to provide the mmproj": (500, NotSupported, "media_unsupported", PUT_OUT),
    "logprobs is not supported with tools + stream": (
        *(400, NotSupported, "logprobs_unsupported"),
        "Leave out logprobs",
    ),
    "tools param requires --jinja flag": (500, NotSupported, "runner_shared", "unload that one"),
    "ollama cloud is disabled: remote model is unavailable": (
        *(403, NotSupported, "cloud_disabled"),
        "OLLAMA_NO_CLOUD",
    ),
    "ollama cloud is disabled: remote model details are unavailable": (
        *(403, NotSupported, "cloud_disabled"),
        "OLLAMA_NO_CLOUD",
    ),
    # the request
    'option "temperature" must be of type float32': (
        *(500, BadRequest, "option_invalid"),
        "Correct temperature",
    ),
    'option "num_ctx" must be of type integer': (500, BadRequest, "option_invalid", "num_ctx"),
    'option "stop" must be of type array': (500, BadRequest, "option_invalid", "Modelfile"),
    r'invalid format: "\"xml\""; expected "json" or a valid JSON Schema object': (
        *(500, BadRequest, "schema_invalid"),
        "response_format",
    ),
    SCHEMA_CHAT: (400, BadRequest, "schema_invalid", "response_format"),
    SCHEMA_NATIVE: (400, BadRequest, "schema_invalid", "response_format"),
    'time: missing unit in duration "300"': (400, BadRequest, "keep_alive_invalid", DURATION),
    'time: invalid duration "soon"': (400, BadRequest, "keep_alive_invalid", DURATION),
    "Unsupported type: 'bool'": (400, BadRequest, "keep_alive_invalid", DURATION),
    'invalid think value: "some" (must be "high", "medium", "low", "max", true, or false)': (
        *(400, BadRequest, "think_invalid"),
        THINK,
    ),
    'think must be a boolean or string ("high", "medium", "low", "max", true, or false)': (
        *(400, BadRequest, "think_invalid"),
        THINK,
    ),
    "top_logprobs must be between 0 and 20": (400, BadRequest, "logprobs_invalid", "logprobs=20"),
    "missing request body": (400, BadRequest, "bad_request", KEEP),
    "unexpected EOF": (400, BadRequest, "bad_request", KEEP),
    "invalid character 'h' looking for beginning of value": (400, BadRequest, "bad_request", KEEP),
    "json: cannot unmarshal array into Go value of type api.ChatRequest": (
        *(400, BadRequest, "bad_request"),
        KEEP,
    ),
    GO.format("array", "ChatRequest.messages.content of type string"): (
        *(400, BadRequest, "bad_request"),
        KEEP,
    ),
    GO.format("number", "ChatRequest.messages.content of type string"): (
        *(400, BadRequest, "bad_request"),
        KEEP,
    ),
    GO.format("string", "ChatRequest.messages of type []api.Message"): (
        *(400, BadRequest, "bad_request"),
        KEEP,
    ),
    GO.format("string", "ChatRequest.stream of type bool"): (400, BadRequest, "bad_request", KEEP),
    GO.format("number", "GenerateRequest.prompt of type string"): (
        *(400, BadRequest, "bad_request"),
        KEEP,
    ),
    GO.format("number", "PullRequest.model of type string"): (400, BadRequest, "bad_request", KEEP),
    "Value looks like object, but can't find closing '}' symbol": (
        *(400, BadRequest, "bad_request"),
        KEEP,
    ),
    "illegal base64 data at input byte 4": (400, BadRequest, "bad_request", KEEP),
    "illegal base64 data at input byte 0": (400, BadRequest, "bad_request", KEEP),
    "invalid input": (400, BadRequest, "bad_request", KEEP),
    "invalid input type": (400, BadRequest, "bad_request", KEEP),
    "Invalid value for 'encoding_format' = hex. Supported values: ['float', 'base64'].": (
        *(400, BadRequest, "bad_request"),
        KEEP,
    ),
    # what a model is made of
    "neither 'from' or 'files' was specified": (400, BadRequest, "bad_request", KEEP),
    "file path must be relative": (400, BadRequest, "bad_request", KEEP),
    "invalid digest format": (400, BadRequest, "bad_request", KEEP),
    "template: :1: unclosed action": (500, BadRequest, "model_recipe_invalid", KEEP),
    "template error: template: :1: unclosed action": (
        *(400, BadRequest, "model_recipe_invalid"),
        KEEP,
    ),
    "supplied file was not in GGUF format": (400, BadRequest, "model_recipe_invalid", "GGUF"),
    "unsupported quantization type Q99 - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0": (
        *(500, BadRequest, "model_recipe_invalid"),
        KEEP,
    ),
    BLOB: (None, BadRequest, "blob_missing", "Upload the file"),
    SIZES: (500, ProtocolError, "model_file_invalid", "pull it again"),
    UPLOADED: (400, ProtocolError, "hash_mismatch", "Try again"),
    PULLED: (None, ProtocolError, "hash_mismatch", "Try again"),
    "embedding contains NaN or Inf values": (400, ProtocolError, "embedding_invalid", "another"),
    # the runner and its machine
    "server busy, please try again.  maximum pending requests exceeded": (
        *(503, Overloaded, "queue_full"),
        "OLLAMA_MAX_QUEUE",
    ),
    "Loading model": (503, Overloaded, "model_loading", "multitap running"),
    "llm server loading model": (503, Overloaded, "model_loading", "multitap running"),
    "request canceled": (499, EngineError, "cancelled", "try again"),
    "an error was encountered while running the model: unexpected EOF": (
        *(500, EngineError, "runner_crashed"),
        ANEW,
    ),
    STOPPED: (500, EngineError, "runner_crashed", ANEW),
    "llama-server process has terminated: exit status 1: error loading model:"
    " a message of the runner": (500, EngineError, "runner_crashed", ANEW),
    "llama-server reported out-of-memory during startup: no": (
        *(500, EngineError, "out_of_memory"),
        "lower num_ctx",
    ),
    "timed out waiting for llama-server to start - ": (
        *(500, Timeout, "load_timeout"),
        "OLLAMA_LOAD_TIMEOUT",
    ),
    "write /m/blobs/sha256-1: no space left on device": (
        *(None, EngineError, "disk_full"),
        "Free space",
    ),
    "something new": (500, ProviderDown, "provider_down", "endpoint"),
    # ollama.com and the registries
    'Post "https://ollama.com:443/api/chat?ts=1795253198": dial tcp: '
    + NO_HOST.format("ollama.com"): (502, ProviderDown, "cloud_unreachable", "network"),
    "account unavailable": (503, ProviderDown, "cloud_unreachable", "network"),
    GET.format("https://" + TINY_MANIFEST.format(5055, "tiny"), NOT_TLS): (
        *(None, TLSFailed, "registry_insecure"),
        "insecure",
    ),
    GET.format("https://" + TINY_MANIFEST.format(9, "none"), REFUSED): (
        *(None, ProviderDown, "registry_unreachable"),
        "reach the registry",
    ),
    GET.format("http://" + TINY_MANIFEST.format(9, "tiny"), REFUSED): (
        *(None, ProviderDown, "registry_unreachable"),
        "reach the registry",
    ),
    GET.format(
        "https://registry.ollama.ai/v2/library/nothing/manifests/latest",
        "dial tcp: " + NO_HOST.format("registry.ollama.ai"),
    ): (None, ProviderDown, "registry_unreachable", "reach the registry"),
    # another server, another version
    "404 page not found": (404, ProtocolError, "unknown_path", "update Ollama"),
    "405 method not allowed": (405, ProtocolError, "unknown_path", "update Ollama"),
    "slow down": (429, RateLimited, "rate_limited", "Wait"),
}
AGAIN = (EngineError, Overloaded, ProviderDown, RateLimited, Timeout)


def reply(status, error, **headers):
    return HttpReply(status, headers, json.dumps({"error": error}).encode())


def check(error, wanted, text):
    status, cls, kind, hint = wanted
    assert (type(error), error.kind) == (cls, kind)
    assert hint in error.hint
    assert str(error).endswith(error.hint)
    assert error.message == " ".join(text.split())[: len(error.message)]
    assert error.retryable is (cls in AGAIN)
    assert error.status in (status, None)


@pytest.mark.parametrize("text", VECTORS)
def test_a_text_decides_what_an_answer_means(text):
    status = VECTORS[text][0]
    error = explain_ollama(reply(status, text)) if status else line_error(text)
    check(error, VECTORS[text], text)


@pytest.mark.parametrize("name", ollama_reader.names("test_errors"))
def test_a_recorded_error_is_one_of_those(name):
    recorded = ollama_reader.recorded(name)
    text = said(recorded)
    if recorded.status >= 400:
        answer = HttpReply(recorded.status, recorded.headers, recorded.body)
        error = explain_ollama(answer)
    else:
        error = line_error(ollama_reader.last_object(recorded.body)["error"])
    if not text:
        assert (recorded.status, error.kind) in SILENT
    else:
        check(error, (recorded.status, *VECTORS[text][1:]), text)


SILENT = {(403, "host_refused"), (404, "unknown_path"), (400, "bad_request")}


def said(recorded):
    """The text of a recorded error, taken out by hand."""
    body = recorded.body.decode().strip()
    if not body.startswith("{"):
        return body
    error = json.loads(body.splitlines()[-1])["error"]
    for _ in range(3):
        if isinstance(error, str) and error.startswith("{"):
            error = json.loads(error)["error"]
        if isinstance(error, dict):
            error = error["message"]
    return error


@pytest.mark.parametrize("needed", [1328, 1349])
def test_the_runners_refusal_tells_how_long_the_prompt_is_and_how_long_it_may_be(needed):
    inner = {"code": 400, "message": RUNNER.format(needed), "type": "exceed_context_size_error"}
    error = explain_ollama(reply(400, json.dumps({"error": inner})))
    assert isinstance(error, ContextOverflow)
    assert (error.limit, error.needed) == (256, needed)


def test_a_number_that_is_no_count_of_tokens_is_not_read():
    error = explain_ollama(reply(400, json.dumps({"error": RUNNER.format("9" * 5000)})))
    assert (type(error), error.needed) == (ContextOverflow, None)


def test_a_sign_in_names_where_to_sign_in():
    body = {"error": "unauthorized", "signin_url": "https://ollama.com/connect?name=box&key=abc"}
    error = explain_ollama(HttpReply(401, {}, json.dumps(body).encode()))
    assert (type(error), error.kind) == (AuthenticationError, "sign_in")
    assert "ollama signin" in error.hint
    assert "https://ollama.com/connect?name=box&key=abc" in error.hint
    line = line_error("unauthorized", signin_url=body["signin_url"])
    assert (type(line), line.hint) == (AuthenticationError, error.hint)


def test_a_key_that_is_refused_points_to_the_configuration():
    error = explain_ollama(reply(401, "invalid api key: sk-abcdefgh1234"))
    assert (type(error), error.kind) == (AuthenticationError, "authentication_error")
    assert "api_key" in error.hint
    assert "abcdefgh" not in f"{error!r} {error}"


def test_a_403_without_a_word_is_the_check_of_host_and_origin():
    error = explain_ollama(HttpReply(403, {}, b""))
    assert (type(error), error.kind) == (AuthenticationError, "host_refused")
    assert "OLLAMA_HOST" in error.hint


def test_a_hint_names_the_backend_that_was_asked():
    error = explain_ollama(reply(404, "model 'm' not found"), backend="gpu-box")
    assert "multitap pull gpu-box:m" in error.hint


def test_a_proxys_page_and_its_wait_are_read():
    page = b"<html><title>502 Bad Gateway</title><p>nginx"
    error = explain_ollama(HttpReply(502, {"x-request-id": "r1"}, page))
    assert (type(error), error.message, error.request_id) == (ProviderDown, "502 Bad Gateway", "r1")
    busy = explain_ollama(reply(503, "server busy", **{"retry-after": "7"}))
    assert busy.retry_after == 7.0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "message"]), inner),
)


@settings(deadline=None)
@given(st.integers(400, 599), JSON | st.binary())
def test_whatever_comes_is_some_backend_error(status, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    error = explain_ollama(HttpReply(status, {}, data))
    assert isinstance(error, BackendError)
    assert (error.status, bool(error.message), bool(error.hint)) == (status, True, True)
    assert errors.error_from_dict(error.to_dict()).message == error.message


@settings(deadline=None)
@given(JSON)
def test_whatever_a_line_says_is_some_backend_error(said):
    error = line_error(said)
    assert isinstance(error, BackendError)
    assert error.message
    assert error.phase == "stream"
