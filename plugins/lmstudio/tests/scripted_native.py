"""``/api/v1/chat`` of the scripted LM Studio.

A request of the documentation gets the answer, or the events, that the documentation shows; any
other is answered by the rules of the script, in the same form. The plugin does not use this route.
"""

from __future__ import annotations

import lmstudio_documents
from scripted_answers import named, say

from multitap.testing import json, sse

SPEEDS = {"tokens_per_second": 50.5, "time_to_first_token_seconds": 0.1}
CRASH = {"type": "internal_error", "message": "The model has crashed."}


class Conversations:
    """What was said before is kept, under the id of each answer.

    Args:
        models: All models.
        loaded: Those in memory; one that is not there is loaded first.
        thought_for: What is thought about a request in the form of chat completions.
    """

    def __init__(self, models, loaded, thought_for):
        self.models = models
        self.loaded = loaded
        self.thought_for = thought_for
        self.kept = {}

    def chat(self, connection):
        asked = connection.request.json()
        streamed = asked.pop("stream", False)
        for request, answer in lmstudio_documents.exchanges():
            if asked == request:
                shown = map(named, lmstudio_documents.events())
                return sse(shown, done=None) if streamed else json(answer)
        if asked["model"] not in self.models:
            error = {"type": "model_not_found", "message": f"No model {asked['model']}"}
            return json({"error": {**error, "param": "model"}}, 404)
        return self.answer(asked, streamed)

    def answer(self, asked, streamed):
        turns = [*self.kept.get(asked.get("previous_response_id"), ()), *turns_of(asked)]
        as_chat = {"messages": turns, "max_tokens": asked.get("max_output_tokens")}
        thinks = asked.get("reasoning") != "off"
        said = say(as_chat, self.thought_for(as_chat) if thinks else "")
        loads = asked["model"] not in self.loaded
        self.loaded.setdefault(asked["model"], {asked["model"]: asked})
        result = self.result(asked, said, loads)
        self.keep(result, [*turns, {"role": "assistant", "content": said.text}])
        if streamed:
            return sse(map(named, events(said, result, loads)), done=None)
        return json({"error": CRASH}, 500) if said.crashes else json(result)

    def keep(self, result, turns):
        if "response_id" in result:
            self.kept[result["response_id"]] = turns

    def result(self, asked, said, loads):
        thought = [{"type": "reasoning", "content": said.thought}] if said.thought else []
        stats = {
            "input_tokens": said.prompt,
            "total_output_tokens": said.written,
            "reasoning_output_tokens": said.thought_tokens,
            **SPEEDS,
            **({"model_load_time_seconds": 0.5} if loads else {}),
        }
        text = "".join(said.words[:1]) if said.crashes else said.text
        output = [*thought, {"type": "message", "content": text}]
        facts = {"model_instance_id": asked["model"], "output": output, "stats": stats}
        kept = {"response_id": f"resp_{len(self.kept) + 1}"}
        return {**facts, **(kept if asked.get("store", True) else {})}


def turns_of(asked):
    given = asked["input"]
    items = [{"type": "text", "content": given}] if isinstance(given, str) else given
    system = asked.get("system_prompt")
    texts = [item["content"] for item in items if item["type"] in ("text", "message")]
    turns = [{"role": "system", "content": system}] if system else []
    return [*turns, {"role": "user", "content": " ".join(texts)}]


def events(said, result, loads):
    """The same, piece by piece."""
    model = {"model_instance_id": result["model_instance_id"]}
    yield {"type": "chat.start", **model}
    if loads:
        yield {"type": "model_load.start", **model}
        yield {"type": "model_load.progress", **model, "progress": 0.5}
        yield {"type": "model_load.end", **model, "load_time_seconds": 0.5}
    yield {"type": "prompt_processing.start"}
    yield {"type": "prompt_processing.progress", "progress": 1}
    yield {"type": "prompt_processing.end"}
    if said.thought:
        yield from part("reasoning", [said.thought])
    yield from part("message", said.words[:1] if said.crashes else said.words)
    if said.crashes:
        yield {"type": "error", "error": CRASH}
    yield {"type": "chat.end", "result": result}


def part(kind, pieces):
    yield {"type": f"{kind}.start"}
    yield from ({"type": f"{kind}.delta", "content": piece} for piece in pieces)
    yield {"type": f"{kind}.end"}
