"""``/v1/messages`` of the scripted LM Studio: requests and answers as Anthropic documents them."""

from __future__ import annotations

import json as written

from scripted_answers import CONTEXT, halves, named, say, size_of

from multitap.testing import json, sse

CHOICES = {"auto": "auto", "any": "required", "tool": "required", "none": "none"}


def answer_message(asked, models, thought_for):
    """The answer, streamed or not; thoughts only where the request wants them."""
    as_asked = as_chat(asked)
    if asked["model"] not in models:
        return refuse(404, "not_found_error", f"model: {asked['model']}")
    if "max_tokens" not in asked:
        return refuse(400, "invalid_request_error", "max_tokens: Field required")
    if (size := size_of(as_asked)) > CONTEXT:
        long = f"prompt is too long: {size} tokens > {CONTEXT} maximum"
        return refuse(400, "invalid_request_error", long)
    thinks = asked.get("thinking", {}).get("type", "disabled") != "disabled"
    said = say(as_asked, thought_for(as_asked) if thinks else "")
    if asked.get("stream"):
        return sse(map(named, events(asked, said)), done=None)
    if said.crashes:
        return refuse(500, "api_error", CRASH["message"])
    return json(message(asked, said, blocks(said)))


CRASH = {"type": "api_error", "message": "The model has crashed."}


def refuse(status, kind, said):
    return json({"type": "error", "error": {"type": kind, "message": said}}, status)


def as_chat(asked):
    """The same request in the form of chat completions."""
    choice = asked.get("tool_choice", {"type": "auto"})
    system = asked.get("system")
    turns = [{"role": "system", "content": system}] if system else []
    return {
        "messages": turns + [turn for one in asked["messages"] for turn in turns_of(one)],
        "tools": [{"function": tool} for tool in asked.get("tools", ())],
        "tool_choice": CHOICES[choice["type"]],
        "parallel_tool_calls": not choice.get("disable_parallel_tool_use", False),
        "max_tokens": asked.get("max_tokens"),
        "stop": asked.get("stop_sequences"),
    }


def turns_of(one):
    parts = one["content"] if isinstance(one["content"], list) else []
    results = [part for part in parts if part["type"] == "tool_result"]
    if results:
        return [{"role": "tool", "content": part["content"]} for part in results]
    return [one]


def blocks(said):
    """What an answer is made of."""
    if said.thought:
        yield {"type": "thinking", "thinking": said.thought, "signature": ""}
    if said.words:
        yield {"type": "text", "text": said.text}
    for number, (name, arguments) in enumerate(said.calls, 1):
        used = {"type": "tool_use", "id": f"toolu_{number}", "name": name}
        yield {**used, "input": written.loads(arguments)}


def message(asked, said, content, stop=True):
    reason = said.end("end_turn", "max_tokens", "tool_use") if stop else None
    usage = {"input_tokens": said.prompt, "output_tokens": said.written if stop else 0}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": list(content),
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }


def events(asked, said):
    """The same, piece by piece."""
    yield {"type": "message_start", "message": message(asked, said, [], stop=False)}
    for index, block in enumerate(blocks(said)):
        empty = {"text": "", "thinking": "", "input": {}}
        begun = {name: empty.get(name, value) for name, value in block.items()}
        yield {"type": "content_block_start", "index": index, "content_block": begun}
        told = deltas(block, said)
        for delta in [next(told)] if said.crashes else told:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        if said.crashes:
            yield {"type": "error", "error": CRASH}
            return
        yield {"type": "content_block_stop", "index": index}
    end = {"stop_reason": said.end("end_turn", "max_tokens", "tool_use"), "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": {"output_tokens": said.written}}
    yield {"type": "message_stop"}


def deltas(block, said):
    if block["type"] == "thinking":
        yield from ({"type": "thinking_delta", "thinking": half} for half in halves(said.thought))
    elif block["type"] == "text":
        yield from ({"type": "text_delta", "text": word} for word in said.words)
    else:
        for half in halves(written.dumps(block["input"])):
            yield {"type": "input_json_delta", "partial_json": half}
