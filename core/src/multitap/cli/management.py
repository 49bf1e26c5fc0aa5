"""``multitap running``, ``copy`` and ``delete``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from multitap.cli.meter import as_bytes
from multitap.cli.options import Command, calling_options, json_option, option
from multitap.cli.output import is_terminal
from multitap.cli.tables import print_table
from multitap.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap.capabilities.catalog import Model
    from multitap.cli.invocation import Invocation

__all__ = ("copy", "delete", "running")

_RUNNING = """\b
Examples:
  multitap running
  multitap running ollama --json
"""
_COPY = """\b
Examples:
  multitap copy ollama:llama3.2 my-llama
  multitap copy ollama:llama3.2 my-llama --json
"""
_DELETE = """\b
Examples:
  multitap delete ollama:my-llama
  multitap delete ollama:my-llama --yes
"""

_timeout_option = option(
    "--timeout", type=float, metavar="SECONDS", group="Model", help="For the whole call."
)


@click.command(cls=Command, epilog=_RUNNING, short_help="List the models that are in memory.")
@click.argument("backend", required=False)
@calling_options
@_timeout_option
@json_option
@click.pass_obj
def running(
    invocation: Invocation,
    /,
    backend: str | None,
    llm: Sequence[str],
    config: str | None,
    timeout: float | None,
) -> None:
    """List the models in the memory of BACKEND, or of all that can tell."""
    with invocation.runtime(config, llm) as runtime:
        found = runtime.running(backend, timeout=timeout)
    if invocation.form == "json":
        invocation.output.json([model.to_dict() for model in found])
    elif found:
        headings = ("MODEL", "CONTEXT", "MEMORY", "UNTIL")
        print_table(invocation.output, headings, [_row(model) for model in found])
    else:
        invocation.output.note("no model is in memory.")
    for notice in found.warnings:
        invocation.output.note(f"warning: {notice.message}")


def _row(model: Model) -> tuple[str, ...]:
    context = "" if model.context_length is None else str(model.context_length)
    memory = model.meta.get("memory", "")
    shown = as_bytes(int(memory)) if memory.isdecimal() else memory
    return model.ref, context, shown, model.meta.get("expires_at", "")[:19]


@click.command(cls=Command, epilog=_COPY, short_help="Give a model a second name.")
@click.argument("model")
@click.argument("name")
@calling_options
@_timeout_option
@json_option
@click.pass_obj
def copy(
    invocation: Invocation,
    /,
    model: str,
    name: str,
    llm: Sequence[str],
    config: str | None,
    timeout: float | None,
) -> None:
    """Give MODEL a second NAME at its backend."""
    with invocation.runtime(config, llm) as runtime:
        source = runtime.resolve(model)
        runtime.copy(model, name, timeout=timeout)
    copied = f"{source.backend}:{name.removeprefix(f'{source.backend}:')}"
    if invocation.form == "json":
        invocation.output.json({"model": source.ref, "copy": copied})
    else:
        invocation.output.line(f"{source.ref} is copied to {copied}")


@click.command(cls=Command, epilog=_DELETE, short_help="Remove a model from its backend.")
@click.argument("model")
@calling_options
@_timeout_option
@option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def delete(
    invocation: Invocation,
    /,
    model: str,
    llm: Sequence[str],
    config: str | None,
    timeout: float | None,
    yes: bool,
) -> None:
    """Remove MODEL from its backend's disk; asks first, so that a script needs --yes."""
    with invocation.runtime(config, llm) as runtime:
        reference = runtime.resolve(model).ref
        if not (yes or _agreed(reference)):
            invocation.output.note(f"{reference} is kept.")
            raise click.exceptions.Exit(1)
        runtime.delete(model, timeout=timeout)
    if invocation.form == "json":
        invocation.output.json({"model": reference, "deleted": True})
    else:
        invocation.output.line(f"{reference} is deleted")


def _agreed(reference: str) -> bool:
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise ConfigError(
            f"there is nobody to ask whether to delete {reference}", hint="Add --yes."
        )
    return click.confirm(f"Delete {reference}?", err=True)
