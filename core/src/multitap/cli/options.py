"""Options that several commands have, and help that shows options by group."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import click

__all__ = (
    "Command",
    "calling_options",
    "events_option",
    "json_option",
    "model_option",
    "option",
    "runtime_options",
    "settings_options",
)

F = TypeVar("F", bound=Callable[..., Any])


class GroupedOption(click.Option):
    """An option with the heading under which the help shows it."""

    def __init__(self, *args: Any, group: str = "Other", **more: Any) -> None:
        super().__init__(*args, **more)
        self.group = group


class Command(click.Command):
    """A command whose help shows its options by group."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one list for each group, in the order in which the groups appear."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                groups.setdefault(getattr(parameter, "group", "Other"), []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)


option = partial(click.option, cls=GroupedOption)


def _json(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        context.obj.choose("json")


def _events(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        context.obj.choose("events")


json_option = option(
    "--json",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_json,
    group="Output",
    help="Print one JSON value; see `multitap schema`.",
)

events_option = option(
    "--events",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_events,
    group="Output",
    help="Print each event as a line of JSON, as it comes.",
)

model_option = option(
    "--model",
    "-m",
    metavar="MODEL",
    group="Model",
    help="A model reference, such as ollama:llama3.2, or an alias.",
)

_LLM = option(
    "--llm",
    multiple=True,
    metavar="NAME=VALUE…",
    group="Model",
    help="Settings over those of llm.toml, such as provider=vllm model=phi3:8b; `--` ends them.",
)
_CONFIG = option(
    "--config",
    metavar="FILE",
    group="Model",
    help="Read this file in place of all llm.toml files.",
)
_TIMEOUT = option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    group="Model",
    help="For the whole call.",
)


def _trace(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    context.obj.traced = context.obj.traced or wanted


_TRACE = option(
    "--trace",
    is_flag=True,
    expose_value=False,
    callback=_trace,
    group="Other",
    help="Show each request and its answer's head on standard error, keys masked.",
)


def settings_options(function: F) -> F:
    """``--llm`` and ``--config``."""
    return _LLM(_CONFIG(function))


def calling_options(function: F) -> F:
    """``--llm``, ``--config`` and ``--trace``."""
    return settings_options(_TRACE(function))


def runtime_options(function: F) -> F:
    """``--model``, ``--llm``, ``--config``, ``--timeout`` and ``--trace``."""
    return model_option(calling_options(_TIMEOUT(function)))
