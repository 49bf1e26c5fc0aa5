"""Where a command writes what is no text: a file, or standard output where nobody sits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from multitap.cli.options import option
from multitap.cli.output import is_terminal
from multitap.errors import ConfigError

if TYPE_CHECKING:
    from multitap.cli.invocation import Invocation

__all__ = ("STANDARD_OUTPUT", "check_destination", "output_option")

STANDARD_OUTPUT = "-"

output_option = option(
    "--output",
    "-o",
    required=True,
    metavar="FILE",
    group="Output",
    help="Where to write it; `-` is standard output.",
)


def check_destination(invocation: Invocation, place: str) -> None:
    """Refuse, before anything is asked for, where it could not be written.

    Raises:
        ConfigError: Bytes for a person, or beside JSON; a folder that does not exist.
    """
    if place != STANDARD_OUTPUT:
        folder = Path(place).absolute().parent
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}", hint="Make it, or write elsewhere.")
        return
    if invocation.form == "json":
        raise ConfigError("-o - and --json exclude each other", hint="Write to a file.")
    if is_terminal(sys.stdout):
        raise ConfigError(
            "standard output is a terminal, which is for text", hint="Write to a file, or a pipe."
        )
