"""``/v1/responses`` of scripted servers: requests as chat completions, answers as responses."""

from __future__ import annotations

import attrs
from scripted_answers import halves, named, say

from multitap.testing import json, sse

CRASHED = {"code": "server_error", "message": "The server had an error while processing it."}
ECHOED = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "truncation": "disabled"}
UNSET = ("instructions", "max_output_tokens", "previous_response_id", "temperature", "top_p")


def respond_to(asked, model, *, thought="", at_once=False):
    """The answer of a server, streamed or not.

    Args:
        asked: The body of the request.
        model: Who answers.
        thought: What was thought before; a summary where one is asked for.
        at_once: The thought itself comes in one event, as LM Studio has it, instead of a summary.
    """
    writer = Response(asked, model, say(as_chat(asked), thought), at_once)
    return sse(map(named, writer.events()), done=None) if asked.get("stream") else writer.whole()


def as_chat(asked):
    """The same request in the form of chat completions."""
    given = asked["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    system = asked.get("instructions")
    turns = [{"role": "system", "content": system}] if system else []
    same = {name: asked[name] for name in ("tool_choice", "parallel_tool_calls") if name in asked}
    limit = asked.get("max_output_tokens")
    return {
        **same,
        "messages": turns + [turn for item in items for turn in turns_of(item)],
        "tools": [{"function": tool} for tool in asked.get("tools", ()) if "name" in tool],
        "response_format": asked.get("text", {}).get("format", {}),
        "max_tokens": limit,
    }


def turns_of(item):
    if item.get("type") == "function_call_output":
        return [{"role": "tool", "content": item["output"]}]
    return [item] if "role" in item else []


@attrs.frozen
class Response:
    """One response, as an object and as the events that tell of it."""

    asked: dict
    model: str
    said: object
    at_once: bool

    def whole(self):
        return json(self.facts(self.ending(), self.items()))

    def ending(self):
        if self.said.crashes:
            return "failed"
        return "incomplete" if self.said.cut else "completed"

    def facts(self, status, output=()):
        said = self.said
        usage = {
            "input_tokens": said.prompt,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": said.written,
            "output_tokens_details": {"reasoning_tokens": said.thought_tokens},
            "total_tokens": said.prompt + said.written,
        }
        cut = {"reason": "max_output_tokens"}
        own = {"id": "resp_1", "object": "response", "created_at": 1, "model": self.model}
        echoed = {name: self.asked.get(name) for name in UNSET}
        echoed |= {name: self.asked.get(name, usual) for name, usual in ECHOED.items()}
        return {
            **own,
            "status": status,
            "error": CRASHED if status == "failed" else None,
            "incomplete_details": cut if status == "incomplete" else None,
            "output": list(output),
            "usage": None if status == "in_progress" else usage,
            "metadata": {},
            **echoed,
        }

    def items(self):
        """A thought, and a message or calls."""
        said = self.said
        if said.thought:
            yield self.thought(said.thought)
        for number, (name, arguments) in enumerate(said.calls, 1):
            ids = {"id": f"fc_{number}", "call_id": f"call_{number}"}
            call = {"type": "function_call", **ids, "name": name, "arguments": arguments}
            yield {**call, "status": "completed"}
        if said.words:
            kept = said.words[:1] if said.crashes else said.words
            yield self.message("".join(kept), "incomplete" if said.cut else "completed")

    def thought(self, text):
        own = {"type": "reasoning", "id": "rs_1", "summary": []}
        if self.at_once:
            return {**own, "content": [{"type": "reasoning_text", "text": text}]}
        if "reasoning.encrypted_content" in self.asked.get("include", ()):
            own["encrypted_content"] = "c2VjcmV0"
        if self.asked.get("reasoning", {}).get("summary"):
            own["summary"] = [{"type": "summary_text", "text": text}]
        return own

    def message(self, text, status):
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        own = {"type": "message", "id": "msg_1", "role": "assistant"}
        return {**own, "content": [part], "status": status}

    # ---- events ----------------------------------------------------------------------------------

    def events(self):
        """All of them, numbered."""
        for number, (kind, facts) in enumerate(self.told()):
            yield {"type": f"response.{kind}", "sequence_number": number, **facts}

    def told(self):
        for kind in ("created", "in_progress"):
            yield kind, {"response": self.facts("in_progress")}
        tellers = {"reasoning": self.thinks, "message": self.speaks, "function_call": self.calls}
        items = list(self.items())
        for index, item in enumerate(items):
            at = {"output_index": index}
            if item["type"] != "reasoning" or not self.at_once:
                yield "output_item.added", {**at, "item": begun(item)}
            yield from tellers[item["type"]](item, {**at, "item_id": item["id"]})
            broken = self.said.crashes and item["type"] == "message"
            if not broken and not (item["type"] == "reasoning" and self.at_once):
                yield "output_item.done", {**at, "item": item}
        yield self.ending(), {"response": self.facts(self.ending(), items)}

    def thinks(self, item, at):
        if self.at_once:
            (part,) = item["content"]
            yield "reasoning_text.done", {**at, "content_index": 0, "text": part["text"]}
        for number, part in enumerate(item["summary"]):
            here, empty = {**at, "summary_index": number}, {**part, "text": ""}
            yield "reasoning_summary_part.added", {**here, "part": empty}
            for piece in halves(part["text"]):
                yield "reasoning_summary_text.delta", {**here, "delta": piece}
            yield "reasoning_summary_text.done", {**here, "text": part["text"]}
            yield "reasoning_summary_part.done", {**here, "part": part}

    def speaks(self, item, at):
        (part,) = item["content"]
        here = {**at, "content_index": 0}
        yield "content_part.added", {**here, "part": {**part, "text": ""}}
        for word in self.said.words[:1] if self.said.crashes else self.said.words:
            yield "output_text.delta", {**here, "delta": word, "logprobs": []}
        if not self.said.crashes:
            yield "output_text.done", {**here, "text": part["text"], "logprobs": []}
            yield "content_part.done", {**here, "part": part}

    def calls(self, item, at):
        for piece in halves(item["arguments"]):
            yield "function_call_arguments.delta", {**at, "delta": piece}
        yield "function_call_arguments.done", {**at, "arguments": item["arguments"]}


def begun(item):
    """An item when nothing of it is there yet."""
    empty = {"content": [], "summary": [], "arguments": "", "status": "in_progress"}
    return {name: empty.get(name, value) for name, value in item.items()}
