"""A command: ``multitap swap TEXT``."""

from __future__ import annotations

import click

from multitap.events import Text
from multitap.hookspecs import hookimpl
from multitap_sample.swap import WORDS, Swap


@click.command(short_help="Show what the filter makes of a text.")
@click.argument("text")
def swap(text: str) -> None:
    """Show what the filter makes of TEXT."""
    words = Swap(WORDS)
    events = [*words.feed([Text(text)]), *words.finish()]
    click.echo("".join(event.content for event in events if isinstance(event, Text)))


@hookimpl
def multitap_command() -> click.Command:
    """Add the command."""
    return swap
