"""``multitap transcribe``, ``speak`` and ``voices``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from multitap.capabilities.transcription import Transcript, TranscriptDelta
from multitap.cli.destinations import STANDARD_OUTPUT, check_destination, output_option
from multitap.cli.inputs import piped_bytes, text_or_piped
from multitap.cli.meter import as_bytes
from multitap.cli.options import Command, json_option, option, runtime_options
from multitap.cli.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap.cli.invocation import Invocation
    from multitap.engine.sync import Stream

__all__ = ("speak", "transcribe", "voices")

_TRANSCRIBE = """\b
Examples:
  multitap transcribe -m openai:whisper-1 speech.mp3
  ffmpeg -i film.mkv -f wav - | multitap transcribe -m openai:whisper-1 - --json
"""
_SPEAK = """\b
Examples:
  multitap speak -m openai:gpt-4o-mini-tts "Hello there" -o hello.wav
  multitap speak -m openai:gpt-4o-mini-tts -o - --format mp3 < book.txt | mpv -
"""
_VOICES = """\b
Examples:
  multitap voices -m openai:gpt-4o-mini-tts
  multitap voices -m openai:gpt-4o-mini-tts --json
"""


@click.command(cls=Command, epilog=_TRANSCRIBE, short_help="Write down what is said in a sound.")
@click.argument("file")
@runtime_options
@option("--language", metavar="CODE", group="Answer", help="What is spoken, such as en.")
@option("--prompt", metavar="TEXT", group="Answer", help="Names and words that come up.")
@option("--temperature", type=float, metavar="X", group="Answer", help="0 is the least random.")
@option("--timestamps", is_flag=True, group="Answer", help="Tell when each segment is said.")
@option("--words", is_flag=True, group="Answer", help="Tell when each word is said.")
@option("--translate", is_flag=True, group="Answer", help="Write it down in English.")
@json_option
@click.pass_obj
def transcribe(
    invocation: Invocation,
    /,
    file: str,
    llm: Sequence[str],
    config: str | None,
    timestamps: bool,
    words: bool,
    **options: Any,
) -> None:
    """Write down what is said in FILE, as it is heard; `-` is standard input."""
    options["timestamps"] = "word" if words else "segment" if timestamps else None
    audio = piped_bytes() if file == "-" else Path(file).expanduser()
    with invocation.runtime(config, llm) as runtime:
        if invocation.form == "json":
            found = runtime.transcribe(audio, **options)
            invocation.output.json(attrs.asdict(found))
        elif options["timestamps"]:
            found = runtime.transcribe(audio, **options)
            lines = [(f"{s.start:.2f}", f"{s.end:.2f}", s.text) for s in found.segments]
            print_table(invocation.output, ("FROM", "TO", "TEXT"), lines)
        else:
            _show(invocation, runtime.transcribe_stream(audio, **options))


def _show(invocation: Invocation, stream: Stream[Any]) -> None:
    """The text in pieces; where none came, as a whole."""
    output, shown = invocation.output, False
    try:
        with stream as pieces:
            for piece in pieces:
                if isinstance(piece, TranscriptDelta):
                    shown = True
                    output.text(piece.text)
                elif isinstance(piece, Transcript) and not shown:
                    output.text(piece.text)
    finally:
        output.end()


@click.command(cls=Command, epilog=_SPEAK, short_help="Speak a text.")
@click.argument("text", required=False)
@runtime_options
@output_option
@option("--voice", metavar="NAME", group="Answer", help="One of `multitap voices`.")
@option(
    "--format",
    "format_",
    metavar="TYPE",
    group="Answer",
    help="wav, mp3, …; without it, as FILE ends.",
)
@option("--speed", type=float, metavar="X", group="Answer", help="1 is the voice's own.")
@option("--instructions", metavar="TEXT", group="Answer", help="How to say it.")
@json_option
@click.pass_obj
def speak(
    invocation: Invocation,
    /,
    text: str | None,
    llm: Sequence[str],
    config: str | None,
    output: str,
    format_: str | None,
    **options: Any,
) -> None:
    """Speak TEXT into a file; without TEXT, all of standard input."""
    check_destination(invocation, output)
    said = text_or_piped(text)
    options["format"] = format_ or Path(output).suffix[1:].lower() or "wav"
    with invocation.runtime(config, llm) as runtime:
        if output == STANDARD_OUTPUT:
            with runtime.speak_stream(said, **options) as pieces:
                for piece in pieces:
                    invocation.output.binary(piece.data)
            return
        sound = runtime.speak(said, **options)
        sound.save(output)
    facts = {"mime_type": sound.mime_type, "sample_rate": sound.sample_rate}
    if invocation.form == "json":
        invocation.output.json({"file": output, **facts, "bytes": len(sound.data)})
    else:
        invocation.output.line(f"{output} ({sound.mime_type}, {as_bytes(len(sound.data))})")


@click.command(
    cls=Command, epilog=_VOICES, short_help="List the voices that a model can speak with."
)
@runtime_options
@json_option
@click.pass_obj
def voices(
    invocation: Invocation, /, llm: Sequence[str], config: str | None, **options: Any
) -> None:
    """List the voices that a model can speak with."""
    with invocation.runtime(config, llm) as runtime:
        found = runtime.voices(**options)
    if invocation.form == "json":
        invocation.output.json([attrs.asdict(voice) for voice in found])
    else:
        lines = [(voice.name, voice.title, ", ".join(voice.languages)) for voice in found]
        print_table(invocation.output, ("NAME", "TITLE", "LANGUAGES"), lines)
