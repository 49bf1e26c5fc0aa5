"""``multitap draw``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from multitap.cli.destinations import STANDARD_OUTPUT, check_destination, output_option
from multitap.cli.inputs import text_or_piped
from multitap.cli.meter import as_bytes
from multitap.cli.options import Command, json_option, option, runtime_options
from multitap.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap.artifacts import Pictures
    from multitap.cli.invocation import Invocation

__all__ = ("draw",)

_DRAW = """\b
Examples:
  multitap draw -m openai:gpt-image-1 "a red cat" -o cat.png
  multitap draw -m openai:gpt-image-1 "give it a hat" --source cat.png -n 2 -o hat.png
"""


@click.command(cls=Command, epilog=_DRAW, short_help="Draw a picture, or change some.")
@click.argument("prompt", required=False)
@runtime_options
@output_option
@option("--number", "-n", "n", type=int, default=1, metavar="N", group="Answer", help="How many.")
@option("--size", metavar="WxH", group="Answer", help="In pixels, such as 1024x1024.")
@option("--quality", metavar="WORD", group="Answer", help="The backend's own word, such as high.")
@option(
    "--source",
    "sources",
    multiple=True,
    metavar="FILE",
    group="Answer",
    help="A picture to change; repeatable.",
)
@json_option
@click.pass_obj
def draw(
    invocation: Invocation,
    /,
    prompt: str | None,
    llm: Sequence[str],
    config: str | None,
    output: str,
    sources: Sequence[str],
    **options: Any,
) -> None:
    """Draw what PROMPT says into a file; without PROMPT, what standard input says.

    Several pictures are numbered: cat.png is cat-1.png, cat-2.png and so on.
    """
    check_destination(invocation, output)
    if output == STANDARD_OUTPUT and options["n"] != 1:
        raise ConfigError("standard output takes one picture", hint="Write to a file, or leave -n.")
    wanted = text_or_piped(prompt)
    options["sources"] = [Path(source).expanduser() for source in sources]
    with invocation.runtime(config, llm) as runtime:
        pictures = runtime.draw(wanted, **options)
    if output == STANDARD_OUTPUT:
        invocation.output.binary(pictures[0].data)
        return
    _report(invocation, pictures, pictures.save(output))


def _report(invocation: Invocation, pictures: Pictures, places: Sequence[Path]) -> None:
    rows = list(zip(pictures, places, strict=True))
    if invocation.form != "json":
        for picture, place in rows:
            size = as_bytes(len(picture.data))
            invocation.output.line(f"{place} ({picture.mime_type}, {size})")
        return
    facts = [
        {
            "file": str(place),
            "mime_type": picture.mime_type,
            "bytes": len(picture.data),
            "prompt": picture.prompt,
        }
        for picture, place in rows
    ]
    invocation.output.json({"pictures": facts, "usage": attrs.asdict(pictures.usage)})
