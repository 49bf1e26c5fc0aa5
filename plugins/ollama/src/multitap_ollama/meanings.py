"""The table of Ollama's error texts: what each one means, and what to do about it."""

from __future__ import annotations

import re

import attrs

from multitap.errors import (
    BackendError,
    BadRequest,
    ContextOverflow,
    EngineError,
    ModelNotFound,
    NotSupported,
    Overloaded,
    ProtocolError,
    ProviderDown,
    Timeout,
    TLSFailed,
)

__all__ = ("MEANINGS", "Meaning")


def _pattern(says: str) -> re.Pattern[str]:
    return re.compile(says, re.IGNORECASE)


@attrs.frozen
class Meaning:
    """What a text means; the pattern's groups ``model``, ``limit`` and ``needed`` are facts.

    Attributes:
        says: What is searched in the text, in any case.
        hint: What to do next; ``{backend}`` and the pattern's groups are filled in.
    """

    error: type[BackendError]
    kind: str
    says: re.Pattern[str] = attrs.field(converter=_pattern)
    hint: str


NAME = "Give the model's name as `multitap models {backend}` shows it."
FULL = "Shorten it, raise num_ctx if the model can hold more, or allow truncate=True."
ANEW = "Try again: Ollama starts the model anew. If it happens again, look at Ollama's log."
INSECURE = "The registry speaks plain HTTP: if you trust the network, set insecure in llm.toml."

# The first row that fits decides.
NO_SUCH_PATH = "404 page not found"
"""What Ollama itself says of a path that it does not have."""

MEANINGS = (
    # ---- the model -------------------------------------------------------------------------------
    Meaning(BadRequest, "model_missing", r"model ['\"]{2} not found|model is required", NAME),
    Meaning(BadRequest, "model_name_invalid", r"invalid model name|^\w+ \".*\" is invalid", NAME),
    Meaning(
        ModelNotFound,
        "model_not_found",
        r"model ['\"](?P<model>[^'\"]+)['\"] not found",
        "Run `multitap pull {backend}:{model}`; `multitap models {backend}` shows what is there.",
    ),
    Meaning(
        ModelNotFound,
        "model_not_found",
        r"pull model manifest: file does not exist|/manifests/.*: no such file",
        "The registry has no such model or tag: look for it at https://ollama.com/search.",
    ),
    # ---- the context -----------------------------------------------------------------------------
    Meaning(
        ContextOverflow,
        "context_overflow",
        r"\((?P<needed>\d+) tokens\) exceeds the available context size \((?P<limit>\d+) tokens\)",
        FULL,
    ),
    Meaning(
        ContextOverflow,
        "context_overflow",
        r"exceeds (?:the |maximum )?context|longer than the context|context size has been exceeded",
        FULL,
    ),
    # ---- what the model, or the server, cannot do ------------------------------------------------
    Meaning(
        NotSupported,
        "thinking_unsupported",
        r"does not support thinking",
        "Leave think out, or pass think=False; or use a model that thinks.",
    ),
    Meaning(
        NotSupported,
        "embeddings_unsupported",
        r"does not support embedding",
        "Use a model that is made for embedding, such as nomic-embed-text.",
    ),
    Meaning(
        NotSupported,
        "media_unsupported",
        r"does not support (?:multimodal|vision|audio)|(?:image|audio) input is not supported",
        "Leave pictures and sound out, or use a model that can see or hear.",
    ),
    Meaning(
        NotSupported,
        "logprobs_unsupported",
        r"logprobs is not supported with tools",
        "Leave out logprobs or tools, or ask for the answer as a whole.",
    ),
    Meaning(
        NotSupported,
        "runner_shared",
        r"requires --jinja",
        "A model made of the same file runs, and knows no tools: unload that one and ask again.",
    ),
    Meaning(
        NotSupported,
        "cloud_disabled",
        r"cloud is disabled",
        "Take OLLAMA_NO_CLOUD away where Ollama runs, or use a model that it has itself.",
    ),
    Meaning(
        NotSupported,
        "not_supported",
        r"does not support|cannot run this|requires MLX|no longer compatible|only supports one",
        "Use another model; `multitap models {backend}` shows what each one can do.",
    ),
    # ---- the request -----------------------------------------------------------------------------
    Meaning(
        BadRequest,
        "option_invalid",
        r"option \"(?P<option>\w+)\" must be",
        "Correct {option}; if you did not set it, it stands in the model's own Modelfile.",
    ),
    Meaning(
        BadRequest,
        "schema_invalid",
        r"invalid format:|json schema|unrecognized type|failed to parse grammar",
        "Correct the JSON Schema of response_format, or of a tool's parameters.",
    ),
    Meaning(
        BadRequest,
        "keep_alive_invalid",
        r"^time: |unsupported type: '",
        'Write keep_alive with a unit, such as "10m", or as a number of seconds.',
    ),
    Meaning(
        BadRequest,
        "think_invalid",
        r"invalid think value|think must be",
        "Use think=True, think=False, or one of low, medium and high.",
    ),
    Meaning(
        BadRequest,
        "logprobs_invalid",
        r"top_logprobs must be between",
        "Ask for at most 20 alternatives of each token: logprobs=20.",
    ),
    Meaning(
        BadRequest,
        "model_recipe_invalid",
        r"unsupported quantization|^template|not in GGUF format",
        "Correct what the message names; only GGUF files and Safetensors make a model.",
    ),
    Meaning(
        BadRequest,
        "blob_missing",
        r"/blobs/.*: no such file",
        "Upload the file before a model is made of it.",
    ),
    # ---- the model's file ------------------------------------------------------------------------
    Meaning(
        ProtocolError,
        "model_file_invalid",
        r"exceeds file size|invalid file magic|unsupported model format",
        "The model's file is damaged: delete the model and pull it again.",
    ),
    Meaning(
        ProtocolError,
        "hash_mismatch",
        r"digest mismatch",
        "Try again: only what is damaged is sent anew.",
    ),
    Meaning(
        ProtocolError,
        "embedding_invalid",
        r"NaN or Inf|unsupported value: (?:NaN|[+-]Inf)",
        "The model gave no numbers for a text: try another model, or update Ollama.",
    ),
    # ---- the runner and its machine --------------------------------------------------------------
    Meaning(
        Overloaded,
        "queue_full",
        r"server busy",
        "Wait a little and try again, or raise OLLAMA_MAX_QUEUE where Ollama runs.",
    ),
    Meaning(
        Overloaded,
        "model_loading",
        r"^(?:llm server )?loading model",
        "Wait until it is loaded: `multitap running {backend}` shows what is.",
    ),
    Meaning(
        Timeout,
        "load_timeout",
        r"timed out waiting for",
        "Try again; if the disk is slow, raise OLLAMA_LOAD_TIMEOUT where Ollama runs.",
    ),
    Meaning(
        EngineError,
        "out_of_memory",
        r"out.of.memory|more system memory|unable to allocate",
        "Unload other models, lower num_ctx, or use a smaller model.",
    ),
    Meaning(
        EngineError,
        "disk_full",
        r"no space left on device",
        "Free space where the Ollama server keeps its models.",
    ),
    Meaning(
        EngineError,
        "runner_crashed",
        r"while running the model|runner has unexpectedly|runner process|llama-server process",
        ANEW,
    ),
    Meaning(
        EngineError, "cancelled", r"request canceled", "Ollama gave the request up: try again."
    ),
    # ---- ollama.com and the registries -----------------------------------------------------------
    Meaning(
        ProviderDown,
        "cloud_unreachable",
        r"account unavailable|(?:post|get) \"https://ollama\.com",
        "Check the network of the Ollama server, or use a model that it has itself.",
    ),
    Meaning(TLSFailed, "registry_insecure", r"look like a TLS handshake|to HTTPS", INSECURE),
    Meaning(TLSFailed, "registry_insecure", r"insecure protocol", INSECURE),
    Meaning(
        ProviderDown,
        "registry_unreachable",
        r"pull model manifest|dial tcp|max retries exceeded",
        "Check that the machine of the Ollama server can reach the registry.",
    ),
    # ---- another server, another version ---------------------------------------------------------
    Meaning(
        ProtocolError,
        "unknown_path",
        rf"{NO_SUCH_PATH}|405 method not allowed",
        "Is this Ollama at this endpoint, and a new one? Check the endpoint, or update Ollama.",
    ),
)
