from pathlib import Path

import pytest

from multitap.errors import BadRequest, LocalError, ProtocolError

MODELS = Path(__file__).with_name("models")
ADAPTER = str(MODELS / "tiny-lora.gguf")
CAPITAL = "What is the capital of France?"
PARIS = "The capital of France is Paris."
ASK = {"model": "tiny-llama", "temperature": 0, "think": False, "max_tokens": 12}


def test_an_adapter_changes_the_answer(make_runtime):
    with make_runtime(lora=[ADAPTER]) as runtime:
        assert runtime.chat(CAPITAL, **ASK).text != PARIS


def test_a_scale_of_0_leaves_the_model_as_it_is(make_runtime):
    with make_runtime(lora=[f"{ADAPTER}@0"]) as runtime:
        assert runtime.chat(CAPITAL, **ASK).text == PARIS


def test_a_call_may_choose_the_scale_by_name(make_runtime):
    with make_runtime(lora=[ADAPTER]) as runtime:
        off = runtime.chat(CAPITAL, extra={"lora": {"tiny-lora": 0}}, **ASK)
        on = runtime.chat(CAPITAL, extra={"lora": {"tiny-lora": 1}}, **ASK)
    assert off.text == PARIS
    assert on.text != PARIS


def test_an_unknown_adapter_is_refused(make_runtime):
    with (
        make_runtime(lora=[ADAPTER]) as runtime,
        pytest.raises(BadRequest, match="there are: tiny-lora"),
    ):
        runtime.chat(CAPITAL, extra={"lora": {"other": 1}}, **ASK)


@pytest.mark.parametrize(
    ("path", "error", "says"),
    [
        ("/nowhere/style.gguf", LocalError, "cannot be read"),
        (str(MODELS / "tiny-llama.gguf"), ProtocolError, "not a LoRA adapter for llama"),
    ],
)
def test_what_is_no_adapter_is_refused(make_runtime, path, error, says):
    with make_runtime(lora=[path]) as runtime, pytest.raises(error, match=says):
        runtime.chat(CAPITAL, **ASK)
