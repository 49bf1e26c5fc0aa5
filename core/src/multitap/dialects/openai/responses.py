"""A whole chat model over ``POST /v1/responses``: the same profile, written in another form.

Nothing is kept by the server (``store`` is false): each request has the whole conversation, and
the encrypted thoughts before the calls in it, which the server made and alone can read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import attrs

from multitap.capabilities.chat import ChatRequest, ThinkLevel
from multitap.dialects.openai.completions import is_streamed
from multitap.dialects.openai.errors import explain_openai
from multitap.dialects.openai.profile import EFFORTS, Profile
from multitap.dialects.openai.requests import encode_chat
from multitap.dialects.openai.response_chunks import ResponseChunk
from multitap.dialects.openai.response_records import REPLAYED, ResponseRecords
from multitap.errors import BadRequest, NotSupported
from multitap.events import Event
from multitap.framing import JsonDecoder, SseDecoder
from multitap.work import Backend, Exchange, Explain, Head, HttpCall, Json, Stage

__all__ = ("RESPONSE_FIELDS", "Responses", "response_body", "response_levels")

RESPONSE_FIELDS: Mapping[str, str] = {
    "max_tokens": "max_output_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "logprobs": "logprobs",
    "tools": "tools",
    "response_schema": "response_format",
}
"""The fields of ``ChatRequest`` that a response has; it knows no ``stop``, ``seed`` and ``n``."""

_PARTS = {"text": "input_text", "image_url": "input_image", "file": "input_file"}


def response_levels(levels: Collection[ThinkLevel]) -> Mapping[ThinkLevel, Mapping[str, Any]]:
    """Levels of thinking as ``reasoning``; what is thought is shown as a summary.

    >>> response_levels(["low"])
    {'low': {'reasoning': {'effort': 'low', 'summary': 'auto'}}}
    """
    efforts: Mapping[ThinkLevel, Any] = {n: EFFORTS[n]["reasoning_effort"] for n in levels}
    return {
        level: {"reasoning": {"effort": effort, "summary": "auto"}}
        for level, effort in efforts.items()
    }


def response_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body of chat completions in the form of responses; what both have is left as it is.

    >>> body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "seed": 1}
    >>> response_body(body)
    {'input': [{'role': 'user', 'content': 'hi'}], 'store': False, 'model': 'm', 'seed': 1}
    """
    rest = dict(body)
    written: dict[str, Any] = {"input": [*_items(rest.pop("messages"))], "store": False}
    if "tools" in rest:
        written["tools"] = [_flat(tool) for tool in rest.pop("tools")]
    if isinstance(rest.get("tool_choice"), Mapping):
        written["tool_choice"] = _flat(rest.pop("tool_choice"))
    text = {"format": _flat(rest.pop("response_format"))} if "response_format" in rest else {}
    text |= {"verbosity": rest.pop("verbosity")} if "verbosity" in rest else {}
    if text:
        written["text"] = {**text, **rest.pop("text", {})}
    if "reasoning_effort" in rest:
        effort = {"effort": rest.pop("reasoning_effort")}
        rest["reasoning"] = {**rest.get("reasoning", {}), **effort}
    included = ["reasoning.encrypted_content"] if "reasoning" in rest else []
    if rest.pop("logprobs", False):
        included.append("message.output_text.logprobs")
    options = {**rest.pop("stream_options", {})}
    options.pop("include_usage", None)  # a response always has its usage
    rest |= {"stream_options": options} if options else {}
    return {**written, **({"include": included} if included else {}), **rest}


def _items(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for message in messages:
        if message["role"] == "tool":
            call_id, output = message["tool_call_id"], message["content"]
            yield {"type": "function_call_output", "call_id": call_id, "output": output}
            continue
        if message["content"] or "tool_calls" not in message:
            yield {"role": message["role"], "content": _content(message["content"])}
        for call in message.get("tool_calls", ()):
            yield from call.get(REPLAYED, ())
            yield {"type": "function_call", "call_id": call["id"], **call["function"]}


def _content(content: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part["type"]
    inner = part[kind]
    if kind == "text":
        return {"type": _PARTS[kind], "text": inner}
    facts = {"image_url": inner["url"]} if kind == "image_url" else inner
    return {"type": _PARTS[kind], **facts}


def _flat(wrapped: Mapping[str, Any]) -> dict[str, Any]:
    """What chat completions have under the name of its type, beside the type."""
    kind = wrapped.get("type")
    inner = wrapped.get(kind) if isinstance(kind, str) else None
    return {"type": kind, **inner} if isinstance(inner, Mapping) else dict(wrapped)


@attrs.frozen
class Responses:
    """Chats with the models of one server, streamed or not.

    Args:
        backend: The configured instance.
        profile: What its server takes, with ``RESPONSE_FIELDS`` and ``response_levels``.
        explain: Turns a refusal into an error.
        headers: Sent with each request.
    """

    backend: Backend
    profile: Profile
    explain: Explain = explain_openai
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    @property
    def options(self) -> Collection[str]:
        """What reaches the server."""
        return self.profile.options

    def chat(self, request: ChatRequest, /) -> Exchange[Event]:
        """One request, of the whole conversation."""
        profile = attrs.evolve(self.profile, audio=(), opaque={REPLAYED})
        try:
            body, notices = encode_chat(request, profile)
        except (BadRequest, NotSupported) as error:
            error.model = request.model
            raise
        call = HttpCall(
            method="POST",
            path=profile.path,
            headers=self.headers,
            body=Json(response_body(body)),
            first_byte=profile.first_byte if request.stream else None,
            idle=profile.idle,
        )

        def decoder(head: Head) -> Stage[bytes, Event]:
            records = ResponseRecords(notices)
            kind = SseDecoder if is_streamed(head, asked=request.stream) else JsonDecoder
            return kind(ResponseChunk, records.record, finish=records.finish)

        return Exchange(call=call, decoder=decoder, explain=self.explain)
