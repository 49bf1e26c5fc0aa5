"""Is an answer the JSON that was asked for? A light look: types, what is required, and choices.

What a schema says beside that (patterns, ranges, alternatives, references) is not looked at, so an
answer that passes may still break its schema; one that does not pass surely does.

>>> breach('{"city": 1}', {"properties": {"city": {"type": "string"}}}).message
'The answer does not keep to the schema: $.city is no string.'
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from multitap.events import Notice

__all__ = ("breach",)

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": (int, float),
}


def breach(text: str, schema: Mapping[str, Any], *, cut: bool = False) -> Notice | None:
    """The warning of the first thing in which a text is not the JSON of a schema, if there is one.

    Args:
        text: The answer.
        schema: An empty one means any object.
        cut: It was ended before its end.

    >>> breach("Paris", {}, cut=True).message
    'The answer was cut, and does not keep to the schema: it is no JSON.'
    """
    found = _first(text, schema or {"type": "object"})
    if found is None:
        return None
    how = "was cut, and does not keep" if cut else "does not keep"
    message = f"The answer {how} to the schema: {found}."
    return Notice("schema_not_kept", message, "response_schema")


def _first(text: str, schema: Mapping[str, Any]) -> str | None:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return "it is no JSON"
    return next(_breaches(value, schema, "$"), None)


def _breaches(value: Any, schema: Any, place: str) -> Iterator[str]:
    if not isinstance(schema, Mapping):  # true and false are schemas too
        return
    kinds = schema.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"{place} is no {' or '.join(map(str, kinds))}"
        return
    choices = [schema["const"]] if "const" in schema else schema.get("enum", [value])
    if value not in choices:
        yield f"{place} is none of the values that are allowed"
    yield from _within(value, schema, place)


def _is(value: Any, kind: object) -> bool:
    if kind == "integer":
        return _is(value, "number") and value == int(value)
    found = _TYPES.get(str(kind), object)
    return isinstance(value, found) and (kind != "number" or not isinstance(value, bool))


def _within(value: Any, schema: Mapping[str, Any], place: str) -> Iterator[str]:
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        yield from (f"{place}.{n} is missing" for n in schema.get("required", ()) if n not in value)
        if schema.get("additionalProperties") is False and "patternProperties" not in schema:
            yield from (f"{place}.{n} is not expected" for n in value if n not in properties)
        for name in value.keys() & properties.keys():
            yield from _breaches(value[name], properties[name], f"{place}.{name}")
    elif isinstance(value, list) and "prefixItems" not in schema:
        for number, item in enumerate(value):
            yield from _breaches(item, schema.get("items"), f"{place}[{number}]")
