"""Text, and thinking: in a field of its own, or between tags in the text."""

from __future__ import annotations

import pytest
from matrix_lines import has, lacks
from matrix_wires import CAPITAL, PARIS, Case, ask, kinds, model_in, recorded, said

from multitap.errors import NotSupported
from multitap.events import Stop, Text

THOUGHT = "The user asks for the capital of France.\n"
ASKED = [{"role": "user", "content": CAPITAL}]

TEXT = {
    "echo": Case(PARIS),
    "llamacpp": Case(options={"temperature": 0, "think": "off"}),
    "llamaserver": Case(raw=recorded("llamaserver", "chat_stream_usage")),
    "lmstudio": Case(raw=said("lmstudio", "The capital of", " France is", " Paris.")),
    "ollama": Case(raw=recorded("ollama", "api_native_think_false_stream")),
    "openai": Case(raw=recorded("openai", "v1_native_reasoning_none_stream")),
    "tgi": Case(raw=recorded("tgi", "chat_stream_usage")),
    "vllm": Case(raw=recorded("vllm", "chat_stream_usage")),
}


@has("pure text")
def test_a_question_is_asked_and_its_answer_is_text_usage_and_stop(world, plugin):
    seen = ask(world, plugin, TEXT[plugin])
    assert kinds(seen) == ["text", "usage", "stop"]
    assert seen.events[-1] == Stop("complete")
    assert Text(PARIS) in seen.events
    assert (seen.answer.text, seen.answer.reasoning, seen.answer.warnings) == (PARIS, "", ())
    assert seen.answer.stop_reason == "complete"
    if seen.sent is not None:
        told = {key: seen.sent[key] for key in ("model", "messages", "stream")}
        model = model_in(plugin, TEXT[plugin].raw)
        assert told == {"model": model, "messages": ASKED, "stream": True}


# ---- thinking ------------------------------------------------------------------------------------

HIGH = {"think": "high"}
THINKS = {
    "echo": Case(f"/think {THOUGHT.strip()}\n{PARIS}", HIGH),
    "llamacpp": Case(options={"temperature": 0, **HIGH}),
    "llamaserver": Case(options=HIGH, raw=recorded("llamaserver", "reasoning_stream")),
    "lmstudio": Case(
        options={"extra": {"reasoning_effort": "high"}},
        raw=said("lmstudio", "The capital of France", " is Paris.", thoughts=[THOUGHT]),
    ),
    "ollama": Case(options=HIGH, raw=recorded("ollama", "api_native_think_true_stream")),
    "openai": Case(options=HIGH, raw=recorded("openai", "v1_native_reasoning_default_stream")),
    "vllm": Case(options=HIGH, raw=recorded("vllm", "reasoning_stream")),
}
ASKED_TO_THINK = {
    "llamaserver": {"chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": "high"}},
    "lmstudio": {"reasoning_effort": "high"},
    "ollama": {"think": "high"},
    "openai": {"reasoning_effort": "high"},
    "vllm": {
        "reasoning_effort": "high",
        "chat_template_kwargs": {"enable_thinking": True},
    },
}


@has("native reasoning")
def test_thinking_comes_as_reasoning_and_is_asked_for_in_the_servers_words(world, plugin):
    seen = ask(world, plugin, THINKS[plugin])
    assert kinds(seen) == ["reasoning", "text", "usage", "stop"]
    assert seen.answer.reasoning.strip() == THOUGHT.strip()
    assert (seen.answer.text.strip(), seen.answer.stop_reason) == (PARIS, "complete")
    if seen.sent is not None:
        wanted = ASKED_TO_THINK[plugin]
        assert {key: seen.sent.get(key) for key in wanted} == wanted


@lacks("native reasoning")
def test_thinking_that_cannot_be_asked_for_is_told_or_refused(world, plugin):
    case = Case(options=HIGH, raw=TEXT[plugin].raw)
    seen = ask(world, plugin, case)
    assert [(w.code, w.option) for w in seen.answer.warnings] == [("unsupported_option", "think")]
    assert (seen.answer.reasoning, seen.answer.text) == ("", PARIS)
    with pytest.raises(NotSupported) as caught:
        ask(world, plugin, Case(options={**HIGH, "strict": True}, raw=TEXT[plugin].raw))
    assert (caught.value.backend, "think" in caught.value.message) == (plugin, True)


# ---- between tags --------------------------------------------------------------------------------

PIECES = ("<thi", "nk>\nTwo and", " two.\n</th", "ink>\n\nFo", "ur: 4 < 5 </b>.")
TAGGED = "".join(PIECES)
GRAMMAR = {"extra": {"grammar": 'root ::= "[THINK]Two and two.[/THINK]Four: 4 < 5 </b>."'}}
BETWEEN_TAGS = {
    "echo": Case("What is 2 plus 2?", section={"reply": TAGGED}),
    "llamacpp": Case("What is 2 plus 2?", {"think": "off", "max_tokens": 60, **GRAMMAR}),
}
TAGS = {"llamacpp": ["[THINK]", "[/THINK]"]}  # llama.cpp itself reads those of its templates


@has("reasoning by <think>")
def test_thinking_between_tags_is_taken_out_of_the_text(world, plugin):
    case = BETWEEN_TAGS.get(plugin) or Case(raw=said(plugin, *PIECES))
    seen = ask(world, plugin, case.but(think_tags=TAGS.get(plugin, True)))
    assert kinds(seen) == ["reasoning", "text", "usage", "stop"]
    assert seen.answer.reasoning.strip() == "Two and two."
    assert seen.answer.text == "Four: 4 < 5 </b>."


@has("reasoning by <think>")
def test_tags_stay_in_the_text_where_they_are_none(world, plugin):
    case = BETWEEN_TAGS.get(plugin) or Case(raw=said(plugin, *PIECES))
    seen = ask(world, plugin, case.but(think_tags=False))
    assert kinds(seen) == ["text", "usage", "stop"]
    shown = TAGGED if plugin != "llamacpp" else "[THINK]Two and two.[/THINK]Four: 4 < 5 </b>."
    assert (seen.answer.text, seen.answer.reasoning) == (shown, "")
