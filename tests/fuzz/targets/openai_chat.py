"""Whole streams of OpenAI's chat completions."""

import json

from fuzz.inputs import same_however_cut

from multitap.answer import fold
from multitap.dialects.openai.chat import ChatChunk, ChatRecords
from multitap.events import Failed, Stop
from multitap.framing import SseDecoder
from multitap.testing import broken_rules

WORDS = (
    *(b"data: ", b"\n\n", b"data: [DONE]\n\n", b'{"choices":[{"delta":{', b'"index":1', b'"":'),
    *(b'"content":"', b'"reasoning_content":"', b'"refusal":"', b'"tool_calls":[{"index":0'),
    *(b'"function":{"name":"', b'"arguments":"', b'"id":"', b'"finish_reason":"stop"', b'"length"'),
    *(b'"usage":{"prompt_tokens":1,"completion_tokens":', b'"error":{"message":"', b'"message":{'),
    *(b'"logprobs":{"content":[{"token":"', b'"logprob":-1', b'"audio":{"data":"', b'"images":['),
    *(b'"image_url":{"url":"data:image/png;base64,', b'"thinking":"', b'"stop_reason":"', b"null"),
)


def check(data):
    outputs = same_however_cut(decoder, data[1:], data[:1])
    assert broken_rules(outputs) == []
    assert isinstance(outputs[-1], (Failed, Stop))
    answer = fold(outputs, backend="b", provider="p", model="m")
    json.dumps(answer.to_dict(), default=repr)
    assert len(answer.text) + len(answer.reasoning) <= len(data)


def decoder():
    records = ChatRecords(prompt=3)
    return SseDecoder(ChatChunk, records.record, finish=records.finish)
