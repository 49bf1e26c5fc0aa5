"""Calls of tools that a model writes into its text: the tag, and what may stand within.

>>> read_calls('{"name": "weather", "arguments": {"city": "Oslo"}}')
[WrittenCall(name='weather', arguments_text='{"city": "Oslo"}', incomplete=False)]
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import attrs

from multitap.filters.repair import read_json
from multitap.messages import is_object

__all__ = ("CLOSE", "OPEN", "RECORD", "WrittenCall", "read_calls")

OPEN, CLOSE = "<function_call>", "</function_call>"
RECORD = "function_call_record"
"""The key of a call of the past; what stands below it is never a new call."""

_FENCE = re.compile(r"\A\s*```\w*\s*|\s*```\s*\Z")
_ARGUMENTS = re.compile(r"""["']?arguments["']?\s*:\s*""")


@attrs.frozen
class WrittenCall:
    """A call as it was written; ``incomplete``: its arguments are no JSON object."""

    name: str
    arguments_text: str
    incomplete: bool


def read_calls(text: str, *, cut: bool = False) -> list[WrittenCall]:
    """The calls that stand between the tags; none, where that is anything else.

    One call, or a list of them: ``{"name", "arguments"}``, bare or below any one key.

    Args:
        text: What stands between the tags.
        cut: The closing tag never came, so what is missing at the end may be more than brackets.
    """
    text = _FENCE.sub("", text)
    try:
        value, whole = read_json(text, cut=cut)
    except ValueError:
        return []
    found = [_found(each) for each in (value if isinstance(value, list) else [value])]
    calls = [_written(each) for each in found if each is not None]
    if not calls or None in found:
        return []
    if cut and not whole:
        calls[-1] = _cut_off(calls[-1].name, text)
    return calls


def _found(value: Any) -> Mapping[str, Any] | None:
    """What has a name and arguments: the value, or else one of the objects in it."""
    if not isinstance(value, dict):
        return None
    if "name" in value:
        return value if _is_call(value) else None
    inner = [each for key, each in value.items() if key != RECORD and isinstance(each, dict)]
    return next(filter(_is_call, inner), None)


def _is_call(value: Mapping[str, Any]) -> bool:
    named = isinstance(value.get("name"), str) and bool(value["name"].strip())
    return named and value.get("arguments") is not None and "response" not in value


def _written(call: Mapping[str, Any]) -> WrittenCall:
    text = _arguments_text(call["arguments"])
    return WrittenCall(call["name"].strip(), text, not is_object(text))


def _arguments_text(arguments: Any) -> str:
    if not isinstance(arguments, str):
        return json.dumps(arguments, ensure_ascii=False)
    if not arguments.strip():
        return "{}"
    if is_object(arguments):
        return arguments
    try:
        value, whole = read_json(arguments)
    except ValueError:
        return arguments
    return json.dumps(value, ensure_ascii=False) if whole else arguments


def _cut_off(name: str, text: str) -> WrittenCall:
    """The last call with its arguments just as they came: what is missing is not made up."""
    *_, last = _ARGUMENTS.finditer(text)
    arguments = text[last.end() :].strip()
    return WrittenCall(name, arguments, not is_object(arguments))
