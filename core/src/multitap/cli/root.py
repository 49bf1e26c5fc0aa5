"""``multitap`` itself: finds the command, runs it, and turns what happened into an exit code."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import click

from multitap.cli.invocation import Form, Invocation
from multitap.cli.words import conceal_words, repeat_llm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multitap.registry import Registry

__all__ = ("COMMANDS", "root", "run")

COMMANDS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Ask": {
        "chat": ("chat", "Ask a model, once or in a conversation."),
        "embed": ("texts", "Turn texts into vectors."),
        "rerank": ("texts", "Order documents by relevance to a query."),
        "tokenize": ("texts", "Split a text into a model's tokens."),
        "detokenize": ("texts", "Join a model's tokens to a text."),
        "transcribe": ("sounds", "Write down what is said in a sound."),
        "speak": ("sounds", "Speak a text."),
        "voices": ("sounds", "List the voices that a model can speak with."),
        "moderate": ("texts", "Judge whether texts may be shown."),
        "draw": ("pictures", "Draw a picture, or change some."),
    },
    "Look": {
        "models": ("inventory", "List the models that the backends have."),
        "capabilities": ("inventory", "List who offers what, as installed plugins declare it."),
        "providers": ("inventory", "List installed providers and their settings."),
        "plugins": ("plugins", "List installed plugins, and why one cannot be used."),
        "config": ("configuration", "Show the configuration, and where each value is from."),
        "doctor": ("doctor.command", "Find what is broken, and what would mend it."),
        "bench": ("bench", "Measure how fast models answer."),
        "schema": ("schema", "Print the JSON Schema of a command's output."),
    },
    "Manage": {
        "pull": ("pulling", "Download a model."),
        "load": ("inventory", "Bring a model into memory."),
        "unload": ("inventory", "Free a model's memory."),
        "launch": ("launching", "Start a server on this machine, until Ctrl-C."),
        "running": ("management", "List the models that are in memory."),
        "slots": ("slots", "List, save, restore or erase a model's slots."),
        "copy": ("management", "Give a model a second name."),
        "delete": ("management", "Remove a model from its backend."),
    },
    "Extend": {
        "new-plugin": ("new_plugin.command", "Begin a plugin for another backend."),
    },
}
"""By heading: each command, the module that has it, and what it does."""

_BUILT_IN = {name: place for commands in COMMANDS.values() for name, place in commands.items()}

_EXAMPLES = """\b
Examples:
  multitap chat "Why is the sky blue?"
  multitap models
"""


class LazyGroup(click.Group):
    """Imports a command's module when the command is used, and not to list it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order of the help; last those that plugins add."""
        return [*_BUILT_IN, *(name for name, _ in _added(ctx))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name: ours, or else a plugin's, which is imported now."""
        if cmd_name in _BUILT_IN:
            module = import_module(f"multitap.cli.{_BUILT_IN[cmd_name][0]}")
            command: click.Command = getattr(module, cmd_name.replace("-", "_"))
            return command
        if any(name == cmd_name for name, _ in _added(ctx)):
            invocation: Invocation = ctx.obj
            return invocation.registry.command(cmd_name)
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them by heading."""
        for heading, commands in COMMANDS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])
        added = _added(ctx)
        if added:
            with formatter.section("Plugins"):
                formatter.write_dl([(name, f"From {owner}.") for name, owner in added])


def _added(context: click.Context) -> list[tuple[str, str]]:
    """The commands of plugins, and whose each is; none where no command line is being run."""
    invocation: Invocation | None = context.obj
    added = invocation.added_commands() if invocation else []
    return [(name, owner) for name, owner in added if name not in _BUILT_IN]


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="multitap", message="multitap %(version)s")
@click.pass_context
def root(context: click.Context) -> None:
    """One outlet, every model backend."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def run(argv: Sequence[str], registry: Registry | None = None) -> int:
    """Run one command line; never raises, save where Python itself is told to exit."""
    conceal_words(argv)
    invocation = Invocation(registry)
    try:
        with root.make_context("multitap", repeat_llm(argv), obj=invocation) as context:
            root.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, click.Abort):
        return invocation.interrupted()
    except click.UsageError as error:
        invocation.form = _form(argv)
        return invocation.failed(error)
    except Exception as error:
        return invocation.failed(error)
    return 0


def _form(argv: Sequence[str]) -> Form:
    """The form that was asked for; a wrong option is found before the others are read."""
    if "--events" in argv:
        return "events"
    return "json" if "--json" in argv else "text"
