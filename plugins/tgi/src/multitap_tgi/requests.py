"""What OpenAI's clients ask for, as TGI takes it.

TGI refuses, or passes over in silence, a good part of what they send. Here the request is put in
other words that mean the same, and what cannot be put is told by a notice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from multitap.capabilities.chat import ChatRequest
from multitap.dialects.openai.profile import FIELDS, Profile
from multitap.dialects.schema import clean_schema
from multitap.errors import BadRequest
from multitap.events import Notice
from multitap.messages import Message, ToolCall

__all__ = ("PROFILE", "restate")

PROFILE = Profile(
    provider="tgi",
    fields={name: key for name, key in FIELDS.items() if name != "n"},
    think={},  # templates alone decide; `chat_template_kwargs` are not read
    tool_choices=frozenset({"auto", "required", "named"}),  # for `none`, no tools are offered
    audio=frozenset(),
    object_arguments=True,  # a text is encoded once more before the template sees it
)

_SMALLEST = 1e-6  # a nucleus of the likeliest token alone, which 0 means and TGI refuses
_MOST_LOGPROBS = 5
_SEEDS = 2**64


def restate(request: ChatRequest) -> tuple[ChatRequest, list[Notice]]:
    """The request as TGI takes it, and a notice for each thing that is not as it was asked for.

    It is streamed in any case: an unstreamed answer is wrong in TGI after a tool was passed over,
    a refusal where a call was cut, and empty where it was cut inside a character.

    Raises:
        BadRequest: Both a regular expression and a schema.
        NotSupported: A schema that is not of an object.

    >>> from multitap.plan import chat_request
    >>> request, _ = restate(chat_request("tgi", "hi", top_p=1, seed=-1, stream=False))
    >>> request.top_p, request.seed, request.stream
    (None, 18446744073709551615, True)
    """
    notices: list[Notice] = []
    seed, schema = request.seed, request.response_schema
    asked = attrs.evolve(
        request,
        stream=True,
        messages=tuple(_apart(request.messages)),
        top_p=_nucleus(request.top_p),
        seed=None if seed is None else seed % _SEEDS,
        logprobs=_logprobs(request.logprobs, notices),
        response_schema=None,
        extra={**_format(schema, notices), **_own(request.extra, schema)},
    )
    return asked, notices


def _apart(messages: tuple[Message, ...]) -> Iterator[Message]:
    """Messages, but a text beside calls stands before them: together, TGI loses the calls."""
    for message in messages:
        calls = message.tool_calls
        others = tuple(part for part in message.parts if not isinstance(part, ToolCall))
        if calls and message.text:
            yield Message(message.role, others)
            yield Message(message.role, calls)
        else:
            yield message


def _nucleus(top_p: float | None) -> float | None:
    return None if top_p is None or top_p >= 1 else max(top_p, _SMALLEST)


def _logprobs(wanted: int | None, notices: list[Notice]) -> int | None:
    if wanted is None or wanted <= _MOST_LOGPROBS:
        return wanted
    message = f"TGI reports at most {_MOST_LOGPROBS} alternatives for each token."
    effective = {"effective": _MOST_LOGPROBS}
    notices.append(Notice("adjusted_option", message, "logprobs", effective))
    return _MOST_LOGPROBS


def _format(schema: Mapping[str, Any] | None, notices: list[Notice]) -> dict[str, Any]:
    if schema is None:
        return {}
    rooted = schema if "properties" in schema else _rooted(schema, notices)
    if "properties" not in rooted:
        message = "TGI needs a schema with `properties`; any JSON object cannot be asked for."
        notices.append(Notice("unsupported_option", message, "response_schema"))
        return {}
    return {"response_format": {"type": "json_object", "value": dict(rooted)}}


def _rooted(schema: Mapping[str, Any], notices: list[Notice]) -> Mapping[str, Any]:
    """The schema with an object at its root, and the properties where TGI looks for them."""
    cleaned = clean_schema(schema)
    told = (Notice("adjusted_schema", said, "response_schema") for said in cleaned.told)
    notices.extend(told)
    return cleaned.schema


def _own(extra: Mapping[str, Any], schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """TGI's own options; ``repetition_penalty`` has to be sent 2 too low, as another one."""
    own = dict(extra)
    penalty, regex = own.pop("repetition_penalty", None), own.pop("regex", None)
    if penalty is not None:
        own["presence_penalty"] = round(penalty - 2, 6)
    if regex is not None:
        if schema is not None:
            raise BadRequest("TGI takes either regex or response_format", hint="Leave one out.")
        own["response_format"] = {"type": "regex", "value": regex}
    return own
