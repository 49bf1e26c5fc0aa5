"""Both runtimes against a real Ollama, with models made of tiny GGUFs: `nox -s "real(ollama)"`.

It needs the program `ollama` on PATH, and no network: the server listens on a free port of this
machine, and keeps its models in a folder of its own.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from ollama_here import ollama_config, ollama_registry

from multitap.errors import BackendError, ContextOverflow, ModelNotFound, NotSupported
from multitap.events import Reasoning, Text
from multitap.testing import WORLDS, assert_stream_grammar

MODELS = Path(__file__).parents[2] / "plugins" / "llamacpp" / "tests" / "models"
CEILING = 60.0  # seconds that anything may take before a test is called stuck
CONTEXT = 256

CAPITAL = "What is the capital of France?"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


# ---- the server ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The address of an Ollama that has the models ``tiny`` and ``tiny-embed``."""
    program = shutil.which("ollama")
    if program is None:
        pytest.exit("`ollama` is not on PATH: install it from https://ollama.com/download", 1)
    with serving(program, tmp_path_factory.mktemp("ollama")) as address:
        create(address, "tiny", "tiny-llama.gguf", temperature=0, num_ctx=CONTEXT)
        create(address, "tiny-embed", "tiny-embed.gguf")
        yield address


@contextmanager
def serving(program, folder):
    address = f"127.0.0.1:{free_port()}"
    own = {"OLLAMA_HOST": address, "OLLAMA_MODELS": str(folder / "models"), "HOME": str(folder)}
    with folder.joinpath("log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve"], env={**os.environ, **own}, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            assert answers(f"http://{address}/", process), folder.joinpath("log").read_text()
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(CEILING)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def answers(address, process):
    """Ask until it answers; ``False``: it has ended, or it does not after the ceiling."""
    give_up = time.monotonic() + CEILING
    while process.poll() is None and time.monotonic() < give_up:
        try:
            with urlopen(address, timeout=CEILING):
                return True
        except URLError:
            time.sleep(0.1)
    return False


def create(address, name, file, **parameters):
    data = MODELS.joinpath(file).read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    post(f"{address}/api/blobs/{digest}", data)
    recipe = {"model": name, "files": {file: digest}, "parameters": parameters, "stream": False}
    assert json.loads(post(f"{address}/api/create", json.dumps(recipe).encode())) == {
        "status": "success"
    }


def post(address, data):
    with urlopen(Request(address, data=data, method="POST"), timeout=CEILING) as reply:
        return reply.read()


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def here(request, url):
    with request.param(ollama_config(url), ollama_registry()) as world:
        yield world


def answer_of(here, streamed, *args, **options):
    if not streamed:
        return here.call("chat", *args, **options)
    events, stream = here.stream(*args, **options)
    assert_stream_grammar(events)
    return stream.answer


# ---- chat ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer(here, streamed):
    answer = answer_of(here, streamed, CAPITAL, think=False)
    assert (answer.text, answer.stop_reason) == ("The capital of France is Paris.", "complete")
    assert answer.usage.source == "reported"
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_that_is_cut_at_max_tokens(here, streamed):
    answer = answer_of(here, streamed, CAPITAL, think=False, max_tokens=3)
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 3)


def test_a_stop_text_is_no_part_of_the_answer(here):
    answer = here.call("chat", CAPITAL, think=False, stop=[" is"])
    assert answer.text == "The capital of France"


@pytest.mark.parametrize("streamed", [True, False])
def test_a_tool_call_and_its_result(here, streamed):
    asked = {"role": "user", "content": "What is the weather in Oslo?"}
    options = {"tools": [WEATHER], "think": False}
    first = answer_of(here, streamed, messages=[asked], **options)
    (call,) = first.tool_calls
    assert (first.stop_reason, call.name) == ("tool_use", "get_weather")
    assert call.arguments == {"city": "Oslo"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    second = answer_of(here, streamed, messages=[asked, first.message, result], **options)
    assert "sunny" in second.text


def test_an_answer_in_the_shape_of_a_schema(here):
    prompt = "Write Mia, 7 years old, as JSON."
    answer = here.call("chat", prompt, think=False, response_format=PERSON, max_tokens=100)
    assert {"name", "age"} <= set(json.loads(answer.text))


@pytest.mark.parametrize("streamed", [True, False])
def test_thinking_comes_apart_from_the_answer(here, streamed):
    answer = answer_of(here, streamed, CAPITAL, think=True)
    assert answer.reasoning
    assert "Paris" in answer.text
    assert "<think>" not in answer.reasoning + answer.text


def test_a_turn_that_was_begun_is_continued(here):
    begun = [
        {"role": "user", "content": CAPITAL},
        {"role": "assistant", "content": "The capital of"},
    ]
    answer = here.call("chat", messages=begun, think=False)
    assert answer.text.strip() == "France is Paris."


def test_probabilities_come_with_the_tokens(here):
    answer = here.call("chat", CAPITAL, think=False, max_tokens=3, logprobs=2)
    assert len(answer.logprobs) == 3
    assert all(token.logprob <= 0 and len(token.top) == 2 for token in answer.logprobs)


def test_leaving_a_stream_leaves_the_server_free(here):
    events, stream = here.stream(
        "Tell a story.", think=False, after=lambda seen, _: not isinstance(seen[-1], Text)
    )
    assert isinstance(events[-1], Text)
    assert not any(isinstance(event, Reasoning) for event in events)
    assert stream.answer.stop_reason == "cancelled"
    assert here.call("chat", CAPITAL, think=False).text


# ---- the context ---------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [True, False])
def test_a_prompt_that_is_too_long_is_told_in_numbers(here, streamed):
    with pytest.raises(ContextOverflow) as caught:
        answer_of(here, streamed, "the cat and the dog " * 300)
    assert caught.value.limit == CONTEXT
    assert caught.value.needed > 1000


def test_old_turns_are_dropped_where_that_is_allowed(here):
    turns = [{"role": "user", "content": "the cat and the dog " * 20}] * 9
    question = {"role": "user", "content": CAPITAL}
    answer = here.call("chat", messages=[*turns, question], think=False, shift=True, max_tokens=8)
    assert answer.usage.input_tokens <= CONTEXT


def test_an_answer_that_fills_the_context_ends_with_max_tokens(url):
    numbers = {"type": "array", "items": {"type": "integer"}, "minItems": 400}
    config = ollama_config(url, num_ctx=CONTEXT)
    with WORLDS[0](config, ollama_registry()) as here:
        answer = here.call("chat", "Go.", think=False, response_format=numbers)
    assert answer.stop_reason == "max_tokens"
    assert answer.usage.total_tokens <= CONTEXT + 1


# ---- the other capabilities ----------------------------------------------------------------------


def test_embeddings(here):
    texts = ["the little cat", "a red ball"]
    found = here.call("embed", texts, model="ollama:tiny-embed")
    assert len(found.vectors) == 2
    for row in found.vectors:
        assert math.isclose(1.0, math.fsum(number * number for number in row), rel_tol=1e-4)
    assert found.usage.input_tokens > 0


def test_a_text_that_is_too_long_to_embed_is_refused(here):
    with pytest.raises(ContextOverflow):
        here.call("embed", ["cat " * 2000], model="ollama:tiny-embed")


def test_fewer_dimensions(here):
    found = here.call("embed", ["a red ball"], model="ollama:tiny-embed", dimensions=8)
    assert found.vectors.width == 8
    with pytest.raises(NotSupported):
        here.call("embed", ["a red ball"], model="ollama:tiny-embed", dimensions=100_000)


def test_models(here):
    assert {m.ref for m in here.call("models")} == {
        "ollama:tiny:latest",
        "ollama:tiny-embed:latest",
    }


def test_load_and_unload(here):
    here.call("load", "ollama:tiny")
    assert here.call("chat", CAPITAL, think=False).text
    here.call("unload", "ollama:tiny")


# ---- failures ------------------------------------------------------------------------------------


def test_an_unknown_model(here):
    with pytest.raises(ModelNotFound, match="multitap pull ollama:nothing"):
        here.call("chat", "hi", model="ollama:nothing")


def test_a_pull_of_what_does_not_exist(here):
    """Without a network the registry is not reached; with one it does not have the model."""
    with pytest.raises(BackendError) as caught:
        here.call("pull", "ollama:127.0.0.1:9/lib/nothing")
    assert caught.value.kind in ("registry_unreachable", "model_not_found")


def test_an_option_of_a_wrong_type_is_named(here):
    with pytest.raises(BackendError, match="top_k"):
        here.call("chat", "hi", extra={"top_k": "many"})


def test_an_embedder_does_not_chat(here):
    with pytest.raises(NotSupported):
        here.call("chat", "hi", model="ollama:tiny-embed")
