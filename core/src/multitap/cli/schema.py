"""``multitap schema``: the JSON Schemas of what the commands print."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import click

from multitap.cli.options import Command, json_option
from multitap.errors import ConfigError

if TYPE_CHECKING:
    from multitap.cli.invocation import Invocation

__all__ = ("read_schema", "schema", "schema_names")

_EXAMPLES = """\b
Examples:
  multitap schema
  multitap schema chat > answer.schema.json
"""
_FOLDER = files("multitap.cli") / "schemas"


def schema_names() -> list[str]:
    """The commands whose output has a schema, and those of lines and errors."""
    names = (place.name.partition(".") for place in _FOLDER.iterdir())
    return sorted(name for name, _, ending in names if ending == "json")


def read_schema(name: str) -> dict[str, Any]:
    """One schema, of the 2020-12 draft."""
    if name not in schema_names():
        hint = f"There are: {', '.join(schema_names())}."
        raise ConfigError(f"there is no schema {name!r}", hint=hint)
    found: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text("utf-8"))
    return found


@click.command(
    cls=Command, epilog=_EXAMPLES, short_help="Print the JSON Schema of a command's output."
)
@click.argument("name", required=False)
@json_option
@click.pass_obj
def schema(invocation: Invocation, /, name: str | None) -> None:
    """Print the JSON Schema of what the command NAME prints with --json; without NAME, list them.

    `events` is for a line of `chat --events`, `pull-events` for one of `pull --events`, `error` for
    what --json prints where a command fails.
    """
    output = invocation.output
    if name is not None:
        output.line(json.dumps(read_schema(name), indent=2))
    elif invocation.form == "json":
        output.json(schema_names())
    else:
        output.line("\n".join(schema_names()))
