"""``multitap slots``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from multitap.cli.meter import as_bytes
from multitap.cli.options import Command, calling_options, json_option, option
from multitap.cli.tables import print_table
from multitap.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap.capabilities.lifecycle import Slot
    from multitap.cli.invocation import Invocation
    from multitap.runtime import Runtime

__all__ = ("slots",)

_EXAMPLES = """\b
Examples:
  multitap slots llamaserver:tiny
  multitap slots llamaserver:tiny --save 0 story.bin
  multitap slots llamaserver:tiny --restore 0 story.bin
"""


@click.command(
    cls=Command, epilog=_EXAMPLES, short_help="List, save, restore or erase a model's slots."
)
@click.argument("model", required=False)
@calling_options
@option("--save", type=(int, str), metavar="SLOT FILE", group="Slot", help="Write it to a file.")
@option("--restore", type=(int, str), metavar="SLOT FILE", group="Slot", help="Read it back.")
@option("--erase", type=int, metavar="SLOT", group="Slot", help="Forget what it holds.")
@option("--timeout", type=float, metavar="SECONDS", group="Model", help="For the whole call.")
@json_option
@click.pass_obj
def slots(
    invocation: Invocation,
    /,
    model: str | None,
    llm: Sequence[str],
    config: str | None,
    save: tuple[int, str] | None,
    restore: tuple[int, str] | None,
    erase: int | None,
    timeout: float | None,
) -> None:
    """List the slots of MODEL, or do one thing with one; FILE is a name in the server's folder."""
    if sum(wish is not None for wish in (save, restore, erase)) > 1:
        raise ConfigError("a slot is saved, restored or erased", hint="Give one of the three.")
    with invocation.runtime(config, llm) as runtime:
        found = _asked(runtime, model, save, restore, erase, timeout)
    if invocation.form == "json":
        invocation.output.json([slot.to_dict() for slot in found])
    else:
        headings = ("SLOT", "TOKENS", "CONTEXT", "BUSY", "FILE")
        print_table(invocation.output, headings, [_row(slot) for slot in found])


def _asked(
    runtime: Runtime,
    model: str | None,
    save: tuple[int, str] | None,
    restore: tuple[int, str] | None,
    erase: int | None,
    timeout: float | None,
) -> list[Slot]:
    if save is not None:
        return [runtime.save_slot(*save, model=model, timeout=timeout)]
    if restore is not None:
        return [runtime.restore_slot(*restore, model=model, timeout=timeout)]
    if erase is not None:
        return [runtime.erase_slot(erase, model=model, timeout=timeout)]
    return runtime.slots(model, timeout=timeout)


def _row(slot: Slot) -> tuple[str, ...]:
    counts = [str(n) if n is not None else "" for n in (slot.id, slot.tokens, slot.context_length)]
    busy = {None: "", True: "yes", False: "no"}[slot.busy]
    return (*counts, busy, "" if slot.size is None else as_bytes(slot.size))
