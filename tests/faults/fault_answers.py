"""Each HTTP plugin's own good answer, streamed and whole, for the scripts to break."""

from __future__ import annotations

from functools import cache

from matrix_lines import HOME
from matrix_wires import said, whole

from multitap.testing.faults import GoodAnswer
from multitap.testing.project import registry_of

HTTP = ("llamaserver", "lmstudio", "ollama", "openai", "tgi", "vllm")
REFERENCE = "vllm"
ALWAYS_STREAM = ("llamaserver", "tgi")  # what they ask for is streamed, whoever waits for it
TEXTS = ("The", " capital", " of", " France", " is", " Paris", ".")
TEXT = "".join(TEXTS)
WORD = b"Paris"


@cache
def registry(plugin):
    """This plugin alone."""
    return registry_of(HOME / "plugins" / plugin)


@cache
def good_answer(plugin, streamed):
    streamed = streamed or plugin in ALWAYS_STREAM
    raw = said(plugin, *TEXTS) if streamed else whole(at_once(plugin))
    refusal = {"ollama": ollama_error, "tgi": tgi_error}.get(plugin)
    return GoodAnswer(raw, WORD, **({"refusal": refusal} if refusal else {}))


def at_once(plugin):
    """The JSON value of an answer that is not streamed."""
    message = {"role": "assistant", "content": TEXT}
    if plugin == "ollama":
        counts = {"prompt_eval_count": 9, "eval_count": 4}
        return {"model": "tiny", "message": message, "done": True, "done_reason": "stop", **counts}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    facts = {"object": "chat.completion", "id": "c1", "model": "tiny", "created": 1}
    return {**facts, "choices": [choice], "usage": usage}


def ollama_error(message, code):
    return {"error": message}


def tgi_error(message, code):
    return {"error": message, "error_type": code}


def half_of(good):
    """The text in the first half of a streamed answer."""
    return "".join(TEXTS[: len(good.half)]) if good.streamed else ""
