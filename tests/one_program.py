"""A small program that knows no backend: what it asks, and of whom, is up to ``llm.toml``.

It prints what it saw as lines of JSON. Of what models say it prints whether that is what was
promised, so that the lines are the same for every backend; ``said`` alone is the model's own.
"""

import json
import sys

import multitap

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
PLACE = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def lists(rt):
    chosen = rt.resolve()
    return {"the default model is listed": chosen.ref in [m.ref for m in rt.models(chosen.backend)]}


def chats(rt):
    answer = rt.chat("What is the capital of France?", temperature=0, max_tokens=40)
    usage = answer.usage
    return {
        "said something": bool(answer.text),
        "stop_reason": answer.stop_reason,
        "usage": usage.source,
        "adds up": usage.input_tokens + usage.output_tokens == usage.total_tokens,
        "said": answer.text,
    }


def streams(rt):
    whole = rt.chat("Why is the sky blue?", temperature=0, max_tokens=20)
    with rt.stream("Why is the sky blue?", temperature=0, max_tokens=20) as events:
        types = [event.type for event in events]
    return {
        "several pieces": types.count("text") > 1,
        "ends with": types[-2:],
        "as unstreamed": events.answer.text == whole.text,
    }


def uses_a_tool(rt):
    question = {"role": "user", "content": "What is the weather in Oslo?"}
    options = {"tools": [WEATHER], "temperature": 0, "max_tokens": 80}
    asked = rt.chat(messages=[question], tool_choice="required", **options)
    [call] = asked.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    told = rt.chat(messages=[question, asked.message, result], **options)
    return {
        "stop_reason": asked.stop_reason,
        "call": [call.name, sorted(call.arguments)],
        "went on with the result": bool(told.text or told.tool_calls),
        "said": told.text,
    }


def asks_a_schema(rt):
    question = "Where is the Eiffel tower?"
    answer = rt.chat(question, response_format=PLACE, temperature=0, max_tokens=60)
    return {"keys": sorted(json.loads(answer.text)), "said": answer.text}


def embeds(rt):
    try:
        vectors = rt.embed(["one", "two words"], model="embedder").vectors
    except multitap.errors.NotSupported as error:
        return {"vectors": type(error).__name__}
    return {"vectors": len(vectors), "of one size": len({len(v) for v in vectors}) == 1}


def fails(rt):
    try:
        rt.chat("a prompt that is far too long " * 4000, temperature=0)
    except multitap.errors.ContextOverflow as error:
        return {"too long": type(error).__name__}
    return {"too long": None}


def main():
    sys.stdout.reconfigure(encoding="utf-8")
    with multitap.Runtime() as rt:
        for step in (lists, chats, streams, uses_a_tool, asks_a_schema, embeds, fails):
            print(json.dumps({"step": step.__name__, **step(rt)}))


if __name__ == "__main__":
    main()
