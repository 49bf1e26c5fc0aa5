import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from multitap import AsyncRuntime
from multitap.capabilities.chat import ChatRequest
from multitap.errors import (
    BadRequest,
    ContextOverflow,
    DeadlineExceeded,
    ModelNotFound,
    NotSupported,
    ProtocolError,
)
from multitap.messages import Image, Message, TextPart
from multitap_llamacpp.chat import multitap_chat

CAPITAL = "What is the capital of France?"
CEILING = 30.0
PARIS = "The capital of France is Paris."
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
TIME = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}
ASK = {"model": "tiny-llama", "temperature": 0, "think": False}
# held to a grammar without an end, the model writes as long as it may
# with that many alternatives for each token, the 2000 tokens of the context take seconds
ENDLESS = {
    **ASK,
    "prompt": "Write.",
    "extra": {"grammar": 'root ::= "a" root', "n_probs": 100},
}
LONG = "word " * 600


def request(prompt, **options):
    return ChatRequest(model="tiny-llama", messages=(Message("user", prompt),), **options)


# ---- what comes back -----------------------------------------------------------------------------


def test_an_answer_with_its_usage(runtime):
    answer = runtime.chat(CAPITAL, **ASK)
    assert (answer.text, answer.stop_reason, answer.warnings) == (PARIS, "complete", ())
    assert (
        answer.usage.input_tokens,
        answer.usage.output_tokens,
        answer.usage.source,
    ) == (15, 8, "reported")
    timings = answer.provider_meta["llamacpp"]["timings"]
    assert (timings["prompt_n"] + timings["cache_n"], timings["predicted_n"]) == (15, 8)


def test_a_stream_comes_piece_by_piece_and_ends_with_stop(runtime):
    with runtime.stream(CAPITAL, **ASK) as events:
        found = list(events)
    pieces = [event.content for event in found if event.type == "text"]
    assert (len(pieces), "".join(pieces)) == (7, PARIS)
    assert [event.type for event in found[-2:]] == ["usage", "stop"]


def test_the_first_call_says_that_the_model_is_loaded(runtime):
    runtime.unload("tiny-llama")
    with runtime.stream(CAPITAL, **ASK) as events:
        first = next(iter(events))
    assert (first.type, first.status) == ("loading", "loading")
    assert first.total == 1_600_800


def test_async_gives_the_same(config, registry):
    async def ask():
        async with AsyncRuntime(config, registry=registry) as rt:
            return (await rt.chat(CAPITAL, **ASK)).text

    assert asyncio.run(ask()) == PARIS


def test_thinking_is_apart_from_the_answer(runtime):
    answer = runtime.chat(CAPITAL, **{**ASK, "think": True})
    assert answer.reasoning.strip() == "The user asks for the capital of France."
    assert answer.text == PARIS


def test_thinking_off_is_off(runtime):
    assert runtime.chat(CAPITAL, **{**ASK, "think": "off"}).reasoning == ""


def test_a_level_that_is_rounded_is_reported(runtime):
    warnings = runtime.chat(CAPITAL, **{**ASK, "think": "xhigh"}).warnings
    assert [(w.code, w.option) for w in warnings] == [("rounded", "think")]


def test_a_tool_is_called(runtime):
    answer = runtime.chat("What is the weather in Oslo?", tools=[WEATHER], **ASK)
    assert answer.stop_reason == "tool_use"
    assert [(c.name, c.arguments) for c in answer.tool_calls] == [("get_weather", {"city": "Oslo"})]


def test_a_tool_chosen_by_name_is_the_one_that_is_called(runtime):
    answer = runtime.chat(
        "What is the weather in Oslo?", tools=[TIME, WEATHER], tool_choice="get_weather", **ASK
    )
    assert [call.name for call in answer.tool_calls] == ["get_weather"]


def test_tool_choice_none_calls_nothing(runtime):
    ask = {**ASK, "tools": [WEATHER], "tool_choice": "none", "max_tokens": 20}
    assert tuple(runtime.chat("What is the weather in Oslo?", **ask).tool_calls) == ()


def test_a_tools_result_goes_back_to_the_model(runtime):
    call = {"id": "c1", "type": "function"}
    call["function"] = {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
    turns = [
        {"role": "user", "content": "What is the weather in Oslo?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    answer = runtime.chat(messages=turns, tools=[WEATHER], **{**ASK, "max_tokens": 30})
    assert tuple(answer.tool_calls) == ()
    assert answer.text != ""


def test_the_answer_follows_a_schema(runtime):
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Oslo"]}},
        "required": ["city"],
        "additionalProperties": False,
    }
    answer = runtime.chat(CAPITAL, response_format=schema, **ASK)
    assert answer.text.replace(" ", "") in ('{"city":"Paris"}', '{"city":"Oslo"}')


def test_a_stop_text_ends_the_answer(runtime):
    answer = runtime.chat(CAPITAL, stop=" is", **ASK)
    assert answer.text == "The capital of France"


def test_max_tokens_ends_the_answer(runtime):
    answer = runtime.chat(CAPITAL, max_tokens=3, **ASK)
    assert (answer.text, answer.stop_reason) == ("The capital of", "max_tokens")


def test_a_seed_repeats_an_answer(runtime):
    ask = {**ASK, "temperature": 1.5, "max_tokens": 30}
    texts = [runtime.chat("Tell me a story.", seed=s, **ask).text for s in (1, 1, 2)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_logprobs_with_alternatives(runtime):
    found = runtime.chat(CAPITAL, logprobs=2, **ASK).logprobs
    assert "".join(entry.token for entry in found) == PARIS
    assert all(entry.logprob <= 0 and len(entry.top) == 2 for entry in found)


def test_logprobs_beside_tools_are_a_warning(runtime):
    answer = runtime.chat("What is the weather in Oslo?", tools=[WEATHER], logprobs=1, **ASK)
    assert [(w.code, w.option) for w in answer.warnings] == [("unsupported_option", "logprobs")]
    assert len(answer.tool_calls) == 1


def test_several_answers_at_once(runtime):
    answer = runtime.chat(CAPITAL, n=3, **ASK)
    assert [choice.text for choice in answer.choices] == [PARIS] * 3


def test_own_options_reach_the_engine(runtime):
    answer = runtime.chat(CAPITAL, extra={"grammar": 'root ::= "yes"'}, **ASK)
    assert answer.text == "yes"


# ---- several, and stopping -----------------------------------------------------------------------


def test_several_generations_run_at_once(backend, last_work):
    together = threading.Barrier(4, timeout=CEILING)

    def run(_):
        def emit(items):  # holds each generation at its first text until all four are there
            if any(item.type == "text" for item in items):
                together.wait()
                return False
            return True

        work = multitap_chat(backend).chat(
            request("Write.", max_tokens=100, extra=ENDLESS["extra"])
        )
        work.run(emit)
        return True

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(4))) == [True] * 4
    last_work()


def test_more_callers_than_slots_all_get_their_answer(runtime):
    with ThreadPoolExecutor(10) as pool:
        texts = list(pool.map(lambda _: runtime.chat(CAPITAL, **ASK).text, range(10)))
    assert texts == [PARIS] * 10


@pytest.mark.parametrize("how", ["break", "close", "other thread"])
def test_leaving_a_stream_ends_the_generation(runtime, cut_short, how):
    with runtime.stream(**ENDLESS) as events:
        for event in events:
            if event.type == "text":
                break
        if how == "close":
            events.close()
        if how == "other thread":
            other = threading.Thread(target=events.close)
            other.start()
            other.join()
    cut_short()


def test_cancelling_a_task_ends_the_generation(config, registry, cut_short):
    async def main():
        async with AsyncRuntime(config, registry=registry) as rt:
            begun = asyncio.Event()

            async def read():
                async with rt.stream(**ENDLESS) as events:
                    async for event in events:
                        if event.type == "text":
                            begun.set()

            task = asyncio.create_task(read())
            await asyncio.wait_for(begun.wait(), CEILING)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    cut_short()


def test_a_stop_while_the_prompt_is_read_is_obeyed(backend, runtime, last_work):
    runtime.load("tiny-llama")
    asked = []

    def emit(items):  # first the notices, then a question for each batch of the prompt
        asked.append(list(items))
        return len(asked) < 2

    multitap_chat(backend).chat(request(LONG)).run(emit)
    assert asked == [[], []]
    assert last_work()["n_prompt_tokens"] < 1500  # of 1800


def test_a_deadline_holds_while_the_prompt_is_read(runtime, last_work):
    runtime.load("tiny-llama")
    with pytest.raises(DeadlineExceeded):
        runtime.chat(LONG, timeout=0.001, **ASK)
    last_work()


def test_the_next_call_after_a_stop_is_served(runtime):
    with runtime.stream(**ENDLESS) as events:
        next(iter(events))
    assert runtime.chat(CAPITAL, **ASK).text == PARIS


def test_what_a_reader_raises_ends_the_generation(backend, cut_short):
    def emit(items):
        if items:
            raise KeyError("reader")
        return True

    endless = request(ENDLESS["prompt"], extra=ENDLESS["extra"])
    with pytest.raises(KeyError):
        multitap_chat(backend).chat(endless).run(emit)
    cut_short()


# ---- what is refused -----------------------------------------------------------------------------


def test_a_prompt_too_long_is_context_overflow(make_runtime):
    with make_runtime(context=256) as runtime, pytest.raises(ContextOverflow) as caught:
        runtime.chat("word " * 200, **ASK)
    assert caught.value.limit == 256
    assert caught.value.needed > 200


def test_an_unknown_model_names_the_nearest(runtime):
    with pytest.raises(ModelNotFound, match="tiny-llama"):
        runtime.chat(CAPITAL, model="tiny-lama")


def test_an_embedder_does_not_chat(runtime):
    with pytest.raises(NotSupported, match="made for embedding"):
        runtime.chat(CAPITAL, model="tiny-embed")


def test_a_picture_is_refused(runtime):
    with pytest.raises(NotSupported, match="image"):
        runtime.chat(
            [TextPart("What is this?"), Image(b"\x89PNG", "image/png")], model="tiny-llama"
        )


def test_more_answers_than_slots_are_refused(make_runtime):
    with make_runtime(parallel=2) as runtime, pytest.raises(BadRequest, match="raise parallel"):
        runtime.chat(CAPITAL, n=3, **ASK)


def test_a_schema_that_is_none_is_refused(runtime):
    with pytest.raises(BadRequest, match="nonsense"):
        runtime.chat(CAPITAL, response_format={"type": "nonsense"}, **ASK)


def test_a_broken_file_is_refused_before_the_engine_sees_it(runtime, tmp_path, models):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(models.find("tiny-llama").path.read_bytes()[:500_000])
    with pytest.raises(ProtocolError, match="beyond its end") as caught:
        runtime.chat(CAPITAL, model=f"path:{broken}")
    assert caught.value.kind == "model_file_invalid"
