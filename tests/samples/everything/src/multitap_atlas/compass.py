"""A command: ``multitap compass``."""

from __future__ import annotations

import click

from multitap.hookspecs import hookimpl


@click.command()
@click.option("--away-from", default="south", help="Where not to go.")
def compass(away_from: str) -> None:
    """Show where to go."""
    click.echo({"south": "north", "north": "south"}.get(away_from, "home"))


@hookimpl
def multitap_command() -> click.Command:
    """Add ``multitap compass``."""
    return compass
