"""The least value that a JSON Schema allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multitap.errors import BadRequest


def least(schema: Mapping[str, Any]) -> Any:
    """A small value that fits a simple schema: no pattern, format, ``not`` or ``allOf``.

    >>> least({"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]})
    {'age': 0}
    """
    try:
        return _least(schema, schema)
    except (AttributeError, LookupError, RecursionError, TypeError) as error:
        raise BadRequest("The echo cannot make a value for this JSON Schema") from error


def _least(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "$ref" in schema:
        return _least(_target(schema["$ref"], root), root)
    for choices in schema.keys() & {"anyOf", "oneOf"}:
        return _least(schema[choices][0], root)
    kind = schema.get("type", "object")
    return _of_type(kind if isinstance(kind, str) else kind[0], schema, root)


def _of_type(kind: str, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    if kind == "object":
        rows = schema.get("properties", {})
        return {name: _least(rows.get(name, {}), root) for name in schema.get("required", ())}
    if kind == "array":
        return [_least(schema["items"], root) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        return "x" * schema.get("minLength", 0)
    if kind in ("integer", "number"):
        low = max(0, schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1))
        return min(low, schema.get("maximum", low))
    return False if kind == "boolean" else None


def _target(reference: str, root: Any) -> Any:
    for name in filter(None, reference.removeprefix("#").split("/")):
        root = root[name]
    return root
