"""Both runtimes over both carriers against a real llama-server: `nox -s "real(llamaserver)"`.

What is tested is the plugin, and below it the OpenAI dialect, framing, carriers and engine, on the
bytes of a server that we did not write.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from llama_server_process import CEILING, running
from llamaserver_here import llamaserver_registry

from multitap import AsyncRuntime, Runtime
from multitap.capabilities.lifecycle import Slot
from multitap.errors import (
    AuthenticationError,
    BadRequest,
    ContextOverflow,
    DeadlineExceeded,
    EngineError,
    ModelNotFound,
    NotSupported,
)
from multitap.events import Reasoning, Stop, Text, UsageReport

HERE = Path(__file__).parent
MODELS = HERE.parents[1] / "plugins/llamacpp/tests/models"
CAPITAL = "What is the capital of France?"
STORY = "Tell a story of a cat in Paris."
ENDLESS = {"temperature": 0, "extra": {"ignore_eos": True}}
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


# ---- servers -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server():
    with running("chat", "tiny-llama.gguf") as found:
        yield found


@pytest.fixture(scope="module")
def adapted():
    """One with an adapter, which is applied to nothing that does not ask for it."""
    with running("chat", "tiny-llama.gguf", "tiny-lora.gguf") as found:
        yield found


@pytest.fixture(scope="module")
def embedder():
    with running("embedding", "tiny-embed.gguf") as found:
        yield found


@pytest.fixture(scope="module")
def reranker():
    with running("rerank", "tiny-rerank.gguf") as found:
        yield found


# ---- both runtimes, both carriers ----------------------------------------------------------------


class Blocking:
    """What a test does, in blocking code."""

    def __init__(self, config, *, use_httpx):
        self.client = httpx.Client() if use_httpx else None
        self.rt = Runtime(config, registry=llamaserver_registry(), http=self.client)

    def call(self, name, *args, **options):
        return getattr(self.rt, name)(*args, **options)

    def stream(self, prompt, *, most=None, **options):
        """The events, and the stream; it is left after ``most`` events."""
        seen = []
        with self.rt.stream(prompt, **options) as stream:
            for event in stream:
                seen.append(event)
                if len(seen) == most:
                    break
        return seen, stream

    def interrupt(self, prompt, **options):
        """Another thread closes the stream while this one waits for more."""
        with self.rt.stream(prompt, **options) as stream:
            first = next(event for event in stream if event.semantic)
            closer = threading.Thread(target=stream.close)
            closer.start()
            for _ in stream:
                pass
            closer.join(CEILING)
        return first, stream

    def sees_idle(self, server):
        """Has every generation ended?"""
        return server.becomes_idle()

    def close(self):
        self.rt.close()
        if self.client:
            self.client.close()


class OnALoop:
    """The same on an event loop."""

    def __init__(self, config, *, use_httpx):
        self.loop = asyncio.new_event_loop()
        self.client = httpx.AsyncClient() if use_httpx else None
        self.rt = AsyncRuntime(config, registry=llamaserver_registry(), http=self.client)

    def call(self, name, *args, **options):
        async def run():
            return await getattr(self.rt, name)(*args, **options)

        return self.loop.run_until_complete(run())

    def stream(self, prompt, *, most=None, **options):
        async def run():
            seen = []
            async with self.rt.stream(prompt, **options) as stream:
                async for event in stream:
                    seen.append(event)
                    if len(seen) == most:
                        break
            return seen, stream

        return self.loop.run_until_complete(run())

    def interrupt(self, prompt, **options):
        """The task that reads is cancelled."""
        seen = []

        async def read(stream, began):
            async with stream:
                async for event in stream:
                    if event.semantic:
                        seen.append(event)
                        began.set()

        async def run():
            began = asyncio.Event()
            stream = self.rt.stream(prompt, **options)
            task = asyncio.create_task(read(stream, began))
            await began.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return seen[0], stream

        return self.loop.run_until_complete(run())

    def sees_idle(self, server):
        """Has every generation ended? The loop runs meanwhile, as an application's does."""
        return self.loop.run_until_complete(asyncio.to_thread(server.becomes_idle))

    def close(self):
        async def close():
            self.rt.close()
            if self.client:
                await self.client.aclose()

        self.loop.run_until_complete(close())
        self.loop.close()


WORLDS = {
    "sync-direct": (Blocking, False),
    "sync-httpx": (Blocking, True),
    "async-direct": (OnALoop, False),
    "async-httpx": (OnALoop, True),
}


@pytest.fixture(params=WORLDS.values(), ids=WORLDS)
def world(request):
    """Makes a runtime for a server."""
    kind, use_httpx = request.param
    made = []

    def make(server, key=None):
        backend = {"endpoint": server.url, "api_key": key or server.key}
        config = {"defaults": {"provider": "llamaserver", "model": "tiny"}, "llamaserver": backend}
        made.append(kind(config, use_httpx=use_httpx))
        return made[-1]

    yield make
    for here in made:
        here.close()


def text(events):
    return "".join(event.content for event in events if isinstance(event, Text))


# ---- chat ----------------------------------------------------------------------------------------


def test_an_answer(world, server):
    answer = world(server).call("chat", CAPITAL, temperature=0)
    assert (answer.text, answer.stop_reason) == ("The capital of France is Paris.", "complete")
    assert (answer.backend, answer.model) == ("llamaserver", "tiny")
    usage = answer.usage
    assert usage.source == "reported"
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens


def test_a_streamed_answer_is_the_same(world, server):
    here = world(server)
    events, stream = here.stream(CAPITAL, temperature=0)
    assert "The capital of France is Paris." == text(events) == stream.answer.text
    assert [UsageReport, Stop] == [type(event) for event in events[-2:]]
    whole = here.call("chat", CAPITAL, temperature=0)
    counts = [(u.input_tokens, u.output_tokens) for u in (stream.answer.usage, whole.usage)]
    assert counts[0] == counts[1]


def test_an_answer_that_is_cut_at_max_tokens(world, server):
    _, stream = world(server).stream(CAPITAL, temperature=0, max_tokens=3)
    assert stream.answer.stop_reason == "max_tokens"
    assert stream.answer.usage.output_tokens == 3


def test_a_stop_text_is_no_part_of_the_answer(world, server):
    answer = world(server).call("chat", CAPITAL, temperature=0, stop=[" is"])
    assert answer.text == "The capital of France"


def test_an_adapter_is_named_and_applied(world, adapted):
    here = world(adapted)
    assert here.call("describe").meta["adapters"] == "tiny-lora=0"
    texts = [
        here.call("chat", CAPITAL, temperature=0, max_tokens=12, extra={"lora": lora}).text
        for lora in ({"tiny-lora": 1}, {}, {"tiny-lora": 1}, {"tiny-lora": 0})
    ]
    assert "The capital of France is Paris." == texts[1] == texts[3] != texts[0] == texts[2]
    with pytest.raises(BadRequest, match="there are: tiny-lora"):
        here.call("chat", CAPITAL, extra={"lora": {"other": 1}})


def test_a_slot_is_saved_and_restored_into_another_one(world, server):
    here = world(server)
    said = {"temperature": 0, "max_tokens": 8}
    here.call("erase_slot", 1)
    first = here.call("chat", STORY, extra={"id_slot": 0}, **said)
    held = here.call("slots")[0]
    assert (held.id, held.busy, held.context_length) == (0, False, 512)
    assert held.tokens >= first.usage.input_tokens
    saved = here.call("save_slot", 0, "story.bin")
    restored = here.call("restore_slot", 1, "story.bin")
    assert (
        (restored.tokens, restored.size) == (saved.tokens, saved.size) == (held.tokens, saved.size)
    )
    again = here.call("chat", STORY, extra={"id_slot": 1}, **said)
    assert again.usage.cached_tokens == first.usage.input_tokens - 1
    assert here.call("erase_slot", 0) == Slot(id=0, tokens=0)
    assert here.call("slots")[0].tokens == 0


@pytest.mark.parametrize(
    ("order", "kind"),
    [
        (("save_slot", 2, "a.bin"), "slot_unknown"),
        (("save_slot", 0, "../a.bin"), "slot_name_refused"),
        (("restore_slot", 0, "never-saved.bin"), "slot_not_restored"),
    ],
)
def test_a_slot_or_a_file_that_is_not_there(world, server, order, kind):
    with pytest.raises(BadRequest) as caught:
        world(server).call(*order)
    assert caught.value.kind == kind
    assert caught.value.hint


@pytest.mark.parametrize("streamed", [True, False])
def test_a_tool_call(world, server, streamed):
    here = world(server)
    options = {"tools": [WEATHER], "temperature": 0}
    if streamed:
        answer = here.stream("What is the weather in Oslo?", **options)[1].answer
    else:
        answer = here.call("chat", "What is the weather in Oslo?", **options)
    call = answer.tool_calls[0]
    assert (answer.stop_reason, call.name) == ("tool_use", "get_weather")
    assert call.arguments == {"city": "Oslo"}
    assert call.id


def test_an_answer_in_the_shape_of_a_schema(world, server):
    answer = world(server).call(
        "chat", "Write Mia, 7 years old, as JSON.", temperature=0, response_format=PERSON
    )
    found = json.loads(answer.text)
    assert {"name", "age"} == set(found)
    assert isinstance(found["age"], int)


@pytest.mark.parametrize("streamed", [True, False])
def test_reasoning_comes_apart_from_the_answer(world, server, streamed):
    here = world(server)
    thinking = {"think": "high", "temperature": 0}
    if streamed:
        events, stream = here.stream(CAPITAL, **thinking)
        assert isinstance(next(event for event in events if event.semantic), Reasoning)
        answer = stream.answer
    else:
        answer = here.call("chat", CAPITAL, **thinking)
    assert "France" in answer.reasoning
    assert "Paris" in answer.text
    assert "<think>" not in answer.reasoning + answer.text


# ---- the other capabilities ----------------------------------------------------------------------


def test_embeddings(world, embedder):
    found = world(embedder).call("embed", ["the little cat", "a red ball"])
    vectors = np.asarray(found.vectors)
    assert (2, np.float32) == (len(vectors), vectors.dtype)
    np.testing.assert_allclose([1, 1], np.linalg.norm(vectors, axis=1), rtol=1e-5)
    assert found.usage.input_tokens > 0


def test_rerank(world, reranker):
    documents = ["the little cat", "a red ball", "a golden key"]
    results = world(reranker).call("rerank", "cat", documents).results
    assert {0, 1, 2} == {row.index for row in results}
    assert sorted((row.score for row in results), reverse=True) == [row.score for row in results]
    assert all(0 < row.score < 1 for row in results)


def test_tokenize_and_back(world, server):
    here = world(server)
    tokens = here.call("tokenize", CAPITAL)
    assert here.call("detokenize", tokens.ids) == CAPITAL
    assert b"".join(tokens.pieces).decode() == CAPITAL


def test_a_character_of_several_tokens_comes_in_pieces_of_bytes(world, server):
    tokens = world(server).call("tokenize", "🦊")
    assert len(tokens) > 1
    assert b"".join(tokens.pieces).decode() == "🦊"


def test_a_token_that_the_model_does_not_have(world, server):
    with pytest.raises(BadRequest) as caught:
        world(server).call("detokenize", [999_999])
    assert caught.value.kind == "token_unknown"


@pytest.mark.parametrize("role", ["server", "embedder", "reranker"])
def test_a_model_is_listed_and_described_with_what_it_is_for(world, role, request):
    here = world(request.getfixturevalue(role))
    (model,) = here.call("models")
    assert (model.id, model.ref, model.loaded) == ("tiny", "llamaserver:tiny", True)
    assert (
        model.capabilities
        == {
            "server": {"chat", "tools", "thinking"},
            "embedder": {"embedding"},
            "reranker": {"rerank"},
        }[role]
    )
    assert model.context_length == {"server": 512}.get(role, 256)
    found = here.call("describe", "tiny")
    assert (found.capabilities, found.context_length) == (model.capabilities, model.context_length)
    assert role != "server" or "enable_thinking" in found.meta["chat_template"]
    assert [running.id for running in here.call("running")] == ["tiny"]


def test_a_model_of_another_name_is_not_there(world, server):
    with pytest.raises(ModelNotFound):
        world(server).call("describe", "nobody")


def test_a_server_of_one_model_manages_none(world, server):
    here = world(server)
    here.call("load", "tiny")
    for verb in ("unload", "delete", "pull"):
        with pytest.raises(NotSupported):
            here.call(verb, "tiny")


def test_the_server_says_who_it_is(world, server):
    found = world(server).call("validate", "llamaserver")
    assert found.server.startswith("llama-server b")
    assert found.models == 1


# ---- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [True, False])
def test_a_prompt_that_is_too_long_is_told_in_numbers(world, server, streamed):
    here = world(server)
    with pytest.raises(ContextOverflow) as caught:
        (here.stream if streamed else lambda p: here.call("chat", p))("the cat and the dog " * 300)
    assert caught.value.limit == 512
    assert caught.value.needed > 1000
    assert caught.value.status == 400


def test_a_wrong_key_is_not_shown(world, server):
    wrong = secrets.token_hex(16)
    with pytest.raises(AuthenticationError) as caught:
        world(server, key=wrong).call("chat", "hi")
    assert caught.value.status == 401
    assert wrong not in f"{caught.value} {caught.value!r} {caught.value.to_dict()}"


@pytest.mark.parametrize("role", ["embedder", "reranker"])
def test_a_text_that_is_too_long_for_an_encoder(world, role, request):
    here, text = world(request.getfixturevalue(role)), "the little cat " * 400
    with pytest.raises(ContextOverflow):
        here.call(*(("embed", [text]) if role == "embedder" else ("rerank", "cat", [text])))


def test_what_a_server_was_not_started_for_is_not_supported(world, server, embedder):
    with pytest.raises(NotSupported):
        world(server).call("embed", ["hi"])
    with pytest.raises(NotSupported):
        world(server).call("rerank", "hi", ["you"])
    with pytest.raises(NotSupported):
        world(embedder).call("chat", "hi")


def test_arguments_of_an_earlier_call_that_are_no_json(world, server):
    call = {"id": "1", "function": {"name": "get_weather", "arguments": "{bad"}}
    messages = [
        {"role": "user", "content": "What is the weather in Oslo?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
    ]
    answer = world(server).call("chat", messages=messages, tools=[WEATHER], max_tokens=20)
    assert answer.usage.output_tokens > 0


def test_log_probabilities_beside_tools_are_left_out_with_a_warning(world, server):
    answer = world(server).call("chat", CAPITAL, tools=[WEATHER], logprobs=2, max_tokens=4)
    assert [notice.option for notice in answer.warnings] == ["logprobs"]
    assert not answer.logprobs


def test_a_tool_that_must_be_called_is(world, server):
    answer = world(server).call(
        "chat",
        "What is the weather in Oslo?",
        tools=[{"name": "add"}, WEATHER],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        temperature=0,
        max_tokens=60,
    )
    assert [call.name for call in answer.tool_calls] == ["get_weather"]


def test_a_request_that_the_server_refuses(world, server):
    with pytest.raises(BadRequest) as caught:
        world(server).call("chat", "hi", extra={"response_format": {"type": "poem"}})
    assert caught.value.status == 400


# ---- the end of a generation ---------------------------------------------------------------------


def test_leaving_a_stream_ends_the_generation(world, server):
    here = world(server)
    events, stream = here.stream("Tell a story.", most=3, **ENDLESS)
    assert len(events) == 3
    assert stream.answer.stop_reason == "cancelled"
    assert here.sees_idle(server)


def test_closing_or_cancelling_from_outside_ends_the_generation(world, server):
    here = world(server)
    first, stream = here.interrupt("Tell a story.", **ENDLESS)
    assert isinstance(first, Text)
    assert stream.answer.stop_reason == "cancelled"
    assert here.sees_idle(server)


def test_a_whole_answer_that_nobody_waits_for_any_more_is_ended_too(world, server):
    here = world(server)
    with pytest.raises(DeadlineExceeded):
        here.call("chat", "Tell a story.", timeout=0.5, **ENDLESS)
    assert here.sees_idle(server)


def test_after_a_broken_off_stream_the_runtime_goes_on(world, server):
    here = world(server)
    here.stream("Tell a story.", most=1, **ENDLESS)
    assert here.call("chat", CAPITAL, temperature=0).text == "The capital of France is Paris."


# ---- launched by the runtime ---------------------------------------------------------------------

COMMAND = [sys.executable, str(HERE / "llama_server_command.py")]


def launched(runtime):
    """A launch of the tiny model; the executable is one that takes llama-server's words."""
    model = f"llamaserver:{MODELS / 'tiny-llama.gguf'}"
    return runtime.launch(model, executable=COMMAND, options={"ctx_size": 256}, timeout=120)


def commands():
    """The ids of the processes that were launched."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True).stdout
    mine = f"{COMMAND[1]} --model"
    return {int(line.split()[0]) for line in listed.splitlines() if mine in line}


def test_a_launched_llama_server_answers_and_leaves_no_process():
    with Runtime({}, registry=llamaserver_registry()) as rt:
        before = commands()
        with launched(rt) as server:
            assert (server.model, len(commands() - before)) == ("tiny-llama", 1)
            answer = rt.chat(CAPITAL, model=server.ref, max_tokens=8, temperature=0)
            assert answer.usage.output_tokens > 0
            assert rt.models(server.backend)[0].ref == server.ref
        assert commands() == before


def test_a_cancelled_task_leaves_no_llama_server():
    async def main():
        ready = asyncio.Event()
        async with AsyncRuntime({}, registry=llamaserver_registry()) as rt:

            async def serve():
                async with launched(rt) as server:
                    await rt.chat(CAPITAL, model=server.ref, max_tokens=4)
                    ready.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(serve())
            await ready.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    before = commands()
    asyncio.run(main())
    assert commands() == before


def test_a_llama_server_that_fails_in_start_tells_why_and_leaves_no_process(tmp_path):
    before, missing = commands(), tmp_path / "no-model-here.gguf"
    with (
        Runtime({}, registry=llamaserver_registry()) as rt,
        pytest.raises(EngineError, match="exit code 1 before it was ready; its log"),
        rt.launch(f"llamaserver:{missing}", executable=COMMAND, timeout=120),
    ):
        pass
    assert commands() == before


APPLICATION = """
import sys
sys.path[:0] = sys.argv[2].split()
from llamaserver_here import llamaserver_registry
from multitap import Runtime
with Runtime({}, registry=llamaserver_registry()) as rt:
    with rt.launch(f"llamaserver:{sys.argv[1]}", executable=sys.argv[3:], timeout=120) as server:
        print("ready", flush=True)
        sys.stdin.read()
"""


def test_a_killed_application_leaves_no_llama_server():
    before, places = commands(), HERE.parents[1] / "plugins/llamaserver/tests"
    words = [str(MODELS / "tiny-llama.gguf"), str(places), *COMMAND]
    with subprocess.Popen(
        [sys.executable, "-c", APPLICATION, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as application:
        assert application.stdout.readline() == b"ready\n"
        assert len(commands() - before) == 1
        application.kill()
    give_up = time.monotonic() + CEILING
    while commands() != before and time.monotonic() < give_up:
        pass
    assert commands() == before
