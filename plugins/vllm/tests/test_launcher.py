"""How vLLM is started: the words of its command line."""

from __future__ import annotations

import pytest

from multitap.capabilities.launcher import Container, LaunchRequest, Process
from multitap_vllm.launcher import VllmLauncher

MODEL = "HuggingFaceTB/SmolLM2-360M-Instruct"
DEFAULTS = (
    *("--max-model-len", "4096", "--max-num-seqs", "1"),
    *("--gpu-memory-utilization", "0.3", "--enforce-eager"),
)
TOOLS = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes")


def launch(**more):
    return VllmLauncher().launch(LaunchRequest(model=MODEL, port=4242, **more))


def test_a_program_listens_on_this_machine_alone():
    found = launch()
    assert isinstance(found, Process)
    listening = ("--host", "127.0.0.1", "--port", "4242")
    assert found.argv == ("vllm", "serve", MODEL, *listening, *DEFAULTS)
    assert found.environ == {"VLLM_CPU_KVCACHE_SPACE": "1"}
    assert found.ready == ("/health", "/v1/models")


def test_a_container_listens_at_its_own_port():
    found = launch(container=True, tag="0.9")
    assert isinstance(found, Container)
    assert (found.image, found.port) == ("openeuler/vllm-cpu:0.9", 8000)
    assert found.argv == ("--model", MODEL, "--port", "8000", *DEFAULTS)
    assert found.environ == {"VLLM_CPU_KVCACHE_SPACE": "1"}


@pytest.mark.parametrize("container", [False, True])
def test_a_parser_turns_calls_of_tools_on(container):
    assert launch(container=container, tool_parser="hermes").argv[-10:] == (*TOOLS, *DEFAULTS)
    assert "--tool-call-parser" not in launch(container=container, tool_parser="none").argv


def test_options_go_before_the_defaults_and_can_take_them_away():
    options = {"max_model_len": 64, "enforce_eager": None, "gpu_memory_utilization": None}
    found = launch(options={**options, "dtype": "float32"}).argv
    assert found[-6:] == ("--max-model-len", "64", "--max-num-seqs", "1", "--dtype", "float32")
