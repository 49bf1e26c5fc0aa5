"""How llama-server is started: the words of its command line."""

from __future__ import annotations

import pytest

from multitap.capabilities.launcher import Container, LaunchRequest, Process
from multitap.errors import NotSupported
from multitap_llamaserver.launcher import LlamaServerLauncher

HERE = ("--host", "127.0.0.1", "--port", "4242")


def launch(model, **more):
    return LlamaServerLauncher().launch(LaunchRequest(model=model, port=4242, **more))


def test_a_file_is_served_under_its_own_name():
    found = launch("/models/Tiny.Q8.gguf", options={"ctx_size": 64})
    assert isinstance(found, Process)
    source = ("--model", "/models/Tiny.Q8.gguf", "--alias", "Tiny.Q8")
    assert found.argv == ("llama-server", *source, *HERE, "--ctx-size", "64")
    assert found.model == "Tiny.Q8"


def test_what_is_no_file_is_a_repository():
    found = launch("org/name:Q4_K_M")
    source = ("--hf-repo", "org/name:Q4_K_M", "--alias", "org/name:Q4_K_M")
    assert found.argv == ("llama-server", *source, *HERE)


def test_a_container_is_given_the_folder_of_the_file():
    found = launch("/data/tiny.gguf", container=True)
    assert isinstance(found, Container)
    assert (found.image, found.port) == ("ghcr.io/ggml-org/llama.cpp:server", 8080)
    assert found.volumes == {"/data": "/models"}
    assert found.argv[:4] == ("--model", "/models/tiny.gguf", "--alias", "tiny")
    assert found.argv[4:] == ("--host", "0.0.0.0", "--port", "8080")
    assert launch("org/name", container=True, tag="server-cuda").image.endswith(":server-cuda")


def test_it_has_no_parsers_of_tools():
    with pytest.raises(NotSupported, match="chat template"):
        launch("/models/tiny.gguf", tool_parser="hermes")
