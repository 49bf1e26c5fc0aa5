"""Is a schema in the part of JSON Schema that OpenAI's ``strict`` holds a model to?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ("is_strict",)

_KEYWORDS = frozenset(
    {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf"}
    | {"$ref", "$defs", "definitions", "title", "description", "format", "pattern"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"minItems", "maxItems"}
)


def is_strict(schema: Mapping[str, Any]) -> bool:
    """Every object in it is closed and requires all that it has, and no other keywords are there.

    >>> closed = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    >>> is_strict(closed), is_strict({"type": "object"})
    (True, False)
    """
    return schema.get("type") == "object" and "anyOf" not in schema and _strict(schema)


def _strict(schema: Any) -> bool:
    if not isinstance(schema, Mapping) or set(schema) - _KEYWORDS:
        return False
    kinds = schema.get("type")
    properties = schema.get("properties", {})
    if kinds == "object" or (isinstance(kinds, (list, tuple)) and "object" in kinds):
        required = set(schema.get("required", ()))
        if schema.get("additionalProperties") is not False or set(properties) != required:
            return False
    below = [*properties.values(), *schema.get("anyOf", ())]
    below += [schema["items"]] if "items" in schema else []
    below += [part for name in ("$defs", "definitions") for part in schema.get(name, {}).values()]
    return all(map(_strict, below))
