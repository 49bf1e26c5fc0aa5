"""``think_tags`` and ``tools``: one value for all models of a backend, or a table by model.

>>> by_model("think_tags", {"qwq": True}, Source("code"))["qwq"].open
'<think>'
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs

from multitap.config.sources import Source
from multitap.config.values import parse_toml

if TYPE_CHECKING:
    from multitap.capabilities.chat import TextTools, ThinkTags

__all__ = ("OTHERS", "by_model", "written")

T = TypeVar("T")
OTHERS = "*"


def by_model(key: str, value: Any, source: Source) -> Mapping[str, Any]:
    """What holds for each model, by its id, and for all others under ``*``.

    Raises:
        ValueError: It says what the value has to be.
    """
    if isinstance(value, str) and source.is_text:
        value = _of_text(value)
    read = {"think_tags": _think_tags, "tools": _tools}[key]
    table = value if isinstance(value, Mapping) else {OTHERS: value}
    return {str(model): read(each) for model, each in table.items()}


def written(value: ThinkTags | TextTools | None) -> Any:
    """The value as ``llm.toml`` writes it, in short."""
    from multitap.capabilities.chat import ThinkTags

    if value is None:
        return False
    fields = attrs.fields_dict(type(value))
    own = {name: getattr(value, name) for name in fields}
    changed = {name: each for name, each in own.items() if each != fields[name].default}
    return changed or (True if isinstance(value, ThinkTags) else "text")


def _of_text(text: str) -> Any:
    """``true``, ``text`` and ``<a>,</a>`` as they are; brackets begin what TOML would read."""
    words = {"true": True, "false": False}
    if text.strip().lower() in words:
        return words[text.strip().lower()]
    if text.lstrip().startswith(("[", "{")):
        return parse_toml(f"value = {text}")["value"]
    return [word.strip() for word in text.split(",")] if "," in text else text.strip()


def _think_tags(value: Any) -> ThinkTags | None:
    from multitap.capabilities.chat import ThinkTags  # to read the configuration costs nothing more

    if isinstance(value, bool):
        return ThinkTags() if value else None
    if isinstance(value, (list, tuple)) and len(value) == 2:
        value = dict(zip(("open", "close"), value))  # noqa: B905  # both have two
    return _made(ThinkTags, value, 'true, false, two tags, or a table such as {open = "<think>"}')


def _tools(value: Any) -> TextTools | None:
    from multitap.capabilities.chat import TextTools

    if value in ("native", "text", False):
        return TextTools() if value == "text" else None
    return _made(TextTools, value, '"native", "text", or a table such as {place = "system"}')


def _made(cls: type[T], value: Any, forms: str) -> T:
    if not isinstance(value, Mapping):
        raise ValueError(f"has to be {forms}; by model: a table of these")
    names = [field.name for field in attrs.fields(cast("Any", cls))]
    unknown = sorted(set(map(str, value)) - set(names))
    if unknown:
        raise ValueError(f"has no {unknown[0]!r} for a model, but {', '.join(names)}")
    try:
        return cls(**value)
    except TypeError as error:
        raise ValueError(error.args[0]) from None
