"""The command itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from multitap.cli.new_plugin.project import (
    checked_endpoint,
    checked_name,
    checked_title,
    write_project,
)
from multitap.cli.options import Command, option
from multitap.cli.output import is_terminal

if TYPE_CHECKING:
    from multitap.cli.invocation import Invocation

__all__ = ("new_plugin",)

ENDPOINT = "http://127.0.0.1:8000"
_EXAMPLES = """\b
Examples:
  multitap new-plugin acme
  multitap new-plugin acme --endpoint https://api.acme.example --folder ~/src/multitap-acme
"""


@click.command(
    "new-plugin", cls=Command, epilog=_EXAMPLES, short_help="Begin a plugin for another backend."
)
@click.argument("name")
@option("--title", metavar="TEXT", group="Plugin", help="The provider's name for people.")
@option("--endpoint", metavar="URL", group="Plugin", help="Where its server is by default.")
@option(
    "--folder",
    type=click.Path(path_type=Path),
    metavar="PATH",
    group="Plugin",
    help="Where to put it; by default multitap-NAME, here.",
)
@click.pass_obj
def new_plugin(
    invocation: Invocation,
    /,
    name: str,
    title: str | None,
    endpoint: str | None,
    folder: Path | None,
) -> None:
    """Make the project of a plugin for the provider NAME: it passes the kit as it is.

    On a terminal, the title and the endpoint are asked for where no option gives them.
    """
    name = checked_name(name)
    words = " ".join(map(str.capitalize, name.split("-")))
    title = checked_title(title or _asked("Title", words))
    endpoint = checked_endpoint(endpoint or _asked("Endpoint", ENDPOINT))
    target = folder or Path(f"multitap-{name}")
    written = write_project(target, name, title, endpoint)
    for path in written:
        invocation.output.line(str(path))
    module = next(path for path in written if path.name == "chat.py")
    invocation.output.note(f"next: cd {target} && pip install -e '.[test]' && pytest")
    invocation.output.note(f"then put the server's protocol into {module.relative_to(target)}.")


def _asked(question: str, default: str) -> str:
    """What a person answers, where there is one."""
    if not is_terminal(sys.stdin):
        return default
    answer: str = click.prompt(question, default=default, err=True)
    return answer
