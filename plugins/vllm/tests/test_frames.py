"""What vLLM's other routes say arrives in the same frames, which are taken apart wherever cut."""

from __future__ import annotations

import pytest
import vllm_reader

from multitap.framing import JsonDecoder, SseDecoder
from multitap.testing import assert_chunking_invariant

NAMES = vllm_reader.names("test_frames")
JSON = [name for name in NAMES if name not in ("health", "health_no_key", "metrics")]


@pytest.mark.parametrize("name", JSON)
def test_every_value_arrives_once_and_in_order(name):
    recorded = vllm_reader.recorded(name)
    kind = SseDecoder if recorded.streamed else JsonDecoder
    found = assert_chunking_invariant(lambda: kind(dict, lambda value: [value]), recorded.body)
    assert found == vllm_reader.objects(recorded)


def test_the_same_question_has_the_same_answer_on_every_surface():
    texts = {
        "chat": lambda value: value["choices"][0]["message"]["content"],
        "anthropic_messages": lambda value: value["content"][0]["text"],
        "responses": lambda value: value["output"][0]["content"][0]["text"],
    }
    said = {read(vllm_reader.objects(vllm_reader.recorded(n))[0]) for n, read in texts.items()}
    assert said == {"The capital of France is Paris."}


def test_health_and_metrics_are_open():
    for name in ("health", "health_no_key", "metrics"):
        assert vllm_reader.recorded(name).status == 200
