"""Rules of values, as ``provider.toml`` writes them: type, range, length and choices.

Settings of ``llm.toml`` and request options of a provider (``extra=``) keep the same rules.

>>> Rule(name="top_k", type="integer", minimum=1).check(5)
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import attrs
from attrs.validators import ge, gt, in_, instance_of, optional

__all__ = ("TEMPLATES", "Kind", "Rule", "check_type")

Kind = Literal["text", "secret", "integer", "number", "boolean", "path", "list", "table", "any"]

_NUMBERS = ("integer", "number")
_TEXTS = ("text", "secret")
_CHOSEN = ("text", "integer", "number")

TEMPLATES: Mapping[str, Mapping[str, Any]] = {
    "temperature": {"type": "number", "minimum": 0, "maximum": 1, "precision": 2},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1, "precision": 2},
    "top_k": {"type": "integer", "minimum": 1, "maximum": 100},
    "presence_penalty": {"type": "number", "minimum": -2, "maximum": 2, "precision": 2},
    "frequency_penalty": {"type": "number", "minimum": -2, "maximum": 2, "precision": 2},
    "max_tokens": {"type": "integer", "minimum": 1, "maximum": 2048, "default": 64},
    "response_format": {"type": "text", "choices": ("text", "json_object", "json_schema")},
    "json_schema": {"type": "table"},
}
"""Rules of options that many providers have; ``use = "top_k"`` starts from one of them."""


def check_type(kind: str, value: object) -> None:
    """``ValueError`` unless the value is of this kind; it says so without showing the value.

    >>> check_type("integer", 3)
    """
    if not _CHECKS[kind](value):
        raise ValueError(f"has to be {_NAMES[kind]}, not {_name_of(value)}")


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _limit(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not (value is None or _is_number(value)):
        raise ValueError(f"{attribute.name} has to be a number")


@attrs.frozen(kw_only=True)
class Rule:
    """What a value has to be.

    Attributes:
        label: Its name for people; ``help`` is a sentence about it.
        default: What is taken where nothing is given.
        required: It has to be given, unless there is a default.
        choices: The values that it may have; empty: any.
        minimum: The least number; ``maximum`` is the greatest.
        precision: Most digits after the decimal point.
        max_length: Most characters.
    """

    name: str
    type: Kind = attrs.field(default="text", validator=in_(get_args(Kind)))
    label: str = attrs.field(default="", validator=instance_of(str))
    help: str = attrs.field(default="", validator=instance_of(str))
    default: Any = None
    required: bool = attrs.field(default=False, validator=instance_of(bool))
    choices: tuple[Any, ...] = attrs.field(default=(), converter=tuple[Any, ...])
    minimum: float | None = attrs.field(default=None, validator=_limit)
    maximum: float | None = attrs.field(default=None, validator=_limit)
    precision: int | None = attrs.field(default=None, validator=optional([instance_of(int), ge(0)]))
    max_length: int | None = attrs.field(
        default=None, validator=optional([instance_of(int), gt(0)])
    )

    def __attrs_post_init__(self) -> None:
        self._check_itself()

    def check(self, value: object) -> None:
        """``ValueError`` says what the value has to be; it does not show the value.

        >>> Rule(name="top_k", type="integer", minimum=1).check(0)
        Traceback (most recent call last):
        ValueError: has to be at least 1
        """
        check_type(self.type, value)
        self._check_size(value)
        if self.choices and value not in self.choices:
            raise ValueError(f"has to be one of {', '.join(map(repr, self.choices))}")

    def _check_size(self, value: Any) -> None:
        if self.minimum is not None and value < self.minimum:
            raise ValueError(f"has to be at least {self.minimum}")
        if self.maximum is not None and value > self.maximum:
            raise ValueError(f"has to be at most {self.maximum}")
        if self.precision is not None and value != round(value, self.precision):
            raise ValueError(f"has to have at most {self.precision} digits after the point")
        if self.max_length is not None and len(value) > self.max_length:
            raise ValueError(f"has to have at most {self.max_length} characters")

    def _check_itself(self) -> None:
        """A rule that no value could keep, or that contradicts itself, is a ``ValueError``."""
        for key, kinds in _OF_KINDS.items():
            if getattr(self, key) not in (None, ()) and self.type not in kinds:
                raise ValueError(f"{key} is for {' and '.join(kinds)}, not for {self.type}")
        if None not in (least := self.minimum, most := self.maximum) and least > most:  # type: ignore[operator]
            raise ValueError(f"minimum is {least}, which is above the maximum {most}")
        for value in self.choices:
            self._check_own("choices", value)
        if self.default is not None:
            self._check_own("default", self.default)

    def _check_own(self, key: str, value: object) -> None:
        try:
            self.check(value)
        except ValueError as error:
            raise ValueError(f"{key}: {value!r} {error}") from None


_OF_KINDS = {
    "minimum": _NUMBERS,
    "maximum": _NUMBERS,
    "precision": ("number",),
    "max_length": _TEXTS,
    "choices": _CHOSEN,
}


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "secret": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "path": lambda value: isinstance(value, (str, os.PathLike)) and str(value) != "",
    "list": lambda value: isinstance(value, (list, tuple)),
    "table": lambda value: isinstance(value, Mapping),
    "any": lambda value: value is not None,
}

_NAMES = {
    "text": "a text",
    "secret": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "path": "the path of a file or folder",
    "list": "a list",
    "table": "a table",
    "any": "a value",
}


def _name_of(value: object) -> str:
    names: dict[type, str] = {bool: "boolean", str: "text", int: "integer", float: "number"}
    names[list] = "list"
    kind = names.get(type(value), "table" if isinstance(value, Mapping) else "")
    return _NAMES.get(kind, f"a {type(value).__name__}")
