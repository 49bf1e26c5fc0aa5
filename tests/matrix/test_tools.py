"""Tools: called in fields of their own, called in words, and a history with calls in it."""

from __future__ import annotations

import json

from matrix_lines import has
from matrix_wires import Case, ask, choice, events, kinds, recorded, said

from multitap.messages import Message, Thought, ToolCall, ToolResult

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
OFFERED = {"tools": [WEATHER], "seed": 0}
OSLO, ROME = '{"city": "Oslo"}', '{"city": "Rome"}'


def piece(index, arguments, **head):
    name = {"name": "get_weather"} if head else {}
    return choice(
        {"tool_calls": [{"index": index, **head, "function": {**name, "arguments": arguments}}]}
    )


TWO_CALLS = events(
    piece(0, "", id="1001", type="function"),
    piece(0, '{"city": '),
    piece(0, '"Oslo"}'),
    piece(1, '{"city"', id="1002", type="function"),
    piece(1, ': "Rome"}'),
    choice({}, "tool_calls"),
    {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}},
)
CALLS = {
    "echo": Case(f"/tool get_weather {OSLO}\n/tool get_weather {ROME}", OFFERED),
    "llamacpp": Case("What is the weather in Oslo?", {**OFFERED, "temperature": 0, "think": "off"}),
    "llamaserver": Case(options=OFFERED, raw=recorded("llamaserver", "tool_auto_stream")),
    "lmstudio": Case(options=OFFERED, raw=TWO_CALLS),
    "ollama": Case(options=OFFERED, raw=recorded("ollama", "two_calls_stream")),
    "openai": Case(options=OFFERED, raw=recorded("openai", "two_calls_v1_stream")),
    "tgi": Case(options=OFFERED, raw=recorded("tgi", "tool_auto_stream_usage")),
    "vllm": Case(options=OFFERED, raw=recorded("vllm", "tool_auto_stream")),
}
ONE = ("llamacpp", "llamaserver", "tgi", "vllm")  # their answers have one call
CITIES = {"tgi": [" Max. "]}


@has("native tool streaming")
def test_calls_are_streamed_one_by_one_each_with_its_end(world, plugin):
    seen = ask(world, plugin, CALLS[plugin])
    cities = CITIES.get(plugin, ["Oslo"] if plugin in ONE else ["Oslo", "Rome"])
    found = [(call.name, call.arguments) for call in seen.answer.tool_calls]
    assert found == [("get_weather", {"city": city}) for city in cities]
    assert seen.answer.stop_reason == "tool_use"
    assert (seen.answer.text, seen.answer.warnings) == ("", ())
    for call in seen.answer.tool_calls:
        own = [e for e in seen.events if getattr(e, "tool_call_id", None) == call.id]
        assert own[0].type == "tool_call_start"
        assert own[-1].tool_call_arguments_complete == call.arguments_text
        assert "".join(e.tool_call_arguments_chunk for e in own[1:-1]) == call.arguments_text
    if seen.sent is not None:
        assert seen.sent["tools"] == [WEATHER]


# ---- in words ------------------------------------------------------------------------------------

WRITTEN = (
    "I will", " look.\n<func", "tion_call>\n", '{"name": "get_weather", "argu', 'ments": ', OSLO,
    "}\n</function_", 'call>\n<function_call>{"name": "get_weather", "arguments": ', ROME,
    "}</function_call>",
)  # fmt: skip
LITERAL = "".join(WRITTEN).replace('"', '\\"').replace("\n", "\\n")
ASKED = {"prompt": "What is the weather?", "options": {"tools": [WEATHER]}}
IN_WORDS = {
    "echo": Case(**ASKED, section={"reply": "".join(WRITTEN)}),
    "llamacpp": Case(
        "What is the weather?",
        {"tools": [WEATHER], "think": "off", "extra": {"grammar": f'root ::= "{LITERAL}"'}},
        {"context": 1024},
    ),
}


@has("legacy <function_call>")
def test_calls_in_the_text_are_calls_like_others(world, plugin):
    case = IN_WORDS.get(plugin) or Case(**ASKED, raw=said(plugin, *WRITTEN))
    seen = ask(world, plugin, case.but(tools="text"))
    call = ["tool_call_start", "tool_call_chunk", "tool_call_end"]
    assert kinds(seen) == ["text", *call, *call, "usage", "stop"]
    found = [(call.name, call.arguments) for call in seen.answer.tool_calls]
    assert found == [("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Rome"})]
    assert (seen.answer.text.strip(), seen.answer.stop_reason) == ("I will look.", "tool_use")
    if seen.sent is not None:
        assert {"tools", "tool_choice"} & set(seen.sent) == set()
        asked = seen.sent["messages"][-1]["content"]
        assert asked.startswith("What is the weather?")
        assert all(word in asked for word in ("get_weather", "Weather of a city.", "required"))


@has("legacy <function_call>")
def test_a_block_that_is_no_call_stays_text(world, plugin):
    text = "Write <function_call> before it, and </function_call> behind."
    case = {
        "echo": Case(text, {"tools": [WEATHER]}),
        "llamacpp": Case(
            text,
            {**IN_WORDS["llamacpp"].options, "extra": {"grammar": f'root ::= "{text}"'}},
            {"context": 1024},
        ),
    }.get(plugin) or Case(**ASKED, raw=said(plugin, text[:9], text[9:30], text[30:]))
    if plugin == "echo":
        case = case.but(reply=text)
    seen = ask(world, plugin, case.but(tools="text"))
    assert (seen.answer.text, seen.answer.tool_calls) == (text, ())
    assert seen.answer.stop_reason == "complete"


# ---- a history -----------------------------------------------------------------------------------

SIGNED = {"gemini": {"thought_signature": "c2lnbmVk"}}
QUESTION = "What is the weather in Oslo and Rome?"
HISTORY = [
    Message("user", QUESTION),
    Message(
        "assistant",
        [
            Thought("Two cities, two calls.", SIGNED),
            "Let me look.",
            ToolCall("call_7", "get_weather", OSLO, SIGNED),
            ToolCall("call_8", "get_weather", ROME, SIGNED),
        ],
    ),
    Message("tool", [ToolResult("call_7", "sunny"), ToolResult("call_8", "rainy")]),
]
"""As another provider's answer left it: with its thoughts, its signatures and its ids."""

BEFORE = [{"role": "user", "content": QUESTION}]


def called(call_id, arguments):
    function = {"name": "get_weather", "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def result(call_id, content):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


RESULTS = [result("call_7", "sunny"), result("call_8", "rainy")]
TEXTS = [called("call_7", OSLO), called("call_8", ROME)]
OBJECTS = [called("call_7", json.loads(OSLO)), called("call_8", json.loads(ROME))]
OPENAIS = [
    *BEFORE,
    {"role": "assistant", "content": "Let me look.", "tool_calls": TEXTS},
    *RESULTS,
]
SENT = {
    "llamaserver": OPENAIS,
    "lmstudio": OPENAIS,
    "openai": OPENAIS,
    "vllm": OPENAIS,
    "ollama": [
        *BEFORE,
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [{"id": c["id"], "function": c["function"]} for c in OBJECTS],
        },
        *({**each, "tool_name": "get_weather"} for each in RESULTS),
    ],
    "tgi": [  # it would lose calls that stand beside a text
        *BEFORE,
        {"role": "assistant", "content": "Let me look."},
        {"role": "assistant", "content": None, "tool_calls": OBJECTS},
        *RESULTS,
    ],
}
REPLIES = {
    "llamaserver": ("It is sunny in Oslo.", recorded("llamaserver", "tool_result")),
    "lmstudio": ("Sunny, and rainy.", said("lmstudio", "Sunny, and", " rainy.")),
    "ollama": ("It is rainy in Rome.", recorded("ollama", "two_calls_results")),
    "openai": ("It is sunny in Oslo.", recorded("openai", "v1_native_tool_result")),
    "tgi": ("one, 6 numbers is a frog.", recorded("tgi", "tool_result_two_calls")),
    "vllm": ("It is sunny in Oslo.", recorded("vllm", "tool_result")),
    "echo": ("sunny\nrainy", None),
}


def replayed(world, plugin, history):
    asked = {"messages": history, "tools": [WEATHER], "max_tokens": 20}
    calm = {"temperature": 0, "think": "off"} if plugin == "llamacpp" else {}
    _, raw = REPLIES.get(plugin, (None, None))
    return ask(world, plugin, Case(None, {**asked, **calm}, raw=raw))


@has("multi-tool history replay")
def test_a_history_of_another_provider_is_told_in_the_servers_words(world, plugin):
    seen = replayed(world, plugin, HISTORY)
    assert seen.answer.warnings == ()
    if plugin == "llamacpp":  # the model is given every result: a longer one makes more tokens
        longer = [*HISTORY[:2], Message("tool", [ToolResult("call_7", "sunny"),
                                                 ToolResult("call_8", "rainy " * 20)])]  # fmt: skip
        more = replayed(world, plugin, longer).answer.usage.input_tokens
        assert more - seen.answer.usage.input_tokens >= 19
        return
    assert seen.answer.text == REPLIES[plugin][0]
    if seen.sent is not None:
        assert seen.sent["messages"] == SENT[plugin]
        assert "c2lnbmVk" not in json.dumps(seen.sent)


@has("multi-tool history replay")
def test_results_in_another_order_come_in_the_order_of_their_calls(world, plugin):
    crossed = [*HISTORY[:2], Message("tool", HISTORY[2].parts[::-1])]
    seen, straight = replayed(world, plugin, crossed), replayed(world, plugin, HISTORY)
    ids = [message.get("tool_call_id") for message in (seen.sent or {}).get("messages", ())]
    assert [call_id for call_id in ids if call_id] == (["call_7", "call_8"] if seen.sent else [])
    assert seen.answer.text == straight.answer.text
    if plugin == "llamacpp":  # the same prompt: but for its last token it is in the cache
        usage = straight.answer.usage
        assert usage.cached_tokens == usage.input_tokens - 1
