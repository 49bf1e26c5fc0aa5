"""JSON Schemas of tools and answers, made into what strict servers take.

Some servers want an object at the root, without ``anyOf``, ``oneOf``, ``allOf`` or ``$ref`` there,
and know no ``type`` but JSON Schema's. ``clean_schema`` writes a schema in that way. What it can
no longer say is told, one sentence each, and what it cannot mean at all is ``NotSupported``; the
application keeps the original, to check what comes back.

>>> cleaned = clean_schema({"anyOf": [{"properties": {"a": {"type": "none"}}}, {"type": "null"}]})
>>> cleaned.schema
{'properties': {'a': {}}, 'type': 'object'}
>>> cleaned.told
('A type "none" was left out.', 'An alternative that is no object was left out.')
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from multitap.errors import NotSupported

__all__ = ("Cleaned", "clean_schema")

_COMBINERS = ("anyOf", "oneOf", "allOf")
_REFUSED_NAMES = frozenset({"__proto__", "constructor", "prototype"})
_DEFINITIONS = ("$defs", "definitions")
_OF_ONE = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties", "additionalItems"),
)
_OF_MANY = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_OF_NAMES = ("properties", "patternProperties")
_OF_NAMED = (*_OF_NAMES, "dependentSchemas", *_DEFINITIONS)
_ANNOTATIONS = frozenset({"title", "description", "examples", "default", "$comment", "$id"})
_LOST = "What its alternatives do not have in common is not said any more."

Schema = Mapping[str, Any]


@attrs.frozen
class Cleaned:
    """A schema that strict servers take, and what it does not say any more."""

    schema: dict[str, Any]
    told: tuple[str, ...] = ()


def clean_schema(schema: Schema) -> Cleaned:
    """The schema with an object at its root; cleaning it again changes nothing.

    * A ``type`` of ``none``, and properties with a name of JavaScript's objects, are left out.
    * Alternatives at the root are merged. Of ``anyOf`` and ``oneOf`` is required what all of them
      require, and a property that two have is as in either: two constants are an ``enum``. Of
      ``allOf`` is required what any does, and a property that two have is as in both. ``$ref`` at
      the root is followed.

    Raises:
        NotSupported: The root can be no object, or the parts of it contradict each other.
    """
    told: dict[str, None] = {}
    tidied = _tidy(schema, told)
    cleaned = {**_Root(tidied, told).as_object(tidied), "type": "object"}
    for target in _references(cleaned):
        _followed(target, cleaned)
    return Cleaned(cleaned, tuple(told))


# ---- every place ---------------------------------------------------------------------------------


def _tidy(schema: Any, told: dict[str, None]) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    tidied = dict(schema)
    for name in _OF_ONE:
        if isinstance(tidied.get(name), Mapping):
            tidied[name] = _tidy(tidied[name], told)
    for name in _OF_MANY:
        if isinstance(tidied.get(name), (list, tuple)):
            tidied[name] = [_tidy(part, told) for part in tidied[name]]
    for name in _OF_NAMED:
        if isinstance(tidied.get(name), Mapping):
            tidied[name] = {n: _tidy(part, told) for n, part in tidied[name].items()}
    _without_none(tidied, told)
    _without_refused_names(tidied, told)
    return tidied


def _without_none(schema: dict[str, Any], told: dict[str, None]) -> None:
    kinds = schema.get("type")
    found = kinds if isinstance(kinds, (list, tuple)) else [kinds]
    if "none" not in found:
        return
    told['A type "none" was left out.'] = None
    rest = [kind for kind in found if kind != "none"]
    if rest:
        schema["type"] = rest
    else:
        del schema["type"]


def _without_refused_names(schema: dict[str, Any], told: dict[str, None]) -> None:
    for field in ("properties", "required"):
        entries = schema.get(field)
        if not isinstance(entries, (Mapping, list, tuple)):
            continue
        refused = _REFUSED_NAMES.intersection(entries)
        for name in sorted(refused):
            told[f"A property named {name} was left out."] = None
        if refused and isinstance(entries, Mapping):
            schema[field] = {n: p for n, p in entries.items() if n not in refused}
        elif refused:
            schema[field] = [name for name in entries if name not in refused]


# ---- the root ------------------------------------------------------------------------------------


class _Root:
    """Makes one object of a schema and its alternatives."""

    def __init__(self, root: Schema, told: dict[str, None]) -> None:
        self._root = root
        self._told = told
        self._following: list[str] = []

    def as_object(self, schema: Schema) -> dict[str, Any]:
        """The schema without alternatives and without ``$ref``."""
        if not _may_be_object(schema):
            raise _refused(f"it is of {schema.get('type')!r}")
        parts = [{n: v for n, v in schema.items() if n not in (*_COMBINERS, "$ref", "type")}]
        if "$ref" in schema:
            parts.append(self._behind(schema["$ref"]))
        parts += map(self._part, schema.get("allOf", ()))
        parts += [self._either(name, schema[name]) for name in ("anyOf", "oneOf") if name in schema]
        return self._both(parts)

    def _behind(self, target: str) -> dict[str, Any]:
        if target in self._following:
            raise _refused(f"{target} leads back to itself")
        self._following.append(target)
        found = self.as_object(_followed(target, self._root))
        self._following.pop()
        return found

    def _part(self, part: Any) -> dict[str, Any]:
        if part is False:
            raise _refused("nothing can be all of it")
        return {} if part is True else self.as_object(part)

    def _either(self, name: str, alternatives: Sequence[Any]) -> dict[str, Any]:
        parts = [self._part(part) for part in alternatives if self._object_behind(part)]
        if len(parts) < len(alternatives):
            self._told["An alternative that is no object was left out."] = None
        if not parts:
            raise _refused("none of its alternatives is an object")
        same = all(part == parts[0] for part in parts)
        if len(parts) == 1 or (same and name == "anyOf"):  # equal ones are never exactly one
            return parts[0]
        self._told[_LOST] = None
        common = {n: v for n, v in parts[0].items() if all(p.get(n) == v for p in parts)}
        required = [
            name
            for name in parts[0].get("required", ())
            if all(name in part.get("required", ()) for part in parts)
        ]
        merged = {**common, **_maps(parts, ("properties",), _as_in_either), "required": required}
        return {**merged, **_maps(parts, _DEFINITIONS, _the_same)}

    def _object_behind(self, part: Any) -> bool:
        if isinstance(part, Mapping) and "$ref" in part:
            part = _followed(part["$ref"], self._root)
        return part is True or (isinstance(part, Mapping) and _may_be_object(part))

    def _both(self, parts: Sequence[Schema]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for name in dict.fromkeys(name for part in parts for name in part):
            values = [part[name] for part in parts if name in part]
            if name == "required":
                merged[name] = [*dict.fromkeys(entry for value in values for entry in value)]
            elif name == "additionalProperties":
                merged[name] = self._closed(values, parts)
            elif name in _ANNOTATIONS or all(value == values[0] for value in values):
                merged[name] = values[0]
            elif name not in (*_OF_NAMES, *_DEFINITIONS):
                raise _refused(f"its parts disagree about {name}")
        merged |= _maps(parts, _OF_NAMES, _as_in_both)
        return {**merged, **_maps(parts, _DEFINITIONS, _the_same)}

    def _closed(self, values: Sequence[Any], parts: Sequence[Schema]) -> Any:
        named = [{n for field in _OF_NAMES for n in part.get(field, {})} for part in parts]
        closing = [part.get("additionalProperties", True) is not True for part in parts]
        if any(c and names != set().union(*named) for c, names in zip(closing, named, strict=True)):
            self._told["What one part says of additionalProperties was taken for all."] = None
        strictest = [value for value in values if value is not True] or [True]
        if False in strictest or all(value == strictest[0] for value in strictest):
            return False if False in strictest else strictest[0]
        raise _refused("its parts disagree about additionalProperties")


def _may_be_object(schema: Schema) -> bool:
    kinds = schema.get("type", "object")
    return kinds == "object" or (isinstance(kinds, (list, tuple)) and "object" in kinds)


def _maps(
    parts: Sequence[Schema], names: Iterable[str], joined: Callable[[str, list[Any]], Any]
) -> dict[str, dict[str, Any]]:
    """Of each of these fields the entries of all parts; those of one name are joined."""
    found: dict[str, dict[str, list[Any]]] = {}
    for part in parts:
        for name in names:
            for key, value in part.get(name, {}).items():
                others = found.setdefault(name, {}).setdefault(key, [])
                others += [] if value in others else [value]
    return {name: {k: joined(k, v) for k, v in maps.items()} for name, maps in found.items()}


def _as_in_either(_: str, schemas: list[Any]) -> Any:
    if len(schemas) == 1:
        return schemas[0]
    constants = [_constants(schema) for schema in schemas]
    if all(constants):
        return {"enum": [value for values in constants for value in values or ()]}
    return {"anyOf": schemas}


def _constants(schema: Any) -> list[Any] | None:
    """The values of a schema that is nothing but ``const``, with its type or a text beside it."""
    plain = isinstance(schema, Mapping) and set(schema) <= {"const", "type", *_ANNOTATIONS}
    return [schema["const"]] if plain and "const" in schema else None


def _as_in_both(_: str, schemas: list[Any]) -> Any:
    return schemas[0] if len(schemas) == 1 else {"allOf": schemas}


def _the_same(name: str, schemas: list[Any]) -> Any:
    if len(schemas) > 1:
        raise _refused(f"there are two definitions of {name}")
    return schemas[0]


# ---- references ----------------------------------------------------------------------------------


def _followed(target: str, root: Schema) -> Schema:
    found: Any = root
    if not target.startswith("#"):
        raise _refused(f"{target} lies elsewhere")
    for step in filter(None, target[1:].split("/")):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            found = found.get(name) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        raise _refused(f"there is no {target} in what is left of it")
    return found


def _references(value: Any) -> Iterator[str]:
    """Every ``$ref`` within the schema that leads to a place in it."""
    if isinstance(value, Mapping):
        target = value.get("$ref")
        if isinstance(target, str) and target.startswith("#/"):
            yield target
    below = value.values() if isinstance(value, Mapping) else value
    for part in below if isinstance(value, (Mapping, list, tuple)) else ():
        yield from _references(part)


def _refused(reason: str) -> NotSupported:
    return NotSupported(
        f"The schema cannot be written for this server: {reason}",
        hint="Write it as one object, without alternatives at its root.",
        kind="schema_not_supported",
    )
