"""One model, loaded: the native server, what it is told, and what it says when it fails."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs

from multitap.errors import LocalError, MultitapError, NotSupported, ProtocolError
from multitap_llamacpp.gguf import read_header
from multitap_llamacpp.models import ModelFile, Role
from multitap_llamacpp.options import Adapter, Options

__all__ = ("Plan", "read_ahead", "start")

PIECE = 8 * 1024 * 1024
BATCH = 512
SILENT, ERRORS = -1, 1
REASON_SECONDS = 120
REASON_LINES = 6

# construction and destruction touch state of the whole process inside the library
NATIVE = threading.Lock()


@attrs.frozen(kw_only=True)
class Plan:
    """What to load, and how."""

    model: ModelFile = attrs.field(eq=False)
    path: Path
    role: Role
    options: Options

    @classmethod
    def of(cls, model: ModelFile, role: Role, options: Options) -> Plan:
        """Check the model and its adapters; no native code is run.

        Raises:
            ProtocolError: A file is no sound one.
            NotSupported: The model cannot serve this role.
        """
        model.check(role)
        if role != "chat":
            options = attrs.evolve(options, parallel=1, lora=())
        for adapter in options.lora:
            _check_adapter(adapter, model)
        return cls(model=model, path=model.path.resolve(), role=role, options=options)

    @property
    def context(self) -> int:
        """Tokens of one call."""
        return self.options.context_for(self.model.context_length)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(part.stat().st_size for part in self.model.parts)


def _check_adapter(adapter: Adapter, model: ModelFile) -> None:
    hint = "Correct the setting lora: a list of files, each with @scale if it is not 1."
    try:
        header = read_header(adapter.path)
    except OSError as error:
        raise LocalError(f"{adapter.path} cannot be read: {error.strerror}", hint=hint) from error
    fits = header.architecture == model.header.architecture
    if header.text("general.type") != "adapter" or not fits:
        wanted = f"a LoRA adapter for {model.header.architecture}"
        raise ProtocolError(
            f"{adapter.path.name} is not {wanted}", hint=hint, kind="model_file_invalid"
        )


def read_ahead(plan: Plan, progress: Callable[[int], bool]) -> bool:
    """Read the files once, so that the system has them in memory; ``False``: was told to stop.

    The native loader cannot be stopped, says nothing of its progress and holds up all of Python;
    this can, does, and leaves it little to wait for.
    """
    done = 0
    for part in plan.model.parts:
        with part.open("rb", buffering=0) as file:
            while data := file.read(PIECE):
                done += len(data)
                if not progress(done):
                    return False
    return True


def start(plan: Plan, key: str) -> Any:
    """The native server of a plan.

    Raises:
        MultitapError: It could not be started, with the reason that the library logs.
    """
    native: Any = import_module("xllamacpp")
    parameters = _parameters(native, plan, key)
    try:
        with NATIVE:
            server: Any = native.Server(parameters)
            # its loop answers this; freed before the loop runs, the library waits for ever
            server.handle_metrics()
            return server
    except (RuntimeError, ValueError) as error:
        raise _refusal(plan, _reason(plan) or str(error)) from error


def _parameters(library: Any, plan: Plan, key: str) -> Any:
    options, made = plan.options, library.CommonParams()
    made.model.path = str(plan.path)
    made.model_alias = {plan.model.id}
    made.verbosity = SILENT
    made.n_parallel = options.parallel
    made.n_ctx = plan.context * options.parallel
    made.n_batch = made.n_ubatch = BATCH
    made.cpuparams.n_threads = made.cpuparams_batch.n_threads = options.threads
    made.cache_ram_mib = options.cache_mib
    made.lora_adapters = [_adapter(library, adapter) for adapter in options.lora]
    if options.gpu_layers is not None:
        made.n_gpu_layers = options.gpu_layers
    _listen_locally(made, key)
    if plan.role != "chat":
        _encode(library, made, plan)
    return made


def _listen_locally(made: Any, key: str) -> None:
    """The library always opens a port: for this machine and this process alone."""
    made.hostnames, made.port, made.api_keys = ["127.0.0.1"], 0, [key]
    made.cors_origins, made.ui, made.n_threads_http = "", False, 2
    made.sse_ping_interval, made.endpoint_metrics = -1, True


def _encode(library: Any, made: Any, plan: Plan) -> None:
    """Vectors and scores: the whole input goes in at once."""
    made.embedding = True
    made.n_batch = made.n_ubatch = plan.context
    kinds = library.llama_pooling_type
    if plan.role == "rerank":
        made.pooling_type = kinds.LLAMA_POOLING_TYPE_RANK
    elif not plan.model.encodes:
        made.pooling_type = kinds.LLAMA_POOLING_TYPE_MEAN


def _adapter(library: Any, adapter: Adapter) -> Any:
    # a scale of 0 here, and the real one with each request: the library applies what it loads
    info = library.CommonAdapterLoraInfo()
    info.path, info.scale = str(adapter.path.resolve()), 0.0
    return info


def new_key() -> str:
    """A key for the loopback port, known to this process alone."""
    return secrets.token_urlsafe(32)


# ---- why it failed -------------------------------------------------------------------------------

_TRY_AGAIN = """
import json, sys
facts = json.loads(sys.argv[1])
sys.path[:] = facts["path"]
import xllamacpp
made = xllamacpp.CommonParams()
made.model.path, made.n_ctx, made.verbosity = facts["model"], facts["context"], facts["verbosity"]
made.hostnames, made.port = ["127.0.0.1"], 0
xllamacpp.Server(made)
"""


def _reason(plan: Plan) -> str:
    """What the library logs: it is asked again in a process of its own, whose log is its own."""
    context = plan.context * plan.options.parallel
    facts = {"path": sys.path, "model": str(plan.path), "context": context, "verbosity": ERRORS}
    command = [sys.executable, "-I", "-c", _TRY_AGAIN, json.dumps(facts)]
    try:
        tried = subprocess.run(  # noqa: S603 - this same interpreter, and no shell
            command, capture_output=True, timeout=REASON_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    lines = tried.stderr.decode("utf-8", "replace").splitlines()
    logged = [found[1].strip() for found in (re.match(r"[\d.]+ E (.*)", x) for x in lines) if found]
    return "; ".join(dict.fromkeys(logged[:REASON_LINES]))


def _refusal(plan: Plan, reason: str) -> MultitapError:
    message = f"llama.cpp could not load {plan.path.name}: {reason}"
    if "unknown model architecture" in reason:
        hint = "Update it: pip install --upgrade xllamacpp."
        return NotSupported(message, hint=hint, model=plan.model.id, phase="local")
    if re.search("alloc|out of memory", reason):
        return LocalError(message, hint="Choose a smaller model, or lower context or parallel.")
    hint = "Download the file again; if that does not help, update xllamacpp."
    return ProtocolError(message, hint=hint, kind="load_failed", model=plan.model.id, phase="local")
