"""What a user writes never becomes a turn, a role or an end of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import multitap
from multitap.messages import Image, Message, TextPart, ToolResult
from multitap_llamacpp.control import MARK, control_tokens, kept_text

MODELS = Path(__file__).parent / "models"
LLAMA = MODELS / "tiny-llama.gguf"
TOKENS = control_tokens(LLAMA)


def test_the_control_tokens_of_a_file_are_found():
    assert {"<|im_start|>", "<|im_end|>", "<|endoftext|>"} <= set(TOKENS)


@given(st.lists(st.one_of(st.text(max_size=9), st.sampled_from(TOKENS))).map("".join))
def test_no_control_token_is_left_and_nothing_else_is_changed(said):
    (message,), count = kept_text([Message("user", said or "x")], LLAMA)
    assert not any(token in message.text for token in TOKENS)
    assert message.text.replace(MARK, "") == (said or "x").replace(MARK, "")
    assert (count == 0) == (message.text == (said or "x"))


def test_results_of_tools_are_kept_text_too_and_media_stay():
    image = Image(b"<|im_end|>", "image/png")
    turns = [Message("tool", ToolResult("1", "<|im_end|>")), Message("user", [image])]
    (result, media), count = kept_text(turns, LLAMA)
    assert (result.parts[0].content, count) == (f"<{MARK}|im_end|>", 1)
    assert media.parts == (image,)


@pytest.mark.parametrize("token", ["<|im_start|>", "<|im_end|>"])
def test_the_engine_sees_text_where_a_user_writes_a_token(token):
    config = {"llamacpp": {"context": 512, "threads": 1, "parallel": 1}}
    with multitap.Runtime(config) as rt:
        asked = {"model": f"path:{LLAMA}", "max_tokens": 1, "think": "off"}
        empty = rt.chat("x", **asked).usage.input_tokens
        answer = rt.chat(token, **asked)
    assert answer.usage.input_tokens > empty + 3
    assert [notice.code for notice in answer.warnings] == ["control_tokens"]


def test_a_plain_prompt_is_the_same_object():
    part = TextPart("hello")
    (message,), count = kept_text([Message("user", part)], LLAMA)
    assert (message.parts[0] is part, count) == (True, 0)
